"""The scenarios of the book of faults: each does a fault and says what came of it.

A quick one is smaller, and its bar is the same.
"""

from __future__ import annotations

import inspect
import signal
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from tests.e2e.projects import fresh_project
from tests.faults import durable, test_head_disk, test_head_kills, test_sources
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
from tests.head import test_signals
from tests.stock import killed, test_clients
from tests.worker import test_failures, test_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.kit import Ended, Project


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


def source_kills(_quick: bool) -> Outcome:
    whole = Outcome({"kinds": 0, "kills of each": test_sources.KILLS, "N of each": test_sources.N})
    began = time.monotonic()
    for kinds, name in enumerate(("generator", "async_generator", "cursor", "partitioned"), 1):
        with fresh_project() as project:
            test = test_sources.test_a_source_killed_20_times_emits_every_value_once
            whole.faults += _passes(test, project, name).faults
        whole.figures["kinds"] = kinds
    whole.figures |= {
        "lost or doubled": len(whole.faults),
        "seconds in all": time.monotonic() - began,
    }
    return whole


def power_goes(quick: bool) -> Outcome:
    return power_cuts(range(30 if quick else 200))


def torn(quick: bool) -> Outcome:
    outcome = cut_short(200 if quick else 1_000)
    flipped = one_bit_flipped(60 if quick else 300)
    return Outcome(outcome.figures | flipped.figures, outcome.faults + flipped.faults)


def disk_error(_quick: bool) -> Outcome:
    with fresh_project() as project:
        return run_into_a_disk_error(project, items=8_000)


def full_disk(_quick: bool) -> Outcome:
    with fresh_project() as project:
        small = inspect.unwrap(test_head_disk.small_state)(project)
        test = test_head_disk.test_a_full_disk_stops_nothing_for_good
        return _at_the_sink(project, _passes(test, project, small))


@contextmanager
def _ran(module: Any) -> Iterator[tuple[Project, Ended]]:
    """Give the run that the tests of ``module`` share."""
    with contextmanager(inspect.unwrap(module.ran))() as ran:
        yield ran


def _each(
    ran: tuple[Project, Ended], tests: list[tuple[Callable[..., None], tuple[str, ...]]]
) -> Outcome:
    outcome, project = Outcome(), ran[0]
    for test, names in tests:
        for name in names:
            outcome.faults += _passes(test, ran, name).faults
    letters = project.letters()
    outcome.figures |= {
        "kinds": len({name for _test, names in tests for name in names}),
        "dead letters of the run": len(letters),
        "charged attempts of each": ", ".join(sorted({str(one.attempts) for one in letters})),
    }
    return outcome


POISON = ("exits", "segfaults", "kills")
RAISING = ("raises", "system_exits", "interrupts", "unpicklable", "recurses")


def poison(_quick: bool) -> Outcome:
    with _ran(test_failures) as ran:
        alone = test_failures.test_an_item_that_fails_leaves_the_attempts_of_the_others_alone
        says = test_failures.test_what_takes_its_process_along_is_a_dead_letter_that_says_how
        runs = test_failures.test_a_poisonous_item_runs_once_for_each_attempt_and_at_most_once_more
        return _each(ran, [(alone, POISON), (says, POISON), (runs, POISON)])


def raising(_quick: bool) -> Outcome:
    with _ran(test_failures) as ran:
        alone = test_failures.test_an_item_that_fails_leaves_the_attempts_of_the_others_alone
        letter = test_failures.test_what_raises_is_a_dead_letter_with_its_traceback_and_its_payload
        lives = test_failures.test_a_worker_outlives_what_its_function_raises
        living = ("raises", "unpicklable", "interrupts")
        return _each(ran, [(alone, RAISING), (letter, RAISING), (lives, living)])


def endless(_quick: bool) -> Outcome:
    with fresh_project() as project:
        test = test_limits.test_an_endless_loop_is_killed_within_3_s_and_charged_alone
        outcome = _passes(test, project)
        outcome.figures["dead letters"] = len(project.letters())
        return outcome


def leak(_quick: bool) -> Outcome:
    with _ran(test_limits) as ran:
        outcome = _passes(test_limits.test_a_leak_is_recycled_in_good_order, ran)
        again = test_limits.test_recycling_loses_and_repeats_nothing
        outcome.faults += _passes(again, ran, "leaks").faults
        outcome.figures["processes used up"] = len(test_limits.calls(ran[0], "leaks"))
        return outcome


def backlog(_quick: bool) -> Outcome:
    with fresh_project() as project:
        return queue_a_backlog(project, items=1_000_000)


def cycle(_quick: bool) -> Outcome:
    with fresh_project() as project:
        test = test_limits.test_a_cycle_of_capacity_3_that_emits_50_an_item_drains_and_ends
        outcome = _passes(test, project)
        outcome.figures |= {"N": len(project.kept())}
        return outcome


def stop(_quick: bool) -> Outcome:
    with fresh_project() as project:
        test = test_signals.test_a_stop_under_load_drains_everything_and_exits_0
        outcome = _passes(test, project, signal.SIGTERM)
        outcome.figures |= {"N": len(project.kept())}
        outcome.figures["re-runs at the sink"] = len(project.notes()) - 1 - len(project.kept())
        return outcome


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
