"""Keeps the workers of one host what they should be: starts, watches, drains, kills, reaps."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from pipeline_runner.agent.backoff import Backoff
from pipeline_runner.agent.process import Place, Process, start
from pipeline_runner.plan.reconcile import Drain, Kill, Running, Slot, Start, reconcile
from pipeline_runner.wire.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline_runner.agent.line_reader import LineReader
    from pipeline_runner.wire.control_messages import Desired

_MOST_READS = 16  # of what a pipe still holds after its worker's death: 64 KiB each


class Watcher(Protocol):
    """What the supervisor tells of."""

    def started(self, process: Process) -> None:
        """A worker runs: its pipes want watching."""

    def died(
        self, process: Process, running: int, cause: str, *, expected: bool, ended: bool
    ) -> None:
        """A worker is gone; what it held last is on its page. ``ended``: so has its stage."""

    def failing(
        self, slot: Slot, reason: str, deaths: int, retry_s: float, *, took_work: bool
    ) -> None:
        """A worker could not be started, or died before it had settled anything."""

    def lacks(self, slot: Slot, module: str) -> None:
        """This host does not have a module that a stage needs: nothing more of it starts here."""

    def printed(self, process: Process, reader: LineReader, lines: Sequence[str]) -> None:
        """A worker wrote lines."""


class Supervisor:
    """The processes of one host, by pid; they find their head at its door.

    They write to ``output``. With ``holds`` they hold what they have done for as long as their
    head is away.
    """

    def __init__(self, host: str, watcher: Watcher, output: Path, *, holds: bool = False) -> None:
        self.host = host
        self._place = Place(Endpoint(), output, output)
        self._watcher = watcher
        self._hold_s = float("inf") if holds else None
        self.processes: dict[int, Process] = {}
        self._desired: dict[Slot, str] = {}
        self._specs: dict[str, dict[str, Any]] = {}
        self._grace_s = 30.0
        self._backoff: dict[Slot, Backoff] = {}
        self._lacking: dict[str, str] = {}  # stages that miss a module here, as of which spec
        self._finished: set[Slot] = set()  # their stage has ended: nothing to start again
        self.starts = True  # not while there is no head to work for

    def use_door(self, door: Endpoint) -> None:
        """Have workers go through this door from now on; those that look for a head, too."""
        if door != self._place.door:
            self._place = replace(self._place, door=door)
            for process in self.processes.values():
                process.page.move(door.as_json())

    def want(self, desired: Desired, root: Path | None) -> None:
        """Take over a new desired state; ``root`` is its release, None if nothing is to run."""
        if root is not None:
            self._place = replace(self._place, root=root)
        self._specs = desired.specs
        self._grace_s = desired.grace_s
        self._desired = {
            Slot(stage, index): desired.specs[stage]["fingerprint"]
            for stage, indexes in desired.slots.items()
            for index in indexes
        }
        self._finished &= self._desired.keys()
        for slot in self._backoff.keys() - self._desired.keys():
            del self._backoff[slot]

    @property
    def ended(self) -> tuple[str, ...]:
        """Stages whose end a worker of ours has heard."""
        return tuple({slot.stage for slot in self._finished})

    def keep_ended(self, stages: Sequence[str]) -> None:
        """Forget the end of every stage that another head does not know to have ended."""
        self._finished = {slot for slot in self._finished if slot.stage in stages}

    def want_nothing(self, grace_s: float | None = None) -> None:
        """Drain everything, in ``grace_s`` seconds or what was given last."""
        self._desired = {}
        self._lacking.clear()
        self._grace_s = self._grace_s if grace_s is None else grace_s

    def reconcile(self, now: float) -> None:
        """Do what brings the processes nearer to what is desired."""
        actual = [
            Running(
                p.slot, p.pid, p.spec, "draining" if p.phase == "draining" else "running", p.since
            )
            for p in self.processes.values()
        ]
        startable = {
            slot: spec
            for slot, spec in self._desired.items()
            if slot not in self._finished and self._may_start(slot, now)
        }
        running = {worker.slot for worker in actual}
        desired = {s: f for s, f in self._desired.items() if s in running or s in startable}
        for action in reconcile(desired, actual, now, self._grace_s):
            match action:
                case Start():
                    self._start(action.slot, action.spec, now)
                case Drain():
                    process = self.processes[action.pid]
                    process.phase, process.since = "draining", now
                    process.signal(signal.SIGTERM)
                case Kill():
                    process = self.processes[action.pid]
                    if not self._grace_s or not process.overstays(now, self._grace_s):
                        process.stop("its grace ran out")
                    process.kill()

    def check(self, now: float) -> None:
        """Kill what runs too long or grew too large, and go on with what is due."""
        for process in self.processes.values():
            if not process.killed_for and (
                process.overdue(now) or process.bloated() or process.overstays(now, self._grace_s)
            ):
                process.kill()
        self.reconcile(now)

    def reap(self, now: float) -> None:
        """Bury the processes that have ended, and replace them."""
        for process in tuple(self.processes.values()):
            if process.popen.poll() is not None:
                del self.processes[process.pid]
                self._bury(process, now)
        self.reconcile(now)

    def kill_all(self) -> None:
        """Kill every worker at once."""
        for process in self.processes.values():
            process.stop("at once")

    def read(self, process: Process, reader: LineReader) -> bool:
        """Pass on what a worker wrote; False at the end of its stream."""
        lines = reader.read()
        ended = lines is None
        lines = reader.rest() if lines is None else lines
        if lines:
            if reader is process.readers[1] and lines[-1].strip():
                process.last_words = lines[-1].strip()
            self._watcher.printed(process, reader, lines)
        return not ended

    def _may_start(self, slot: Slot, now: float) -> bool:
        if not self.starts:
            return False
        if self._lacking.get(slot.stage) == self._desired.get(slot):
            return False
        backoff = self._backoff.get(slot)
        return backoff is None or backoff.not_before <= now

    def _start(self, slot: Slot, fingerprint: str, now: float) -> None:
        spec = self._specs[slot.stage]
        place, hold_s = self._place, self._hold_s
        try:
            process = start(slot, fingerprint, spec, self.host, place, now, hold_s=hold_s)
        except OSError as error:  # no process, no descriptor, no memory to spare
            gone = not place.root.is_dir()
            why = f"its files are gone, stop and start the run: {place.root}" if gone else ""
            self._fails(slot, why or f"no process can be started: {error.strerror}", now)
            return
        self.processes[process.pid] = process
        self._watcher.started(process)

    def _fails(self, slot: Slot, reason: str, now: float, *, took_work: bool = False) -> None:
        backoff = self._backoff.setdefault(slot, Backoff())
        retry_s = backoff.died(now, took_work=took_work)
        if retry_s:
            self._watcher.failing(slot, reason, backoff.deaths, retry_s, took_work=took_work)

    def _bury(self, process: Process, now: float) -> None:
        process.kill()  # what it forked and left behind
        for reader in process.readers:
            # Bounded: what it daemonised may hold the pipe open and write on for ever.
            for _ in range(_MOST_READS):
                if not self.read(process, reader):
                    break
        token, _index, _started, _phase = process.page.read()
        ready, ended, lacks = process.was_ready, process.page.has_ended, process.lacks
        orderly = process.was_orderly or process.phase == "draining" or process.is_unwanted
        orderly = orderly or bool(lacks)
        if ended:  # whatever became of it in its close()
            self._finished.add(process.slot)
        expected, blamed = orderly and not process.overstayed, process.blamed(token)
        self._watcher.died(process, blamed, process.cause(), expected=expected, ended=ended)
        if lacks and self._lacking.get(process.slot.stage) != process.spec:
            self._lacking[process.slot.stage] = process.spec
            self._watcher.lacks(process.slot, lacks)
        if orderly or ended or process.page.has_settled or process.killed_for:
            self._backoff.pop(process.slot, None)
        elif process.slot in self._desired:
            reason = process.cause().removeprefix("died: ")
            if process.last_words:
                reason = f"{reason}: {process.last_words}" if ready else process.last_words
            self._fails(process.slot, reason, now, took_work=ready)
        for stream in (process.popen.stdout, process.popen.stderr):
            if stream is not None:
                stream.close()
        process.page.close()
