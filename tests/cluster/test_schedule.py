"""When hosts ask, when heads announce, and how often one is answered."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.cluster.schedule import Allowance, Allowances, announces, asks

dice = st.floats(0, 1, exclude_max=True)


@given(throw=dice)
def test_a_host_asks_often_at_first_and_every_two_seconds_then(throw: float) -> None:
    times = list(itertools.islice(asks(lambda: throw), 10))
    assert times[:5] == [0, 0.05, 0.15, 0.4, 1.0]
    gaps = [b - a for a, b in itertools.pairwise(times[4:])]
    assert all(1.4999 < gap < 2.5001 for gap in gaps)


@given(throw=dice)
def test_a_head_costs_an_idle_network_at_most_one_packet_in_30_s(throw: float) -> None:
    times = list(itertools.islice(announces(lambda: throw), 10))
    assert times[:3] == [0, 0.2, 1.0]
    gaps = [b - a for a, b in itertools.pairwise(times[2:])]
    assert all(29.9999 < gap < 34 for gap in gaps)


def test_an_allowance_is_a_burst_and_then_so_many_a_second() -> None:
    allowed = Allowance(per_s=2, burst=3, now=10)
    assert [allowed.take(10) for _ in range(4)] == [True, True, True, False]
    assert [allowed.take(10.5), allowed.take(10.5)] == [True, False]
    assert [allowed.take(100) for _ in range(4)] == [True, True, True, False]


@given(steps=st.lists(st.floats(-1, 1), max_size=100))
def test_no_clock_makes_an_allowance_larger(steps: list[float]) -> None:
    allowed = Allowance(per_s=1, burst=2, now=0)
    now = forward = 0.0
    taken = 0
    for step in steps:
        now += step
        forward += max(0.0, step)
        taken += allowed.take(now)
    assert taken <= 2 + forward + 1e-6


def test_one_question_that_is_repeated_too_often_takes_nothing_from_another() -> None:
    allowed = Allowances(per_s=1, burst=2, times_all=10, now=0)
    assert sum(allowed.take(b"again", 0) for _ in range(100)) == 2
    assert allowed.take(b"new", 0)


def test_all_questions_together_are_bounded_too_and_so_is_what_is_remembered_of_them() -> None:
    allowed = Allowances(per_s=1, burst=2, times_all=10, now=0)
    assert sum(allowed.take(b"%d" % n, 0) for n in range(5000)) == 20
    assert len(allowed._each) == allowed._MOST
