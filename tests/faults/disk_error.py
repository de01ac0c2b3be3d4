"""``fdatasync`` fails under a real head: it ends at once, answers nothing, and nothing is lost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.e2e.kit import until
from tests.faults import altered, durable
from tests.faults.outcome import Outcome, totals

if TYPE_CHECKING:
    from tests.e2e.kit import Project


def run_into_a_disk_error(project: Project, *, items: int) -> Outcome:
    """Run ``items`` through two hops; fail every sync from the middle on; start again."""
    durable.write(project, "counted", items, pause_s=0.01)
    run = project.start("--no-import", program=altered.program("failing-sync"))
    until(lambda: len(project.notes()) > items / 8 or run.popen.poll() is not None, "items")
    project.open_gate(altered.FAILING)
    broken = run.wait(within_s=20)
    ended_at = time.monotonic()
    noted = (project.root / altered.NOTED).read_text().splitlines()
    project.open_gate("fast")
    began = time.monotonic()
    ended = durable.start(project).wait()
    notes = [note for note in project.notes() if note[0] == "keep"]
    by_id = {note[1]: note[2] for note in notes}
    outcome = totals(by_id, (number * number for number in range(items)), len(notes))
    failed = [float(line.split()[1]) for line in noted if line.startswith("failed ")]
    outcome.require(failed, "no sync failed")
    outcome.figures |= {
        "head gone after s": ended_at - failed[0] if failed else 0.0,
        "answers after the error": noted.count("answered"),
        "drained in s": time.monotonic() - began,
    }
    outcome.require(broken.code == 1, f"exit code {broken.code}: {broken.err[-300:]}")
    outcome.require("the disk under" in broken.err, f"it did not say why: {broken.err[-300:]}")
    outcome.require(failed and ended_at - failed[0] < 1, "the head lived on for over 1 s")
    outcome.require("answered" not in noted, "settles were acknowledged after the error")
    outcome.require(ended.code == 0, f"exit code {ended.code} of the restart")
    return outcome
