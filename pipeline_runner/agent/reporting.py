"""What an agent tells its head of the workers here: what starts, lives, prints and dies."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from pipeline_runner.agent.facts import Load
from pipeline_runner.wire.control_messages import Beat, Line, Lines, Report, WorkerState
from pipeline_runner.wire.messages import Died

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pipeline_runner.agent.process import Process
    from pipeline_runner.plan.reconcile import Slot
    from pipeline_runner.wire.messages import Message

FLUSH_LINES_S = 0.05
MOST_LINES_BYTES = 256 * 1024  # of one message; a little more, for what one read of a pipe gives
MOST_KEPT_BYTES = 1024**2  # of lines, while there is no head to tell
_AROUND = 48  # bytes of a line that are not its text


class Reporter:
    """Tells through ``send``, which says whether there was a head to tell."""

    def __init__(self, host: str, send: Callable[[Message], bool]) -> None:
        self.host = host
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._load = Load()
        self._lines: deque[Line] = deque()
        self._size_bytes = 0  # of them
        self._dropped = 0  # lines that found no head, and no room
        self._flushing = False
        self._untold: list[Died] = []  # deaths that no head has heard of
        self._ready: set[str] = set()  # workers that were ready at the last beat

    def started(self, process: Process) -> None:
        """A worker runs: watch what it writes."""
        self._report("WorkerStarted", process.slot, {"pid": process.pid})

    def died(
        self, process: Process, running: int, cause: str, *, expected: bool, ended: bool
    ) -> None:
        """Tell at once: the dead worker's items are waiting."""
        death = Died(process.id, running, cause, process.overdue_index)
        if not self._send(death):
            self._untold.append(death)
        more = {"pid": process.pid, "cause": cause, "expected": expected, "ended": ended}
        self._report("WorkerExited", process.slot, more)

    def failing(
        self, slot: Slot, reason: str, deaths: int, retry_s: float, *, took_work: bool
    ) -> None:
        """Tell why a worker cannot start, or get anything done."""
        more = {"deaths": deaths, "retry_s": retry_s, "reason": reason, "took_work": took_work}
        self._report("WorkerFailing", slot, more)

    def lacks(self, slot: Slot, module: str) -> None:
        """Tell that no worker of a stage can start for want of a module."""
        self._report("StageLacks", slot, {"module": module})

    def printed(self, process: Process, stream: str, lines: Sequence[str]) -> None:
        """Collect lines for a moment: a talkative stage must not cost a message a line."""
        now, slot = time.time(), process.slot
        self._lines += [
            Line(now, slot.stage, slot.index, process.pid, stream, text) for text in lines
        ]
        self._size_bytes += sum(map(len, lines)) + _AROUND * len(lines)
        if self._size_bytes >= MOST_LINES_BYTES:
            self._flush_lines()
        elif not self._flushing:
            self._flushing = True
            self._loop.call_later(FLUSH_LINES_S, self._flush_lines)

    def catch_up(self) -> None:
        """Tell a new head of the deaths between it and the one before, and what was printed."""
        untold, self._untold = self._untold, []
        for place, death in enumerate(untold):
            if not self._send(death):
                self._untold += untold[place:]
                return
        self._flush_lines()

    def beat(self, processes: Iterable[Process]) -> None:
        """Tell that this host is alive, and what runs here."""
        processes = tuple(processes)
        self._ready = _ready(processes)
        now = self._loop.time()
        cpu, memory = self._load.look()
        states = tuple(
            WorkerState(p.id, p.pid, p.slot.stage, p.slot.index, _state(p), now - p.started)
            for p in processes
        )
        self._send(Beat(states, cpu, memory))

    def is_behind(self, processes: Iterable[Process]) -> bool:
        """Whether a worker has become ready since the last beat: nobody should wait to see it."""
        return not _ready(processes) <= self._ready

    def _flush_lines(self) -> None:
        self._flushing = False
        if not self._lines:
            return
        lines = tuple(self._lines)
        if self._dropped:
            text = f"... {self._dropped:,} lines that were printed while no head was there"
            lines = (msgspec.structs.replace(lines[0], text=text), *lines)
        if self._send(Lines(lines)):
            self._lines.clear()
            self._size_bytes = self._dropped = 0
        while self._size_bytes > MOST_KEPT_BYTES:
            self._size_bytes -= len(self._lines.popleft().text) + _AROUND
            self._dropped += 1

    def _report(self, kind: str, slot: Slot, more: dict[str, Any]) -> None:
        self._flush_lines()
        about = {"ts": time.time(), "host": self.host, "stage": slot.stage, "index": slot.index}
        self._send(Report(kind, about | more))


def _ready(processes: Iterable[Process]) -> set[str]:
    return {process.id for process in processes if process.was_ready}


def _state(process: Process) -> str:
    if process.phase == "draining":
        return "draining"
    return "running" if process.was_ready else "loading"
