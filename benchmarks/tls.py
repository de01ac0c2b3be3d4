"""Print what TLS between two machines costs, as ratios: ``python -m benchmarks.tls``.

The machines are network namespaces, and it takes root. A source on the head's host, a sink on the
joined one, through real ``runner up`` and ``runner join``; beside it one bare ``ssl`` connection
between the same two, and the same pipeline on one host alone.
"""

from __future__ import annotations

import argparse
import json
import secrets
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import stages
from benchmarks.comparisons import Comparison, Reading
from benchmarks.measure import Flow, Measured, TrialError
from benchmarks.ours import Ours, command, pipeline_toml
from benchmarks.speed import machine
from benchmarks.table import Bar, table
from benchmarks.trial import trial
from pipeline_runner.cluster.certificate import certificate
from tests.hosts.lan import lan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.pairs import Pair
    from benchmarks.trial import Trial
    from tests.hosts.lan import Host, Lan

HEAD, JOINED = "desk", "pi"
BLOBS = Flow("generate_blobs", (), "AllOfBlobs", 2**20)
INTS = Flow("generate", (), "AllInOne")
RAW = Path(__file__).parent / "peers" / "raw_tls.py"
ROOT = Path(__file__).parents[1]
STOP_S = 10.0


@dataclass(frozen=True, slots=True)
class Over:
    """The runner over two machines: its source on one, its sink on the other."""

    lan: Lan
    flow: Flow
    name: str = "ours"

    def run(self, n: int) -> Measured:
        """Run items 0..n and measure 1..n. Raises TrialError."""
        with trial(n, size_bytes=self.flow.size_bytes, alone=True) as this:
            project = this.folder / "project"
            project.mkdir()
            shutil.copy(stages.__file__, project / "stages.py")
            (project / "pipeline.toml").write_text(_two_hosts(self.flow))
            key = secrets.token_hex(32)
            for host in self.lan.hosts.values():
                _give_key(host, key)
            up = (*command(), "up", "pipeline.toml", "--no-import", "--json", "--ui", "none")
            with (
                _started(this, self.lan[HEAD], "head", project, *up) as head,
                _started(this, self.lan[JOINED], "joined", project, *command(), "join", "--once"),
            ):
                this.watch(lambda: head.poll() is None)
            if head.returncode:
                raise TrialError(f"runner up ended with {head.returncode}:\n{_said(this)}")
            return this.measured()


@dataclass(frozen=True, slots=True)
class Raw:
    """One bare TLS connection between the two machines."""

    lan: Lan
    flow: Flow = BLOBS
    name: str = "raw ssl"

    def run(self, n: int) -> Measured:
        """Send items 0..n and measure 1..n. Raises TrialError."""
        with trial(n, size_bytes=self.flow.size_bytes, alone=True) as this:
            own = certificate(this.folder)
            program = (sys.executable, str(RAW))
            address = self.lan[JOINED].address
            receive = (*program, "receive", address, str(own.cert), str(own.key))
            with _started(this, self.lan[JOINED], "joined", ROOT, *receive) as receiver:
                _await_listener(self.lan[JOINED])
                with _started(this, self.lan[HEAD], "head", ROOT, *program, "send", address):
                    this.watch(lambda: receiver.poll() is None)
            if receiver.returncode:
                raise TrialError(f"the receiver ended with {receiver.returncode}:\n{_said(this)}")
            return this.measured()


def _two_hosts(flow: Flow) -> str:
    """Return the pipeline file, its source for the head's host and its sink for the joined one."""
    source, _one, rest = pipeline_toml(flow, "memory", {}).partition("processes = 1\n")
    sink = rest.replace("processes = 1\n", f'constraints = ["host == {JOINED}"]\n', 1)
    return f'{source}constraints = ["host == {HEAD}"]\n{sink}'


@contextmanager
def _started(
    this: Trial, host: Host, name: str, folder: Path, *words: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command on ``host`` until the block ends; what it says goes to a file."""
    with (this.folder / f"{name}.log").open("wb") as log:
        popen = subprocess.Popen(
            host.command(*words),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield popen
    finally:
        with suppress(subprocess.TimeoutExpired):
            popen.wait(STOP_S if popen.poll() is None else 0)
        host.power_off()
        popen.wait()


def _said(this: Trial) -> str:
    logs = (this.folder / f"{name}.log" for name in ("head", "joined"))
    return "\n".join(log.read_text(errors="replace")[-1_000:] for log in logs if log.exists())


def _give_key(host: Host, key: str) -> None:
    path = host.home / "config" / "runner" / "bench.key"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{key}\n")
    path.chmod(0o600)


def _await_listener(host: Host) -> None:
    deadline = time.monotonic() + STOP_S
    while not host.run("ss", "-H", "-l", "-n", "--tcp").stdout.strip():
        if time.monotonic() > deadline:
            raise TrialError("the receiver does not listen")


def comparisons(two: Lan, blobs: int, ints: int) -> list[Comparison]:
    """Return what is compared, and the bar of each."""
    mb_per_s = Reading("1 MiB over TLS", "MB/s", lambda run: run.rate * 2**20 / 1e6, Bar(0.6))
    items_per_s = Reading("ints over TLS", "items/s", lambda run: run.rate, Bar(0.8))
    here = replace(Ours(INTS), name="on one host")
    return [
        Comparison(Over(two, BLOBS), Raw(two), (blobs, blobs), (mb_per_s,)),
        Comparison(Over(two, INTS), here, (ints, ints), (items_per_s,)),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 if a run failed or a bar was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tls", description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--blobs", type=int, default=1_000, help="of 1 MiB, a run")
    parser.add_argument("--ints", type=int, default=3_000_000, help="a run")
    parser.add_argument("--only", choices=("blobs", "ints"))
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep every run as JSON")
    asked = parser.parse_args(arguments)
    rows, failed = [], False
    with lan(HEAD, JOINED) as two:
        every = comparisons(two, asked.blobs, asked.ints)
        for comparison in every if asked.only is None else every[asked.only == "ints" :][:1]:
            try:
                rows += comparison.rows(asked.pairs, _announcer(comparison))
            except TrialError as fault:
                failed = True
                print(f"no number for {comparison.readings[0].what}: {fault}", file=sys.stderr)
    print(machine())
    print(f"median (lowest-highest) of {asked.pairs} interleaved pairs, after a warm-up round\n")
    if rows:
        print(table(rows))
    if asked.json:
        asked.json.write_text(json.dumps({"rows": [row.as_json() for row in rows]}))
    missed = [row for row in rows if row.bar and not row.bar.reached(row.ratio.median)]
    return 1 if failed or missed else 0


def _announcer(comparison: Comparison) -> Callable[[int, Pair], None]:
    read = comparison.readings[0]

    def tell(number: int, pair: Pair) -> None:
        ours, theirs = (f"{read.number(run):,.0f}" for run in pair)
        words = f"pair {number + 1}: ours {ours}, {comparison.peer.name} {theirs} {read.unit}"
        print(words, file=sys.stderr)

    return tell


if __name__ == "__main__":
    sys.exit(main())
