"""The three standard streams of a command: there whatever the shell gave, and able to show text."""

from __future__ import annotations

import io
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline_runner.observe.stream import SHOWN

if TYPE_CHECKING:
    from collections.abc import Iterator


def prepare() -> None:
    """Open what was closed, and have text shown as far as its encoding goes, never refused.

    Of a closed descriptor the next file would get the number, and what is said to people would be
    written into it: before anything else is opened, the null device takes its place.
    """
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(fd)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != fd:
                os.dup2(opened, fd)
                os.close(opened)
            os.set_inheritable(fd, True)
        if getattr(sys, name) is None:
            stream = open(fd, "r" if fd == 0 else "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
    for shown in (sys.stdout, sys.stderr):
        if isinstance(shown, io.TextIOWrapper):  # a program may have put another there
            shown.reconfigure(errors=SHOWN)


@contextmanager
def may_go_unread() -> Iterator[None]:
    """Write to stdout here; what its reader does not want any more is no fault."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        put_away()


def put_away() -> None:
    """Send what is still to be written to stdout nowhere: Python would complain at its exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
