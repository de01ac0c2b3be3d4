"""Consoles: how wide, in which colours, and whether anybody is looking."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING, Literal

from rich.console import Console

from pipeline_runner.observe.screen import Blank, Screen

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from rich.text import Text

    from pipeline_runner.cli.options import CommonOptions
    from pipeline_runner.config.pipeline import Pipeline

Ui = Literal["auto", "live", "plain", "none"]

# A pipe has no width; this is wide enough that no column gives way.
_PIPE_WIDTH = 120


def console(file: TextIO, colour: bool | None) -> Console:
    """Return a console on ``file``; ``colour`` None means: if it is a terminal."""
    is_terminal = file.isatty()
    coloured = is_terminal if colour is None else colour
    return Console(
        file=file,
        force_terminal=coloured,
        color_system=_colours() if coloured else None,
        no_color=False if coloured else None,
        width=None if is_terminal else _PIPE_WIDTH,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=True,
    )


def screen(
    ui: Ui,
    common: CommonOptions,
    pipeline: Pipeline | None,
    file: TextIO | None = None,
    *,
    owns: bool = True,
) -> Screen:
    """Return the screen for a run of ``pipeline`` on ``file``, stderr if None.

    "auto" is live on a terminal that can move its cursor, and plain lines elsewhere. Without
    ``owns`` the run is another process's, and Ctrl-C here does not stop it.
    """
    file = sys.stderr if file is None else file
    if ui == "auto":
        ui = "live" if file.isatty() and not Console(file=file).is_dumb_terminal else "plain"
    if ui == "none":
        return Blank()
    if ui == "live":
        from pipeline_runner.observe.live import Live
        from pipeline_runner.plan.bottleneck import count_key

        stages = {} if pipeline is None else pipeline.stages
        reads = file.isatty() and sys.stdin is not None and sys.stdin.isatty()
        return Live(
            console(file, common.colour),
            owns=owns,
            again=common.again,
            quiet=common.quiet,
            verbose=common.verbose,
            count_keys={name: count_key(stage) for name, stage in stages.items()},
            keys=sys.stdin.fileno() if reads else None,
            leave=None if owns else _interrupt,
        )
    from pipeline_runner.observe.plain import Plain

    out = None if common.json else sys.stdout
    return Plain(
        file,
        out=out,
        again=common.again,
        quiet=common.quiet,
        verbose=common.verbose,
        owns=owns,
    )


def _interrupt() -> None:
    """Do what Ctrl-C does, from another thread than the one that waits for it."""
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)


def show(lines: Iterable[Text], colour: bool | None) -> None:
    """Write ``lines`` to stdout."""
    out = console(sys.stdout, colour)
    for line in lines:
        out.print(line)


def width() -> int:
    """Return how many cells a line on stdout has."""
    return console(sys.stdout, None).size.width


def _colours() -> Literal["standard", "256", "truecolor"]:
    found = Console(force_terminal=True, no_color=False).color_system
    return "256" if found == "256" else "truecolor" if found == "truecolor" else "standard"
