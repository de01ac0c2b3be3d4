"""A flow over processes wired by hand, as one does without a runner: get, call, put."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks import stages
from benchmarks.measure import INTS, Flow, Measured, TrialError
from benchmarks.trial import trial

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.context import SpawnProcess
    from pathlib import Path

# Fresh interpreters, as the runner's workers are: a fork would share pages and start warm.
spawn = multiprocessing.get_context("spawn")

Put = Callable[[Any], object]
Get = Callable[[], Any]


class Hop(Protocol):
    """One queue between two processes; each end is opened in the process that uses it."""

    def writer(self) -> AbstractContextManager[Put]:
        """Open the end that puts."""
        ...

    def reader(self) -> AbstractContextManager[Get]:
        """Open the end that gets."""
        ...


# Of whatever kind ``Chain.stage`` can use.
Hops = Callable[["Path", int], AbstractContextManager[Sequence[Any]]]


def run_stage(hop_in: Hop | None, name: str, hop_out: Hop | None, batch: int) -> None:
    """Be one stage's process: the callable ``name`` of ``stages`` between two hops.

    None, sent after the last item, ends each stage in turn.
    """
    code = getattr(stages, name)
    called = code() if isinstance(code, type) else code
    if hop_in is None:
        assert hop_out is not None
        with hop_out.writer() as put:
            _produce(called(), put, batch)
    elif hop_out is None:
        with hop_in.reader() as get:
            _consume(get, called, batch)
        called.close()
    else:
        with hop_in.reader() as get, hop_out.writer() as put:
            _relay(get, called, put, batch)


def parcels(items: Iterator[Any], batch: int) -> Iterator[Any]:
    """Return what goes in one call: an item, or from ``batch`` 2 on a list of up to so many."""
    return items if batch == 1 else _lists(items, batch)


def _lists(items: Iterator[Any], batch: int) -> Iterator[list[Any]]:
    yield [next(items)]  # the opening item: the source emits no other before it arrived
    while chunk := list(islice(items, batch)):
        yield chunk


def _produce(items: Iterator[Any], put: Put, batch: int) -> None:
    for parcel in parcels(items, batch):
        put(parcel)
    put(None)


def _relay(get: Get, function: Callable[[Any], Any], put: Put, batch: int) -> None:
    if batch == 1:
        while (item := get()) is not None:
            put(function(item))
    else:
        while (chunk := get()) is not None:
            put([function(item) for item in chunk])
    put(None)


def _consume(get: Get, sink: Callable[[Any], None], batch: int) -> None:
    if batch == 1:
        while (item := get()) is not None:
            sink(item)
    else:
        while (chunk := get()) is not None:
            for item in chunk:
                sink(item)


@dataclass(frozen=True, slots=True)
class Chain:
    """A runner that wires a flow, one process a stage, with the peer's own queues.

    ``hops(folder, count)`` gives the queues, and whatever serves them, for one run.
    ``batch`` items go as one list, put together by hand; 1 is one item a call, as written.
    ``items`` is how many make a run of a few seconds. ``stage`` is what each process runs.
    """

    name: str
    hops: Hops
    items: int
    batch: int = 1
    flow: Flow = INTS
    stage: Callable[..., None] = run_stage

    def run(self, n: int) -> Measured:
        """Run items 0..n and measure 1..n. Raises TrialError."""
        names = self.flow.names
        with trial(n, size_bytes=self.flow.size_bytes) as this:
            with self.hops(this.folder, len(names) - 1) as hops:
                ends = zip((None, *hops), names, (*hops, None), strict=True)
                arguments = [(*end, self.batch) for end in ends]
                with _processes(self.stage, arguments) as processes:
                    this.watch(lambda: _running(processes))
            return this.measured()


@contextmanager
def _processes(
    stage: Callable[..., None], arguments: list[tuple[Any, ...]]
) -> Iterator[list[SpawnProcess]]:
    processes = [spawn.Process(target=stage, args=args) for args in arguments]
    for process in processes:
        process.start()
    try:
        yield processes
    finally:
        for process in processes:
            if process.is_alive():
                process.kill()
            process.join()
            process.close()


def _running(processes: list[SpawnProcess]) -> bool:
    wait([process.sentinel for process in processes], timeout=0)
    codes = [process.exitcode for process in processes]
    if any(codes):
        raise TrialError(f"a stage's process failed: exit codes {codes}")
    return None in codes
