"""The output of this host's workers, read when there is some; and their fates, passed on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline_runner.agent.line_reader import LineReader
    from pipeline_runner.agent.process import Process
    from pipeline_runner.agent.reporting import Reporter
    from pipeline_runner.plan.reconcile import Slot


class WorkerOutput:
    """What the supervisor tells, for the reporter. ``reads`` is the supervisor's reading."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._loop = asyncio.get_running_loop()
        self.reads: Callable[[Process, LineReader], bool] = _nothing

    def started(self, process: Process) -> None:
        """Watch a new worker's output."""
        for reader in process.readers:
            self._loop.add_reader(reader.fd, self._read, process, reader)
        self._reporter.started(process)

    def died(
        self, process: Process, running: int, cause: str, *, expected: bool, ended: bool
    ) -> None:
        """Watch it no more, and tell."""
        for reader in process.readers:
            self._loop.remove_reader(reader.fd)
        self._reporter.died(process, running, cause, expected=expected, ended=ended)

    def failing(
        self, slot: Slot, reason: str, deaths: int, retry_s: float, *, took_work: bool
    ) -> None:
        """Tell why a worker cannot start, or get anything done."""
        self._reporter.failing(slot, reason, deaths, retry_s, took_work=took_work)

    def lacks(self, slot: Slot, module: str) -> None:
        """Tell what this host does not have."""
        self._reporter.lacks(slot, module)

    def printed(self, process: Process, reader: LineReader, lines: Sequence[str]) -> None:
        """Tell what a worker wrote."""
        stream = "stdout" if reader is process.readers[0] else "stderr"
        self._reporter.printed(process, stream, lines)

    def _read(self, process: Process, reader: LineReader) -> None:
        if not self.reads(process, reader):
            self._loop.remove_reader(reader.fd)


def _nothing(_process: Process, _reader: LineReader) -> bool:
    return False
