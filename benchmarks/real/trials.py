"""One run of one job: a process is started, ends, and what its sink told is compared."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.families import found
from benchmarks.measure import TrialError
from benchmarks.ours import command
from benchmarks.real import jobs

ROOT = Path(__file__).parents[2]
DEADLINE_S = 300.0
_LOOPBACK_ONLY = 'ip link set lo up && exec "$@"'


@dataclass(frozen=True, slots=True)
class Job:
    """A job, how large it is, and its ``bars``: ours over a peer's time, at most, by peer."""

    name: str
    says: str
    size: int
    workers: int | None = None  # as many as there are cores
    bars: tuple[tuple[str, float], ...] = ()

    @property
    def processes(self) -> int:
        """How many processes work on it."""
        return self.workers or len(os.sched_getaffinity(0))


JOBS = {
    job.name: job
    for job in (
        Job(
            "wordcount",
            "every name in every file of the standard library, counted; a row a file in SQLite",
            100_000,
            bars=(("pool", 1.05),),
        ),
        Job("thumbnails", "pictures drawn, encoded, decoded and shrunk; a file each", 150),
        Job("naps", "20 ms of waiting an item, in eight processes", 1_000, workers=8),
        Job("dicts", "rows of 1 KiB, changed a little", 200_000),
    )
}


@dataclass(frozen=True, slots=True)
class Peer:
    """Something to write a job with; ``needs`` its module, ``confined``: without any network."""

    name: str
    what: str
    needs: str = ""
    confined: bool = False

    def missing(self) -> str:
        """Return what would have to be installed first."""
        if self.needs and find_spec(self.needs) is None:
            return f"the module {self.needs}"
        if self.confined and found("unshare") is None:
            return "the program unshare"
        return ""


PEERS = {
    peer.name: peer
    for peer in (
        Peer("plain", "a loop in one process"),
        Peer("pool", "`multiprocessing.Pool`, `imap_unordered`"),
        Peer("futures", "`concurrent.futures.ProcessPoolExecutor`, `map`"),
        Peer("joblib", "joblib, `generator_unordered`", "joblib"),
        Peer("mpire", "mpire, `imap_unordered`", "mpire"),
        Peer("dask", "Dask distributed, `LocalCluster`, `map`", "distributed"),
        Peer("ray", "Ray, a task a chunk", "ray", confined=True),
    )
}


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole run: ``seconds`` from its start to its end, ``cpu_s`` of all its processes."""

    seconds: float
    cpu_s: float
    result: dict[str, Any]


def run_ours(job: Job, durability: str) -> Whole:
    """Run ``job`` as a user starts it: ``runner up`` on a folder. Raises TrialError."""
    with TemporaryDirectory(prefix="real-") as folder:
        project = Path(folder, "project")
        project.mkdir()
        shutil.copy(jobs.__file__, project / "jobs.py")
        file = project / "pipeline.toml"
        file.write_text(pipeline_toml(job, durability))
        return _run([*command(), "up", str(file), "--local"], job, Path(folder), {})


def pipeline_toml(job: Job, durability: str) -> str:
    """Return the pipeline: a source, the work in some processes, a sink."""
    name = job.name
    return f"""\
[pipeline]
name = "{name}"
durability = "{durability}"

[stages.items]
run = "jobs:{name}_items"

[stages.work]
run = "jobs:{name}_work"
processes = {job.processes}

[stages.sink]
run = "jobs:{name}_sink"

[[edges]]
from = "items"
to = "work"

[[edges]]
from = "work"
to = "sink"
"""


def run_peer(peer: Peer, job: Job) -> Whole:
    """Run ``job`` with a peer. Raises TrialError."""
    module = [sys.executable, "-m", "benchmarks.real.peers", peer.name, job.name]
    line = [*module, str(job.processes)]
    if peer.confined:
        unshare = [found("unshare") or "unshare", "--map-root-user", "--net"]
        line = [*unshare, "sh", "-c", _LOOPBACK_ONLY, "sh", *line]
    with TemporaryDirectory(prefix="real-") as folder:
        return _run(line, job, Path(folder), {"PYTHONPATH": os.fspath(ROOT)})


def _run(line: list[str], job: Job, folder: Path, more: dict[str, str]) -> Whole:
    environment = {name: value for name, value in os.environ.items() if name != _NO_BYTE_CODE}
    environment |= {
        **more,
        "REAL_OUT": os.fspath(folder),
        "REAL_SIZE": str(job.size),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # or it looks for an address others can reach
    }
    said = folder / "said"
    with said.open("wb") as out:
        started = time.perf_counter()
        process = subprocess.Popen(
            line, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
        try:
            usage = _ended(process, started + DEADLINE_S)
        except BaseException:
            process.kill()
            process.wait()
            raise
        seconds = time.perf_counter() - started
    if process.returncode:
        words = said.read_text(errors="replace")[-2_000:]
        raise TrialError(f"{' '.join(line[-6:])} ended with {process.returncode}:\n{words}")
    try:
        result = json.loads((folder / "result.json").read_text())
    except FileNotFoundError:
        raise TrialError("the run ended without its result") from None
    return Whole(seconds, usage, result)


_NO_BYTE_CODE = "PYTHONDONTWRITEBYTECODE"  # what is installed has its byte code, for everybody


def _ended(process: subprocess.Popen[bytes], deadline: float) -> float:
    """Wait for the end, and return the processor time of it and all that it waited for."""
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return usage.ru_utime + usage.ru_stime
        if time.perf_counter() > deadline:
            raise TrialError(f"not finished after {DEADLINE_S:.0f} s")
        time.sleep(0.002)
