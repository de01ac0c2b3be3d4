"""Thousands of schedules on the real broker, and a few on broken ones that have to be caught."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import pytest

from pipeline_runner.worker.session.ledger import Ledger
from tests.queues import planted
from tests.queues.schedule import Schedule
from tests.queues.simulator import ALWAYS_SEEN, Failure, run_seed, run_seeds
from tests.queues.traces import TRACES, Trace
from tests.queues.world import World

if TYPE_CHECKING:
    from pipeline_runner.queues.broker.broker import Broker

SEEDS = 2000
WITHIN = 200  # seeds until a planted bug has to be seen


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", range(0, SEEDS, 500))
def test_every_schedule_keeps_every_item_once_and_drains(first: int) -> None:
    count = run_seeds(range(first, first + 500))
    assert [kind for kind in ALWAYS_SEEN if not count[kind]] == []  # no fault was only planned


def test_the_broker_keeps_its_promises_to_a_ledger_that_sends_too_much_again() -> None:
    count: Counter[str] = Counter()
    for seed in range(WITHIN):
        count += run_seed(seed, make_ledger=planted.ResendsAll)
    assert count["settle sent again"] > 0
    assert count["settle refused"] > 0


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: trace.name)
def test_a_schedule_that_once_broke_the_protocol_drains_from_its_worst_moment(
    trace: Trace,
) -> None:
    world = World(trace.shape)
    trace.play(world)
    Schedule(world, Random(0)).run(steps=0)
    assert world.is_over


def first_caught(
    make_broker: type[Broker], make_ledger: type[Ledger] = Ledger, *, outcomes_only: bool = False
) -> Failure | None:
    for seed in range(WITHIN):
        try:
            run_seed(
                seed,
                make_broker=make_broker,
                make_ledger=make_ledger,
                outcomes_only=outcomes_only,
            )
        except Failure as failure:
            return failure
    return None


@pytest.mark.parametrize("outcomes_only", [False, True], ids=["each step", "only outcomes"])
@pytest.mark.parametrize(
    "broken", [planted.EmitsBeforeAck, planted.AcksBeforeEmit, planted.GetsDestructively]
)
def test_a_broker_that_loses_or_doubles_is_caught(
    broken: type[Broker], outcomes_only: bool
) -> None:
    failure = first_caught(broken, outcomes_only=outcomes_only)
    assert failure is not None
    assert "Broken" in str(failure)


@pytest.mark.parametrize(
    ("broken", "ledger"),
    [
        (planted.AcksBeforeDurable, Ledger),
        (planted.PublishesBeforeDurable, Ledger),
        (planted.EndsBeforeDurable, Ledger),
        (planted.SettlesInPart, planted.ResendsAll),
        (planted.AdoptsOnlyWhatIsNamed, Ledger),
        (planted.AdoptsLeniently, Ledger),
        (planted.ReusesBodyNumbers, Ledger),
        (planted.FreesWhatIsSettling, Ledger),
        (planted.ChargesTheFirst, Ledger),
        (planted.StepsWithoutCompare, Ledger),
        (planted.KeepsRefusedLeases, Ledger),
        (planted.StepsWithoutForerunner, Ledger),
        (planted.GatesInsideCycles, Ledger),
    ],
    ids=lambda value: value.__name__,
)
def test_a_broker_without_one_of_its_rules_is_caught(
    broken: type[Broker], ledger: type[Ledger]
) -> None:
    failure = first_caught(broken, ledger)
    assert failure is not None
    assert "Broken" in str(failure)
