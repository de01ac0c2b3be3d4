"""Answers to SETTLE that never arrive, and frames cut in the middle, on the way to every worker."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.e2e.kit import until
from tests.faults import altered, durable
from tests.faults.outcome import Outcome, totals
from tests.faults.proxy import line
from tests.faults.sealed_line import sealed_line

if TYPE_CHECKING:
    from tests.e2e.kit import Project


def run_on_a_bad_line(
    project: Project, *, items: int, drops: int, cuts: int, sealed: bool = False
) -> Outcome:
    """Run ``items`` through two hops whose workers lose their connection ``drops + cuts`` times.

    ``sealed``: they are connected over TLS, as those of another host are.
    """
    pause_s = 0.1 if sealed else 0.02  # to connect takes longer: there must be items left to lose
    durable.write(project, "counted", items, pause_s=pause_s, settings="processes = 3")
    began = time.monotonic()
    what, between = ("bad-sealed-line", sealed_line) if sealed else ("bad-line", line)
    with between(project, drops=drops, cuts=cuts, seed=1) as bad:
        run = project.start("--no-import", program=altered.program(what))
        until(lambda: bad.is_through or run.popen.poll() is not None, "every fault", within_s=120)
        project.open_gate("fast")
        through = time.monotonic()
        ended = run.wait(within_s=60)
        drained = time.monotonic() - through
    notes = [note for note in project.notes() if note[0] == "keep"]
    outcome = totals(
        {note[1]: note[2] for note in notes}, (n * n for n in range(items)), len(notes)
    )
    outcome.figures |= {
        "answers dropped": bad.dropped,
        "frames cut": bad.cut,
        "seconds in all": time.monotonic() - began,
        "drained in s": drained,
    }
    outcome.require(ended.code == 0, f"exit code {ended.code}: {ended.err[-300:]}")
    outcome.require(bad.is_through, f"only {bad.dropped} drops and {bad.cut} cuts were done")
    outcome.require(drained < 30, f"drained in {drained:.0f} s")
    deaths = sum(stage["failed"] for stage in (ended.snapshot or {"stages": []})["stages"])
    outcome.require(not deaths, f"{deaths} attempts were charged for a bad line")
    return outcome
