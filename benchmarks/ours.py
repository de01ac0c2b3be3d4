"""This runner, as a user starts it: ``runner up pipeline.toml`` on a folder of functions."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import stages
from benchmarks.measure import INTS, Flow, Measured, TrialError
from benchmarks.trial import trial

if TYPE_CHECKING:
    from collections.abc import Iterator

STOP_S = 10.0


def command() -> list[str]:
    """Return how to start the runner that is installed beside this interpreter."""
    script = Path(sys.executable).with_name("runner")
    return [str(script)] if script.exists() else [sys.executable, "-m", "pipeline_runner.cli"]


def pipeline_toml(flow: Flow, durability: str, processes: dict[str, int]) -> str:
    """Return a pipeline file that runs ``flow`` in a line; one process a stage unless it says."""
    keys = [name.lower().replace("_", "-") for name in flow.names]

    def lines() -> Iterator[str]:
        yield "[pipeline]"
        yield 'name = "bench"'
        yield f'durability = "{durability}"'
        for key, name in zip(keys, flow.names, strict=True):
            yield f"\n[stages.{key}]"
            yield f'run = "stages:{name}"'
            yield f"processes = {processes.get(name, 1)}"
        for start, end in pairwise(keys):
            yield f'\n[[edges]]\nfrom = "{start}"\nto = "{end}"'

    return "\n".join(lines()) + "\n"


@dataclass(frozen=True, slots=True)
class Ours:
    """The runner on one flow; ``processes`` by the names of its functions, otherwise 1."""

    flow: Flow = INTS
    durability: str = "memory"
    processes: dict[str, int] = field(default_factory=dict)
    name: str = "ours"

    def run(self, n: int) -> Measured:
        """Run items 0..n and measure 1..n. Raises TrialError."""
        workers = max(self.processes.values(), default=1)
        with trial(n, workers, self.flow.size_bytes, alone=True) as this:
            project = this.folder / "project"
            project.mkdir()
            shutil.copy(stages.__file__, project / "stages.py")
            file = project / "pipeline.toml"
            file.write_text(pipeline_toml(self.flow, self.durability, self.processes))
            errors = this.folder / "stderr"
            with (this.folder / "stdout").open("wb") as out, errors.open("wb") as err:
                up = subprocess.Popen(
                    [*command(), "up", str(file), "--local", "--json", "--ui", "none"],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                )
                try:
                    this.watch(lambda: up.poll() is None)
                finally:
                    _end(up)
            if up.returncode:
                said = errors.read_text(errors="replace")[-2_000:]
                raise TrialError(f"runner up ended with {up.returncode}:\n{said}")
            return this.measured()


def _end(up: subprocess.Popen[bytes]) -> None:
    """Stop the runner if it still runs; its own children end with it."""
    if up.poll() is None:
        up.terminate()
        try:
            up.wait(STOP_S)
        except subprocess.TimeoutExpired:
            up.kill()
            up.wait()
