"""One stage inside a task system's process, and the process that hands the tasks out."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks import stages
from benchmarks.measure import INTS, Flow, Measured, TrialError
from benchmarks.peers.chain import parcels, spawn
from benchmarks.trial import trial

if TYPE_CHECKING:
    from benchmarks.trial import Trial


class Station:
    """The callable ``name`` of ``stages``; a sink is closed when it has all items of the run."""

    def __init__(self, name: str) -> None:
        code = getattr(stages, name)
        self._sink = code() if isinstance(code, type) else None
        self._function: Callable[[Any], Any] = code if self._sink is None else self._sink
        self._items = int(os.environ["BENCH_ITEMS"]) + 1

    def work(self, parcel: Any, batch: int) -> Any:
        """Return the results of a parcel: an item, or a list from ``batch`` 2 on."""
        function = self._function
        result = function(parcel) if batch == 1 else [function(item) for item in parcel]
        if self._sink is not None:
            if self._sink.count == self._items:
                self._sink.close()
            return None
        return result


def source(flow: Flow, batch: int) -> Any:
    """Return the parcels of a flow's source."""
    return parcels(getattr(stages, flow.source)(), batch)


# Hands out all tasks of a flow: (how to reach the system, flow, batch).
Drive = Callable[[str, Flow, int], None]


@dataclass(frozen=True, slots=True)
class Driven:
    """A runner whose stages are tasks: one process drives, the system's own processes work.

    ``drive(address, flow, batch)`` runs in the driver's process and may return before the sink
    has everything. ``batch`` items are one task.
    """

    name: str
    address: str
    drive: Drive
    items: int
    batch: int = 1
    flow: Flow = INTS

    def run(self, n: int) -> Measured:
        """Run items 0..n and measure 1..n. Raises TrialError."""
        with trial(n, size_bytes=self.flow.size_bytes) as this:
            self._drive(this)
            return this.measured()

    def _drive(self, this: Trial) -> None:
        driver = spawn.Process(target=self.drive, args=(self.address, self.flow, self.batch))
        driver.start()

        def running() -> bool:
            if driver.exitcode:
                raise TrialError(f"the driver failed: exit code {driver.exitcode}")
            return driver.exitcode is None or not (this.folder / "total").exists()

        try:
            this.watch(running)
        finally:
            if driver.is_alive():
                driver.kill()
            driver.join()
            driver.close()
