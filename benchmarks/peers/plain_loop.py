"""A plain loop in one process: what a stage costs without a pipeline around it."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks import stages
from benchmarks.measure import Measured, TrialError
from benchmarks.peers.chain import spawn
from benchmarks.trial import trial


def loop() -> None:
    """Call the sleeping stage on every item, and the sink, in this process."""
    nap, sink = stages.Nap(), stages.Total()
    for item in stages.generate_for_naps():
        sink(nap(item))
    sink.close()


@dataclass(frozen=True, slots=True)
class PlainLoop:
    """A runner of the sleeping flow in one process."""

    name: str = "plain-loop"

    def run(self, n: int) -> Measured:
        """Run items 0..n and measure 1..n. Raises TrialError."""
        with trial(n) as this:
            process = spawn.Process(target=loop)
            process.start()
            try:
                this.watch(process.is_alive)
            finally:
                process.kill()
                process.join()
            if process.exitcode:
                raise TrialError(f"the loop failed: exit code {process.exitcode}")
            return this.measured()
