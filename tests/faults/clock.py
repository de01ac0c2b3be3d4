"""The wall clock of every process jumps a day ahead, and two days back, while items are in work."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from tests.e2e.kit import chain, stage, until
from tests.faults.outcome import Outcome, totals

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.kit import Project, Run

DAY_S = 86_400

# Python imports it in every process that finds it: the head, the agent, each worker.
SITE = """\
import os
import time

_time, _time_ns = time.time, time.time_ns
_folder = os.environ["CLOCK"]


def _offset_s():
    try:
        with open(_folder + "/offset") as file:
            return int(file.read() or 0)
    except OSError:
        return 0


time.time = lambda: _time() + _offset_s()
time.time_ns = lambda: _time_ns() + _offset_s() * 10**9
open(_folder + f"/process-{os.getpid()}", "w").close()
"""
FUNCTIONS = """\
import os
import time

from kept import keep, note, pass_gate


def numbers():
    for number in range({items}):
        if number == {items} // 2:
            pass_gate("half")
        yield number


def square(number):
    if number in (10, {items} - 10):
        note("began", number, time.time())
        pass_gate(f"gate-{{number}}")
    return number * number


def flaky(number):
    note("flaky", number)
    if number == 400 and not os.path.exists(os.environ["RUNNER_OUTPUT"] + "/failed"):
        open(os.environ["RUNNER_OUTPUT"] + "/failed", "w").close()
        raise ValueError("once")
    return number
"""


def run_while_the_clock_jumps(project: Project, *, items: int) -> Outcome:
    """Run ``items`` through three hops; the clock jumps while leases and a retry are held."""
    document = stage("numbers", "functions:numbers") + stage("keep", "kept:keep")
    # A limit on items, a wait for a retry, and a journal: whatever might look at a clock.
    document += stage("square", "functions:square", 'timeout = "60s"\nprocesses = 2')
    document += stage("flaky", "functions:flaky", 'retry = { backoff = "500ms" }')
    project.write(
        FUNCTIONS.format(items=items), document + chain("numbers", "square", "flaky", "keep")
    )
    file = project.root / "pipeline.toml"
    file.write_text(file.read_text().replace('durability = "memory"', 'durability = "fsync"'))
    site = project.root / "clock"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE)
    paths = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))
    began = time.monotonic()
    run = project.start("--no-import", environment={"PYTHONPATH": paths, "CLOCK": str(site)})
    _await(project, 10)
    _set(site, DAY_S)
    workers = _lasting(run)
    project.open_gate("half")
    project.open_gate("gate-10")
    ahead = _await(project, items - 10)
    _set(site, -DAY_S)
    # Beats go to and fro under the new clock before anything more is done.
    until(lambda: run.look().get("hosts", [{}])[0].get("seen_s", 9) < 1, "a beat")
    survived = workers == _lasting(run)
    shifted = len(list(site.glob("process-*")))
    project.open_gate(f"gate-{items - 10}")
    ended = run.wait()
    notes = [note for note in project.notes() if note[0] == "keep"]
    by_id = {note[1]: note[2] for note in notes}
    outcome = totals(by_id, (number * number for number in range(items)), len(notes))
    calls = sum(note[0] == "flaky" for note in project.notes())
    failed = ended.stage("flaky")["failed"]
    outcome.figures |= {
        "re-runs in the middle": calls - items - failed,
        "processes under the clock": shifted,
        "a worker's clock was ahead by s": ahead - time.time(),
        "workers lost": int(not survived),
        "seconds in all": time.monotonic() - began,
    }
    outcome.require(ended.code == 0, f"exit code {ended.code}: {ended.err[-300:]}")
    outcome.require(calls - items - failed == 0, "items ran again though nobody died")
    outcome.require(shifted >= len(workers) + 3, "not every process had the clock")
    outcome.require(ahead - time.time() > DAY_S / 2, "the clock did not jump")
    outcome.require(survived, "workers were replaced")
    return outcome


def _await(project: Project, number: int) -> float:
    """Wait until ``number`` is in work; return what time it was for its worker."""

    def began() -> float:
        found = [note[2] for note in project.notes() if note[:2] == ("began", number)]
        return float(found[0]) if found else 0.0

    return float(until(began, f"item {number} is in work"))


def _lasting(run: Run) -> set[int]:
    """Return the workers of the stages that go on to the end."""
    return {pid for name in ("square", "flaky", "keep") for pid in run.workers(name)}


def _set(site: Path, offset_s: int) -> None:
    part = site / "offset.part"
    part.write_text(str(offset_s))
    part.replace(site / "offset")
