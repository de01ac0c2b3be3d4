"""Bugs planted in a real head: the totals that pass the real one have to see each of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.faults import altered
from tests.faults.kills import run_with_kills
from tests.faults.outcome import Outcome, totals

if TYPE_CHECKING:
    from tests.e2e.kit import Project

PLANTED = ("emit-then-ack", "ack-then-emit", "destructive-get")


def run_planted(project: Project, what: str, *, items: int, kills: int) -> Outcome:
    """Kill workers of a run whose head has a bug; what is found wrong are the outcome's faults."""
    project.start = partial(project.start, program=altered.program(what))  # type: ignore[method-assign]
    ran = run_with_kills(project, items=items, kills=kills, seed=3)
    by_item = {str(place): value for place, value in enumerate(ran.kept)}
    outcome = totals(by_item, (2 * number for number in range(items)), len(ran.kept))
    del outcome.figures["re-runs at the sink"]
    outcome.figures["kills"] = ran.kills
    return outcome
