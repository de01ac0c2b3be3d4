from __future__ import annotations

from dataclasses import replace
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.plan.reconcile import (
    Action,
    Drain,
    Kill,
    Running,
    Slot,
    Start,
    reconcile,
    wake_at,
)

A0, A1, B0 = Slot("a", 0), Slot("a", 1), Slot("b", 0)
GRACE_S = 30.0


def worker(
    slot: Slot,
    pid: int = 1,
    spec: str = "v1",
    phase: Literal["running", "draining"] = "running",
    since: float = 0.0,
) -> Running:
    return Running(slot, pid, spec, phase, since)


def after(actual: list[Running], now: float = 1.0, **desired: str) -> list[Action]:
    slots = {Slot(name[0], int(name[1])): spec for name, spec in desired.items()}
    return reconcile(slots, actual, now, GRACE_S)


def test_what_is_missing_is_started() -> None:
    assert after([worker(A0)], a0="v1", a1="v1", b0="v2") == [Start(A1, "v1"), Start(B0, "v2")]


def test_what_runs_as_desired_is_left_alone() -> None:
    assert after([worker(A0, 1), worker(A1, 2)], a0="v1", a1="v1") == []


def test_what_is_not_desired_drains_the_newest_index_first() -> None:
    actions = after([worker(A0, 1), worker(A1, 2)])
    assert actions == [Drain(2, "no longer planned here"), Drain(1, "no longer planned here")]


def test_only_slots_on_an_old_spec_are_replaced() -> None:
    actions = after([worker(A0, 1, "v1"), worker(A1, 2, "v2")], a0="v2", a1="v2")
    assert actions == [Drain(1, "its settings or code changed")]


def test_a_slot_is_started_only_when_its_old_worker_is_gone() -> None:
    draining = worker(A0, 1, "v1", "draining", since=1.0)
    assert after([draining], a0="v2") == []
    assert after([], a0="v2") == [Start(A0, "v2")]


def test_a_worker_that_drains_is_replaced_although_its_spec_is_desired_again() -> None:
    assert after([worker(A0, 1, "v1", "draining", since=1.0)], a0="v1") == []


def test_a_worker_is_killed_when_its_grace_is_over_and_not_before() -> None:
    draining = worker(A0, 7, phase="draining", since=10.0)
    assert after([draining], now=39.9) == []
    assert after([draining], now=40.0) == [Kill(7)]
    assert wake_at([draining, worker(A1, 8)], GRACE_S) == 40.0
    assert wake_at([worker(A1, 8)], GRACE_S) is None


def test_of_two_workers_in_one_slot_the_older_stays() -> None:
    twins = [worker(A0, 2, since=5.0), worker(A0, 1, since=9.0)]
    assert after(twins, a0="v1") == [Drain(1, "another worker has its place")]


slots = st.builds(Slot, st.sampled_from("ab"), st.integers(0, 3))
specs = st.sampled_from(["v1", "v2"])
desires = st.dictionaries(slots, specs)
workers = st.lists(
    st.builds(
        Running,
        slots,
        st.integers(1, 99),
        specs,
        st.sampled_from(["running", "draining"]),
        st.floats(0, 50),
    ),
    unique_by=lambda running: running.pid,
    max_size=8,
)


def applied(actual: list[Running], actions: list[Action], now: float) -> list[Running]:
    """What runs a moment later on a host that does as it is told."""
    told = {action.pid for action in actions if isinstance(action, Drain)}
    killed = {action.pid for action in actions if isinstance(action, Kill)}
    left = [
        replace(running, phase="draining", since=now) if running.pid in told else running
        for running in actual
        if running.pid not in killed
    ]
    pid = max((running.pid for running in actual), default=0)
    for action in actions:
        if isinstance(action, Start):
            pid += 1
            left.append(Running(action.slot, pid, action.spec, "running", now))
    return left


@given(desires, workers, st.data())
def test_applied_actions_reach_what_is_desired_and_then_it_rests(
    desired: dict[Slot, str], actual: list[Running], data: st.DataObject
) -> None:
    now = 50.0
    for _ in range(4):
        actual = applied(actual, reconcile(desired, actual, now, GRACE_S), now)
        exits = data.draw(st.sets(st.sampled_from([0, *(running.pid for running in actual)])))
        actual = [r for r in actual if r.phase == "running" or r.pid not in exits]
        now += GRACE_S  # whoever did not exit by itself is killed in the next round
    assert {running.slot: running.spec for running in actual} == desired
    assert len(actual) == len(desired)
    assert reconcile(desired, actual, now, GRACE_S) == []


@given(desires, workers, st.floats(0, 100))
def test_no_slot_ever_has_a_second_worker_and_no_worker_two_orders(
    desired: dict[Slot, str], actual: list[Running], now: float
) -> None:
    actions = reconcile(desired, actual, now, GRACE_S)
    occupied = {running.slot for running in actual}
    started = [action.slot for action in actions if isinstance(action, Start)]
    stopped = [action.pid for action in actions if not isinstance(action, Start)]
    assert occupied.isdisjoint(started)
    assert len(started) == len(set(started))
    assert len(stopped) == len(set(stopped))


@given(desires, workers, st.permutations(range(8)))
def test_the_order_of_the_facts_does_not_matter(
    desired: dict[Slot, str], actual: list[Running], order: list[int]
) -> None:
    shuffled = [actual[i] for i in order if i < len(actual)]
    assert reconcile(desired, actual, 60.0, GRACE_S) == reconcile(desired, shuffled, 60.0, GRACE_S)
