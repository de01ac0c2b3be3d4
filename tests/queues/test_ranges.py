from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.queues.broker.edge_queue import EdgeQueue
from pipeline_runner.queues.broker.ranges import (
    Range,
    Spans,
    intersect,
    size,
    subtract,
    union,
    well_formed,
)

indexes = st.frozensets(st.integers(0, 24))


def spans_of(members: frozenset[int] | set[int]) -> Spans:
    """The one spans tuple of a set of indexes, built without the code under test."""
    spans: list[tuple[int, int]] = []
    for index in sorted(members):
        if spans and spans[-1][1] == index:
            spans[-1] = (spans[-1][0], index + 1)
        else:
            spans.append((index, index + 1))
    return tuple(spans)


def members(spans: Spans) -> set[int]:
    return {index for lo, hi in spans for index in range(lo, hi)}


@given(indexes, indexes)
def test_union_intersect_and_subtract_are_those_of_sets(
    a: frozenset[int], b: frozenset[int]
) -> None:
    first, second = spans_of(a), spans_of(b)
    assert union(first, second) == spans_of(a | b)
    assert intersect(first, second) == spans_of(a & b)
    assert subtract(first, second) == spans_of(a - b)
    assert size(first) == len(a)


@given(indexes)
def test_spans_in_their_one_form_are_well_formed(a: frozenset[int]) -> None:
    assert well_formed(spans_of(a))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=4))
def test_well_formed_accepts_only_the_one_form_of_a_set(spans: list[tuple[int, int]]) -> None:
    given_spans = tuple(spans)
    assert well_formed(given_spans) == (given_spans == spans_of(members(given_spans)))


@given(indexes, st.lists(st.tuples(st.integers(0, 24), st.integers(0, 24)), max_size=4))
def test_intersect_never_counts_an_index_twice_when_a_peer_names_it_twice(
    a: frozenset[int], spans: list[tuple[int, int]]
) -> None:
    named = tuple(spans)
    assert intersect(spans_of(a), named) == spans_of(a & members(named))


ranges = st.builds(
    lambda body, lo, n, attempts, suspect: Range(body, lo, lo + n, attempts, suspect),
    st.integers(1, 3),
    st.integers(0, 5),
    st.integers(1, 6),
    st.integers(0, 2),
    st.booleans(),
)


def held(queue: EdgeQueue) -> list[tuple[int, int, int, bool]]:
    return sorted(
        (r.body, index, r.attempts, r.suspect) for r in queue for index in range(r.lo, r.hi)
    )


@given(
    st.lists(st.tuples(ranges, st.booleans())),
    st.lists(st.tuples(st.integers(1, 8), st.booleans())),
)
def test_pop_takes_each_item_once_and_loses_none(
    pushed: list[tuple[Range, bool]], pops: list[tuple[int, bool]]
) -> None:
    queue = EdgeQueue()
    for item, front in pushed:
        queue.push(item, front=front)
    before = held(queue)
    taken: list[tuple[int, int, int, bool]] = []
    for want, alone in pops:
        popped = queue.pop(want, alone=alone)
        if popped is None:
            assert not queue.ready_items or (queue.suspects and not alone)
            continue
        assert popped.hi - popped.lo <= want
        assert not popped.suspect or (alone and popped.hi - popped.lo == 1)
        spread = range(popped.lo, popped.hi)
        taken += [(popped.body, index, popped.attempts, popped.suspect) for index in spread]
        assert queue.ready_items == len(held(queue))
    assert sorted(held(queue) + taken) == before


@given(
    st.lists(st.integers(1, 5), min_size=1), st.lists(st.integers(1, 4), min_size=30, max_size=60)
)
def test_pop_is_first_in_first_out(sizes: list[int], wants: list[int]) -> None:
    queue = EdgeQueue()
    for body, n in enumerate(sizes):
        queue.push(Range(body, 0, n))
    expected = [(body, i) for body, n in enumerate(sizes) for i in range(n)]
    seen: list[tuple[int, int]] = []
    for want in wants * 5:
        item = queue.pop(want, alone=False)
        if item is not None:
            seen += [(item.body, i) for i in range(item.lo, item.hi)]
    assert seen == expected[: len(seen)]
    assert queue.queued == len(expected) - len(seen)


@given(st.lists(st.tuples(ranges, st.floats(0, 10))), st.floats(0, 10))
def test_wake_frees_exactly_what_is_due(later: list[tuple[Range, float]], now: float) -> None:
    queue = EdgeQueue()
    for item, due in later:
        queue.push_later(item, due)
    total = queue.queued
    woke = queue.wake(now)
    due_items = sum(item.hi - item.lo for item, due in later if due <= now)
    assert woke == (due_items > 0)
    assert queue.ready_items == due_items
    assert queue.queued == total


@given(st.lists(ranges), ranges, indexes)
def test_adopt_takes_only_equals_and_leaves_the_rest(
    pushed: list[Range], like: Range, named: frozenset[int]
) -> None:
    queue = EdgeQueue()
    seen: set[tuple[int, int]] = set()
    for item in pushed:  # an index is in one place
        free = members(((item.lo, item.hi),)) - {i for b, i in seen if b == item.body}
        seen |= {(item.body, i) for i in free}
        for lo, hi in spans_of(free):
            queue.push(Range(item.body, lo, hi, item.attempts, item.suspect))
    before = held(queue)
    taken = queue.adopt(like.body, spans_of(named), like.attempts, suspect=like.suspect)
    expected = {
        index
        for body, index, attempts, suspect in before
        if (body, attempts, suspect) == (like.body, like.attempts, like.suspect) and index in named
    }
    assert taken == spans_of(expected)
    back = [(like.body, i, like.attempts, like.suspect) for i in expected]
    assert sorted(held(queue) + back) == before
    assert queue.ready_items == len(held(queue))


@given(st.sets(st.integers(0, 200)), st.lists(st.integers(0, 200), min_size=5, unique=True))
def test_many_single_indexes_are_taken_out_in_whatever_order(
    here: set[int], gone: list[int]
) -> None:
    spans = union(tuple((index, index + 1) for index in here), ())
    left = subtract(spans, tuple((index, index + 1) for index in gone))
    assert {index for lo, hi in left for index in range(lo, hi)} == here - set(gone)
    assert well_formed(left)
