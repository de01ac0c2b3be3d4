"""The scenarios of the book of faults: each does a fault and says what came of it.

A quick one is smaller, and its bar is the same.
"""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from tests.e2e.projects import fresh_project
from tests.faults import durable, test_head_kills
from tests.faults.backlog import queue_a_backlog
from tests.faults.badline import run_on_a_bad_line
from tests.faults.clock import run_while_the_clock_jumps
from tests.faults.disk_error import run_into_a_disk_error
from tests.faults.kills import run_with_kills
from tests.faults.marathon import run_a_marathon
from tests.faults.outcome import Outcome, totals
from tests.faults.planting import run_planted
from tests.faults.powercut import power_cuts
from tests.faults.torn import cut_short, one_bit_flipped
from tests.queues.managers import killed, test_clients

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.kit import Project


def worker_kills(quick: bool) -> Outcome:
    items, kills = (8_000, 25) if quick else (20_000, 150)
    with fresh_project() as project:
        ran = run_with_kills(project, items=items, kills=kills, seed=1)
    by_item = {str(place): value for place, value in enumerate(ran.kept)}
    outcome = totals(by_item, (2 * number for number in range(items)), len(ran.kept))
    del outcome.figures["re-runs at the sink"]
    outcome.figures |= {
        "kills": ran.kills,
        "leased at the kills": ran.leased,
        "re-runs": ran.calls.total() - items,
        "seconds in all": ran.seconds,
    }
    outcome.faults += [f"not {fact}" for fact in ran.faults(items)]
    return outcome


@contextmanager
def _unhurried() -> Iterator[None]:
    """Have sources take four times as long until all kills are done: nobody may end before."""

    def slowly(project: Project, source: str, items: int, *, pause_s: float) -> None:
        durable.write(project, source, items, pause_s=4 * pause_s)

    with mock.patch.object(test_head_kills, "write", slowly):
        yield


def head_kills(_quick: bool) -> Outcome:
    with fresh_project() as project, _unhurried():
        outcome = _passes(
            test_head_kills.test_25_kills_of_the_head_lose_nothing_and_double_nothing, project
        )
        return _at_the_sink(project, outcome)


def head_and_worker_kills(quick: bool) -> Outcome:
    whole = Outcome({"seeds": 0, "N": 0, "heads started": 0, "re-runs at the sink": 0})
    for seed in range(1, 3 if quick else 6):
        with fresh_project() as project, _unhurried():
            test = test_head_kills.test_heads_and_workers_killed_together_lose_nothing
            one = _at_the_sink(project, _passes(test, project, seed))
        whole.faults += one.faults
        whole.figures["seeds"] = seed
        for name in ("N", "heads started", "re-runs at the sink", "seconds in all"):
            whole.figures[name] = whole.figures.get(name, 0) + one.figures[name]  # type: ignore[operator]
    return whole


def stock_clients(_quick: bool) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="s-") as folder:
        ours, stock = (
            test_clients.killed(kind, str(Path(folder, kind)), sys.executable)
            for kind in ("ours", "stock")
        )
    outcome = Outcome(
        {
            "clients killed": killed.CLIENTS,
            "put": killed.ITEMS,
            "delivered": ours,
            "by the stock manager": stock,
        }
    )
    outcome.require(ours == killed.ITEMS, f"{ours} of {killed.ITEMS} were delivered")
    outcome.require(stock < killed.ITEMS, "the harness does not see the stock one's loss")
    return outcome


def bad_line(quick: bool) -> Outcome:
    each = 60 if quick else 200
    with fresh_project() as project:
        return run_on_a_bad_line(project, items=8_000, drops=each, cuts=each)


def bad_sealed_line(quick: bool) -> Outcome:
    each = 60 if quick else 200
    with fresh_project() as project:
        return run_on_a_bad_line(project, items=8_000, drops=each, cuts=each, sealed=True)


def power_goes(quick: bool) -> Outcome:
    return power_cuts(range(30 if quick else 200))


def torn(quick: bool) -> Outcome:
    outcome = cut_short(200 if quick else 1_000)
    flipped = one_bit_flipped(60 if quick else 300)
    return Outcome(outcome.figures | flipped.figures, outcome.faults + flipped.faults)


def disk_error(_quick: bool) -> Outcome:
    with fresh_project() as project:
        return run_into_a_disk_error(project, items=8_000)


def backlog(_quick: bool) -> Outcome:
    with fresh_project() as project:
        return queue_a_backlog(project, items=1_000_000)


def clock(_quick: bool) -> Outcome:
    with fresh_project() as project:
        return run_while_the_clock_jumps(project, items=8_000)


def marathon(_quick: bool) -> Outcome:
    with fresh_project() as project:
        return run_a_marathon(project, items=1_000_000, seed=1)


def planted(what: str, quick: bool) -> Outcome:
    """Run a head with a bug; the outcome has to have faults."""
    with fresh_project() as project:
        items, kills = (3_000, 12) if quick else (8_000, 40)
        return run_planted(project, what, items=items, kills=kills)


def _passes(test: Callable[..., None], *arguments: Any) -> Outcome:
    """Call a test; a failed assertion is a fault."""
    began, outcome = time.monotonic(), Outcome()
    try:
        test(*arguments)
    except AssertionError as error:
        outcome.faults.append(f"{test.__name__}: {str(error)[:300]}")
    outcome.figures["seconds in all"] = time.monotonic() - began
    return outcome


def _at_the_sink(project: Project, outcome: Outcome) -> Outcome:
    """Put before the figures what the notes of a ``keep`` sink tell: the test compared them."""
    notes = [note for note in project.notes() if note[0] == "keep"]
    values = [note[2] for note in notes]
    items = len({note[1] for note in notes})
    outcome.figures = {
        "N": len(set(values)),
        "duplicates": items - len(set(values)),
        "re-runs at the sink": len(notes) - items,
        "heads started": len(project.runs),
        **outcome.figures,
    }
    return outcome
