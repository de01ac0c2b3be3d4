"""One run: a folder for its marks, its environment, its processor time and its check."""

from __future__ import annotations

import json
import os
import resource
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped, unused-ignore]

from benchmarks.measure import Measured, TrialError, expected_total

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEADLINE_S = 60.0
MEMORY_EVERY_S = 0.1  # reading it costs the run some of its processor


class Trial:
    """A run of ``n`` items whose functions leave their marks in ``folder``."""

    def __init__(self, n: int, folder: Path, ignored: frozenset[int] = frozenset()) -> None:
        self.n = n
        self.folder = folder
        self._ignored = ignored  # process ids that are not this run's
        self._cpu_at_open: float | None = None
        self._cpu_at_end: float | None = None
        self._peak_rss_bytes = 0

    def watch(self, running: Callable[[], bool]) -> None:
        """Return when ``running()`` is false; open the way once item 0 has arrived.

        Raises TrialError after ``DEADLINE_S`` seconds; ending the processes is the caller's.
        """
        deadline = time.monotonic() + DEADLINE_S
        arrived, total = self.folder / "arrived", self.folder / "total"
        look_again = 0.0
        while running():
            if self._cpu_at_open is None and arrived.exists():
                self._cpu_at_open = _cpu_of_children_s(self._ignored)
                (self.folder / "open").touch()
            if self._cpu_at_open is not None and time.monotonic() > look_again:
                self._peak_rss_bytes = max(
                    self._peak_rss_bytes, _memory_of_children_bytes(self._ignored)
                )
                look_again = time.monotonic() + MEMORY_EVERY_S
            if self._cpu_at_end is None and total.exists():
                # Before they end: what is reaped by somebody else is not in anybody's books.
                self._cpu_at_end = _cpu_of_children_s(self._ignored)
            if time.monotonic() > deadline:
                raise TrialError(f"not finished after {DEADLINE_S:.0f} s")
            time.sleep(0.002 if self._cpu_at_open is None else 0.02)

    def measured(self) -> Measured:
        """Return the numbers once every process has ended. Raises TrialError on a wrong total."""
        cpu_at_end = self._cpu_at_end or _cpu_of_children_s(self._ignored)
        sink = self.mark("total")
        if self._cpu_at_open is None:
            raise TrialError("item 0 never arrived")
        expected = {"count": self.n + 1, "total": expected_total(self.n)}
        if sink != expected:
            raise TrialError(f"wrong total: the sink holds {sink}, not {expected}")
        delays = self.mark("delays") if (self.folder / "delays").exists() else ()
        return Measured(
            items=self.n,
            seconds=self.mark("last") - self.mark("first"),
            cpu_s=cpu_at_end - self._cpu_at_open,
            total=sink["total"],
            delays_s=tuple(delays),
            peak_rss_bytes=self._peak_rss_bytes,
        )

    def mark(self, name: str) -> Any:
        """Return what a function noted as ``name``. Raises TrialError if it never did."""
        try:
            return json.loads((self.folder / name).read_text())
        except FileNotFoundError:
            raise TrialError(f"the run ended without its mark {name!r}") from None


@contextmanager
def trial(n: int, workers: int = 1, size_bytes: int = 0, *, alone: bool = False) -> Iterator[Trial]:
    """Give a trial whose folder and environment last as long as the block.

    ``workers`` is how many processes of the sleeping stage its source waits for, and
    ``size_bytes`` the length of each blob. ``alone``: what runs already, such as a peer's
    server, is not counted.
    """
    with TemporaryDirectory(prefix="bench-") as folder:
        marks = {
            "BENCH_ITEMS": str(n),
            "BENCH_MARKS": folder,
            "BENCH_SIZE": str(size_bytes),
            "BENCH_WORKERS": str(workers),
        }
        before = {name: os.environ.get(name) for name in marks}
        os.environ.update(marks)
        try:
            ignored = frozenset(each.pid for each in _descendants()) if alone else frozenset()
            yield Trial(n, Path(folder), ignored)
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def _descendants(ignored: frozenset[int] = frozenset()) -> Iterator[Any]:
    for process in psutil.Process().children(recursive=True):
        if process.pid not in ignored:
            yield process


def _cpu_of_children_s(ignored: frozenset[int]) -> float:
    """Return the processor time of all our descendants so far, living and reaped, in seconds."""
    reaped = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = reaped.ru_utime + reaped.ru_stime
    for process in _descendants(ignored):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            spent += times.user + times.system + times.children_user + times.children_system
    return float(spent)


def _memory_of_children_bytes(ignored: frozenset[int]) -> int:
    """Return the resident memory of all our living descendants; shared pages count in each."""
    held = 0
    for process in _descendants(ignored):
        with suppress(psutil.NoSuchProcess):
            held += process.memory_info().rss
    return held
