"""Items for a person to look at. Another process decodes them: one item may take that along."""

from __future__ import annotations

import json
import os
import pickletools
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from pipeline_runner.wire.codec import Apart, is_apart

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MOST_S = 10.0  # for one item
_MOST_NAMED = 5


def shown(
    body: bytes, places: Sequence[int], root: Path, *, pretty: bool = False, most_s: float = MOST_S
) -> list[str]:
    """Return the items at ``places`` of a body as text, or why one cannot be shown.

    ``root`` is the folder that their classes are in. An item whose decoding ends or holds up the
    process that does it costs no more than ``most_s`` seconds.
    """
    texts: list[str] = []
    while len(texts) < len(places):
        left = places[len(texts) :]
        some, why = _ask(body, left, root, pretty=pretty, most_s=most_s)
        texts += some
        if len(some) < len(left):
            texts.append(f"<cannot be read here: {why}; {_raw(body, left[len(some)])}>")
    return texts


def _ask(
    body: bytes, places: Sequence[int], root: Path, *, pretty: bool, most_s: float
) -> tuple[list[str], str]:
    """Return what a process tells of the items before it ends, and how it ended."""
    asked = json.dumps({"root": str(root), "places": list(places), "pretty": pretty})
    child = subprocess.Popen(
        [sys.executable, "-m", "pipeline_runner.worker.probe.show_items"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        with suppress(BrokenPipeError):
            child.stdin.write(asked.encode() + b"\n" + body)
            child.stdin.close()
        texts, in_time = _read(child.stdout.fileno(), len(places), most_s)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        with suppress(BrokenPipeError):
            child.stdin.close()
        child.stdout.close()
        code = child.wait()
    if not in_time:
        return texts, f"decoding it takes longer than {most_s:g} s"
    if code < 0 and code != -signal.SIGKILL:
        return texts, f"decoding it kills the process ({signal.Signals(-code).name})"
    return texts, "decoding it ends the process"


def _read(fd: int, count: int, most_s: float) -> tuple[list[str], bool]:
    """Return up to ``count`` lines, decoded, and whether each came within its time."""
    data = b""
    deadline = time.monotonic() + most_s
    while (have := data.count(b"\n")) < count:
        ready, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return _lines(data), False
        piece = os.read(fd, 1 << 16)
        if not piece:
            break
        data += piece
        if data.count(b"\n") > have:
            deadline = time.monotonic() + most_s
    return _lines(data), True


def _lines(data: bytes) -> list[str]:
    return [json.loads(line) for line in data.splitlines() if line.endswith(b'"')]


def _raw(body: bytes, place: int) -> str:
    """Return what can be said of an item without decoding it: its size, and what it is made of."""
    data = bytes(Apart(body).pickle(place)) if is_apart(body) else body
    names: dict[str, None] = {}
    texts: list[str] = []
    with suppress(Exception):  # it may be no pickle at all
        for opcode, argument, _at in pickletools.genops(data):
            if isinstance(argument, str):
                texts.append(argument)
            if opcode.name == "GLOBAL":
                names[str(argument).replace(" ", ".")] = None
            elif opcode.name == "STACK_GLOBAL" and len(texts) > 1:
                names[f"{texts[-2]}.{texts[-1]}"] = None
    told = f"it has {len(data):,} bytes"
    return f"{told} and is made with {', '.join([*names][:_MOST_NAMED])}" if names else told
