"""What pickling alone costs: ``pickle.dumps`` and ``loads`` of each item at each hop, no more."""

from __future__ import annotations

import pickle
import time
from dataclasses import dataclass
from itertools import islice

from benchmarks import stages
from benchmarks.measure import DICTS, Flow, Measured, TrialError
from benchmarks.peers.chain import spawn
from benchmarks.trial import trial

CHUNK = 1_000  # items between two looks at the clock


def loop(flow: Flow) -> None:
    """Run a flow in this process; only the pickling at its hops is timed."""
    sink = getattr(stages, flow.sink)()
    steps = [getattr(stages, name) for name in flow.steps]
    items = getattr(stages, flow.source)()
    sink(_through(steps, [next(items)])[0][0])  # it opens the way
    pickled_s = 0.0
    while chunk := list(islice(items, CHUNK)):
        values, took_s = _through(steps, chunk)
        pickled_s += took_s
        for value in values:
            sink(value)
    stages.mark("pickled", pickled_s)
    sink.close()


def _through(steps: list, values: list) -> tuple[list, float]:  # type: ignore[type-arg]
    """Return what comes of values at the sink, and the processor time of their pickling."""
    dumps, loads, protocol = pickle.dumps, pickle.loads, pickle.HIGHEST_PROTOCOL
    began = time.process_time()
    values = [loads(dumps(value, protocol)) for value in values]
    took_s = time.process_time() - began
    for step in steps:
        values = [step(value) for value in values]
        began = time.process_time()
        values = [loads(dumps(value, protocol)) for value in values]
        took_s += time.process_time() - began
    return values, took_s


@dataclass(frozen=True, slots=True)
class BarePickle:
    """A runner whose only cost is the pickling; its seconds are processor time."""

    name: str = "pickle"
    flow: Flow = DICTS
    items: int = 500_000

    def run(self, n: int) -> Measured:
        """Run items 0..n and measure 1..n. Raises TrialError."""
        with trial(n) as this:
            process = spawn.Process(target=loop, args=(self.flow,))
            process.start()
            try:
                this.watch(process.is_alive)
            finally:
                process.kill()
                process.join()
            if process.exitcode:
                raise TrialError(f"the loop failed: exit code {process.exitcode}")
            total, pickled_s = this.measured().total, this.mark("pickled")
            return Measured(n, pickled_s, pickled_s, total)
