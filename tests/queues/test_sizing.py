"""Rates and sizes: what a claim may spend, and how much a body or a lease should be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.queues.broker.ranges import Range
from pipeline_runner.queues.broker.sizing import (
    BACKLOG_SHARE,
    LONG_BODY_ITEMS,
    MOST_ITEMS,
    RateLimit,
    ServiceTimes,
    grow,
    items_for,
    with_backlog,
)
from pipeline_runner.queues.broker.stages import EdgeState
from pipeline_runner.queues.broker.topology import EdgeSpec
from pipeline_runner.wire.messages import Advance, Claim, Cursor, Done, Granted
from tests.queues.desk import Desk, stocked
from tests.queues.shapes import graph


def test_a_rate_is_spent_at_the_claim() -> None:
    desk = Desk(graph((("s", "a"),), rate=10.0), stocked(sa=[9]))
    worker = desk.worker("a-1", "a")
    assert worker.claim(64).hi == 1
    assert worker.claim(64) is None
    assert desk.broker.wake_at == pytest.approx(1000.1)
    desk.wait(0.1)
    assert worker.last(Granted).lo == 1


@given(
    st.sampled_from([0.5, 3.0, 20.0, 1000.0]),
    st.lists(st.tuples(st.floats(0.0, 0.4), st.integers(1, 64)), min_size=1, max_size=40),
)
def test_a_rate_is_never_exceeded_over_any_window(
    rate: float, tries: list[tuple[float, int]]
) -> None:
    limit = RateLimit(rate)
    burst = max(1.0, rate / 10)
    now = 0.0
    spent: list[tuple[float, int]] = []
    for pause, want in tries:
        now += pause
        take = min(want, limit.available(now))
        limit.spend(take)
        spent.append((now, take))
    for first, (start, _n) in enumerate(spent):
        total = 0
        for at, n in spent[first:]:
            total += n
            assert total <= burst + rate * (at - start) + 1e-6


def test_a_rate_that_is_due_is_available() -> None:
    limit = RateLimit(3.0)
    assert limit.available(1e6) == 1
    limit.spend(1)
    assert limit.available(1e6) == 0
    assert limit.available(limit.due() + 1e-9) == 1


def test_a_source_gets_back_the_rate_it_did_not_use_and_not_what_it_staged() -> None:
    desk = Desk(graph((("s", "a"),), rate=100.0))
    source = desk.worker("s-1", "s")
    limit = desk.broker.state.stages["s"].limit
    assert limit is not None
    desk.broker.state.edges["s->a"].hint = 8
    limit.tokens = 9.0
    lease = source.claim(64)
    assert lease.hi == 8
    source.stage(lease, 1, "s->a", 3)
    source.settle(
        Done(lease.token), out=[("s->a", 2)], staged=[1], advance=Advance(0, Cursor(1, 5))
    )
    assert limit.tokens == pytest.approx(9.0 - 5)


@given(st.integers(1, 5000), st.lists(st.integers(1, 9000), max_size=30))
def test_hints_grow_by_doubling_and_shrink_at_once(start: int, targets: list[int]) -> None:
    size = start
    for target in targets:
        after = grow(size, target)
        assert after == target if target <= size else size < after <= min(target, 2 * size)
        size = after


@given(st.floats(0.0, 1e4))
def test_a_body_is_about_twenty_milliseconds_of_work_and_never_empty(mean_s: float) -> None:
    items = items_for(mean_s)
    assert 1 <= items <= MOST_ITEMS
    assert items == 1 or items * mean_s <= 0.02 + 1e-9


def test_the_hint_of_an_edge_starts_at_one_and_follows_its_consumer() -> None:
    edge = EdgeState(EdgeSpec("s->a", "s", "a", 10_000))
    pace = ServiceTimes()
    assert edge.hint == 1
    pace.add(1000, 0.001)
    hints = []
    for _ in range(14):
        edge.adapt(pace)
        hints.append(edge.hint)
    assert hints[:4] == [2, 4, 8, 16]
    assert hints[-1] == edge.largest_body == 5000  # two fit the edge
    for _ in range(40):
        pace.add(1, 1.0)
    edge.adapt(pace)
    assert edge.hint == 1


@given(st.integers(1, 64), st.integers(0, 512), st.integers(0, 10**6))
def test_a_piece_of_a_long_queue_leaves_the_rest_to_others(
    wanted: int, most: int, queued: int
) -> None:
    piece = with_backlog(wanted, most, queued)
    assert wanted <= piece <= max(wanted, most)
    assert piece == wanted or piece * BACKLOG_SHARE <= queued


def test_a_lease_is_longer_behind_a_long_queue_and_shrinks_with_it() -> None:
    desk = Desk(durable=stocked(sa=[400]))
    worker = desk.worker("a-1", "a")
    taken = []
    while desk.broker.state.edges["s->a"].queue.queued:
        claim = Claim(worker.next_seq(), 2, most=10)
        desk.broker.claim(worker.session, claim, desk.now)
        desk.carry_out()
        lease = worker.last(Granted)
        taken.append(lease.hi - lease.lo)
        worker.settle(Done(lease.token))
        desk.commit()
    assert taken == sorted(taken, reverse=True)
    assert (taken[0], taken[-2]) == (10, 2)
    assert sum(taken) == 400


def test_the_hint_is_larger_behind_a_long_queue_of_small_items_alone() -> None:
    slow = ServiceTimes()
    slow.add(1, 1.0)
    hints = {}
    for size_bytes in (10, 100_000):
        edge = EdgeState(EdgeSpec("s->a", "s", "a", 100_000))
        edge.measure(size_bytes * 2, 2)
        edge.queue.push(Range(1, 0, 10_000))
        for _ in range(10):
            edge.adapt(slow)
        hints[size_bytes] = edge.hint
        edge.queue.pop(10_000, alone=True)
        edge.adapt(slow)
        assert edge.hint == 1
    assert hints == {10: LONG_BODY_ITEMS, 100_000: 1}


def test_a_grant_carries_a_hint_for_each_edge_out() -> None:
    desk = Desk(graph((("s", "a"), ("a", "b"), ("a", "c"))), stocked(sa=[1]))
    assert desk.worker("a-1", "a").claim().hints == (1, 1)


@given(st.lists(st.floats(1e-6, 10.0), min_size=1, max_size=50), st.floats(0.01, 1.0))
def test_a_quantile_is_within_a_bucket_of_the_true_one(times: list[float], share: float) -> None:
    pace = ServiceTimes()
    for time_s in times:
        pace.add(1, time_s)
    found = pace.quantile(share)
    assert found is not None
    at_most = sum(time_s <= found * 1.2 for time_s in times)
    below = sum(time_s < found / 1.2 for time_s in times)
    assert below < share * len(times) <= at_most


def test_a_few_slow_items_among_many_fast_ones_hardly_move_the_mean() -> None:
    times = ServiceTimes()
    for _ in range(20):
        times.add(4000, 4000 * 2e-6)
        times.add(5, 5 * 200e-6)  # retries that fail once more
    assert times.mean_s is not None
    assert items_for(times.mean_s) > 5000
