"""The agent: takes desired state from the head, tells it what lives, dies and prints here."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from typing import TYPE_CHECKING, Any

from pipeline_runner.agent.facts import Load, facts
from pipeline_runner.agent.supervise import Supervisor
from pipeline_runner.errors import NoHead
from pipeline_runner.queues.connect import open_wire
from pipeline_runner.queues.messages import (
    PROTOCOL,
    Beat,
    Desired,
    Died,
    Hello,
    Line,
    Lines,
    Report,
    WorkerState,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_runner.agent.lines import LineReader
    from pipeline_runner.agent.process import Process
    from pipeline_runner.queues.connect import Wire
    from pipeline_runner.queues.doors import Door
    from pipeline_runner.queues.messages import Message

BEAT_S = 2.0
CHECK_S = 0.1
FLUSH_LINES_S = 0.05


class Agent:
    """One host's agent. It ends with the head, or so long after it as the head once said."""

    def __init__(self, wire: Wire, host: str, door: Door) -> None:
        self._wire: Wire | None = None
        self._first_wire = wire
        self._door = door
        self._hold_s = 0.0
        self._give_up_at: float | None = None  # between two heads
        self._untold: list[Died] = []  # deaths that no head has heard of
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._supervisor = Supervisor(host, door, self)
        self._load = Load()
        self._lines: list[Line] = []
        self._flushing = False
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Work until the head says stop or is gone; no worker is left behind."""
        loop = self._loop
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        loop.add_signal_handler(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._join(self._first_wire)
        beat = loop.create_task(self._beat())
        check = loop.create_task(self._check())
        await self._over.wait()
        for task in (beat, check):
            task.cancel()
        self._supervisor.kill_all()
        while self._supervisor.processes:
            self._supervisor.reap(loop.time())
            await asyncio.sleep(0.01)

    def started(self, process: Process) -> None:
        """Watch a new worker's output."""
        for reader in process.readers:
            self._loop.add_reader(reader.fd, self._read, process, reader)
        self._report("WorkerStarted", process)

    def died(self, process: Process, running: int, cause: str, *, expected: bool) -> None:
        """Tell the head at once: the dead worker's items are waiting."""
        for reader in process.readers:
            self._loop.remove_reader(reader.fd)
        death = Died(process.id, running, cause, process.overdue_index)
        if self._wire is None:
            self._untold.append(death)
        self._send(death)
        self._report("WorkerExited", process, cause=cause, expected=expected)

    def failing(self, process: Process, deaths: int, retry_s: float) -> None:
        """Tell why a worker cannot start."""
        reason = process.last_words
        self._report("WorkerFailing", process, deaths=deaths, retry_s=retry_s, reason=reason)

    def printed(self, process: Process, reader: LineReader, lines: Sequence[str]) -> None:
        """Collect lines for a moment: a talkative stage must not cost a message a line."""
        stream = "stdout" if reader is process.readers[0] else "stderr"
        now = time.time()
        slot = process.slot
        self._lines += [
            Line(now, slot.stage, slot.index, process.pid, stream, text) for text in lines
        ]
        if not self._flushing:
            self._flushing = True
            self._loop.call_later(FLUSH_LINES_S, self._flush_lines)

    def _flush_lines(self) -> None:
        self._flushing = False
        lines, self._lines = self._lines, []
        if lines:
            self._send(Lines(tuple(lines)))

    def _read(self, process: Process, reader: LineReader) -> None:
        if not self._supervisor.read(process, reader):
            self._loop.remove_reader(reader.fd)

    def _join(self, wire: Wire) -> None:
        """Say HELLO to a head, and what is here from an earlier one."""
        self._wire = wire
        self._loop.add_reader(wire.sock, self._receive)
        processes = self._supervisor.processes.values()
        workers = tuple(process.id for process in processes if process.was_ready)
        ended = self._supervisor.ended
        self._send(
            Hello("agent", self._host, "", "", 0, os.getpid(), PROTOCOL, facts(), workers, ended)
        )
        untold, self._untold = self._untold, []
        for death in untold:
            self._send(death)
        self._tell()

    def _receive(self) -> None:
        if self._wire is None:
            return
        try:
            for message, _none in self._wire.receive_now():
                self._take_in(message)
        except (EOFError, OSError):
            self._head_gone()

    def _head_gone(self) -> None:
        wire, self._wire = self._wire, None
        if wire is None:
            return
        self._loop.remove_reader(wire.sock)
        wire.close()
        if not self._hold_s:
            self._over.set()
            return
        if self._give_up_at is None:
            self._give_up_at = self._loop.time() + self._hold_s
        self._supervisor.starts = False
        self._search = self._loop.create_task(self._find_head())

    async def _find_head(self) -> None:
        while self._give_up_at is not None and self._loop.time() < self._give_up_at:
            await asyncio.sleep(random.uniform(0.02, 0.2))  # noqa: S311
            try:
                wire = open_wire(self._door)
            except NoHead:
                continue
            self._join(wire)
            return
        self._over.set()

    def _take_in(self, message: Any) -> None:
        if isinstance(message, Desired):
            self._hold_s = message.hold_s
            if self._give_up_at is not None:
                self._give_up_at = None
                self._supervisor.starts = True
                self._supervisor.keep_ended(message.finished)
            self._supervisor.want(message)
            self._supervisor.reconcile(self._loop.time())

    def _reap(self) -> None:
        self._supervisor.reap(self._loop.time())

    def _stop(self) -> None:
        self._over.set()

    async def _check(self) -> None:
        while True:
            await asyncio.sleep(CHECK_S)
            self._supervisor.check(self._loop.time())

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            self._tell()

    def _tell(self) -> None:
        now = self._loop.time()
        cpu, memory = self._load.look()
        states = tuple(
            WorkerState(p.id, p.pid, p.slot.stage, p.slot.index, _state(p), now - p.started)
            for p in self._supervisor.processes.values()
        )
        self._send(Beat(states, cpu, memory))

    def _report(self, kind: str, process: Process, **more: Any) -> None:
        self._flush_lines()
        fields = {
            "ts": time.time(),
            "host": self._host,
            "stage": process.slot.stage,
            "index": process.slot.index,
            "pid": process.pid,
            **more,
        }
        if kind == "WorkerFailing":
            del fields["pid"]
        self._send(Report(kind, fields))

    def _send(self, message: Message) -> None:
        if self._wire is None:
            return
        try:
            self._wire.send(message)
        except OSError:
            self._head_gone()


def _state(process: Process) -> str:
    if process.phase == "draining":
        return "draining"
    return "running" if process.was_ready else "starting"


async def run(door: Door, host: str) -> None:
    """Be the agent of ``host`` for the head that is reached at ``door``."""
    await Agent(open_wire(door), host, door).run()
