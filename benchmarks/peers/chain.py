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


Hops = Callable[["Path", int], AbstractContextManager[Sequence[Hop]]]


@dataclass(frozen=True, slots=True)
class Chain:
    """A runner that wires a flow, one process a stage, with the peer's own queues.

    ``hops(folder, count)`` gives the queues, and whatever serves them, for one run.
    ``batch`` items go as one list, put together by hand; 1 is one item a call, as written.
    ``items`` is how many make a run of a few seconds.
    """

    name: str
    hops: Hops
    items: int
    batch: int = 1
    flow: Flow = INTS

    def run(self, n: int) -> Measured:
        """Run items 0..n and measure 1..n. Raises TrialError."""
        with trial(n) as this:
            names = (self.flow.source, *self.flow.steps, self.flow.sink)
            with self.hops(this.folder, len(names) - 1) as hops:
                ends = zip((None, *hops), names, (*hops, None), strict=True)
                with _processes([(*end, self.batch) for end in ends]) as processes:
                    this.watch(lambda: _running(processes))
            return this.measured()


@contextmanager
def _processes(arguments: list[tuple[Any, ...]]) -> Iterator[list[SpawnProcess]]:
    processes = [spawn.Process(target=run_stage, args=args) for args in arguments]
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


def _produce(items: Iterator[Any], put: Put, batch: int) -> None:
    if batch == 1:
        for item in items:
            put(item)
    else:
        put([next(items)])  # the opening item: the source emits no other before it arrived
        while chunk := list(islice(items, batch)):
            put(chunk)
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
