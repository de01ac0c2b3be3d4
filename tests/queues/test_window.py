"""Of a long queue only the front is in memory: nobody can tell from what is granted."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.queues.broker import admin
from pipeline_runner.queues.broker.ages import Ages
from pipeline_runner.queues.broker.effects import Amended
from pipeline_runner.queues.broker.inspection import backlogs, first
from pipeline_runner.queues.broker.paged_out import PagedOut
from pipeline_runner.queues.broker.transaction import Redrive
from pipeline_runner.wire.messages import Done, Granted, Held
from pipeline_runner.wire.repack import name_of
from tests.queues.desk import Desk, failure, held, stocked
from tests.queues.places import check_places
from tests.queues.shapes import graph
from tests.queues.world import Disk

if TYPE_CHECKING:
    import pytest

    from pipeline_runner.queues.broker.stages import EdgeState

EDGE = "s->a"
LINE = graph((("s", "a"), ("a", "b")), attempts=1)


def long_queue(bodies: int = 20, *, window: int = 2) -> Desk:
    """A desk whose edge has ``bodies`` of three items, all but the first few out of memory."""
    return Desk(LINE, stocked(sa=[3] * bodies), window=window)


def edge_of(desk: Desk) -> EdgeState:
    return desk.broker.state.edges[EDGE]


def check(desk: Desk) -> None:
    """Every item is in one place."""
    check_places(desk.broker.state, Disk(desk.disk, desk.waiting))


def test_items_are_granted_in_order_across_the_window() -> None:
    desk = long_queue()
    worker = desk.worker("a-1", "a")
    for number in range(1, 21):
        assert len(edge_of(desk).queue.ready) <= 2
        lease = worker.claim(3)
        assert (lease.body, lease.lo, lease.hi) == (number, 0, 3)
        worker.settle(Done(lease.token))
        desk.commit()
        check(desk)
    assert worker.claim(3) is None
    assert (edge_of(desk).remaining, desk.broker.state.held_bytes) == (0, 0)


def test_what_does_not_fit_the_window_is_not_in_memory() -> None:
    desk = long_queue(window=4)
    assert sorted(desk.broker.state.bodies) == [1, 2]
    assert edge_of(desk).queue.queued == 60
    (backlog, _other) = backlogs(desk.broker.state, Ages(), 0.0)
    assert (backlog.queued, backlog.size_bytes) == (60, 600)


def test_a_worker_keeps_over_a_restart_what_lies_past_the_window() -> None:
    desk = long_queue()
    before = desk.worker("a-1", "a")
    leases = [before.claim(3) for _ in range(12)]
    after = desk.restart(closed_for=10)
    again = after.worker("a-1", "a")
    assert 12 not in after.broker.state.bodies
    kept = again.adopt(held(leases[11]), held(leases[6], ((1, 2),)), held(leases[0]))
    assert [spans for _token, spans in kept] == [((0, 3),), ((1, 2),), ((0, 3),)]
    again.settle(Done(kept[0][0]), Done(kept[1][0]))
    after.commit()
    check(after)
    assert edge_of(after).remaining == 60 - 4
    assert again.adopt(Held(EDGE, 99, ((0, 1),), 0, False)) == [(0, ())]  # there is no such body


def test_an_edge_is_emptied_past_its_window_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "_PIECE", 7)
    desk = long_queue()
    lease = desk.worker("a-1", "a").claim(1)
    assert desk.broker.purge(5, EDGE) == 59
    desk.carry_out()
    steps = 0
    while desk.waiting:
        assert Amended(5, ok=True) not in desk.effects
        desk.commit()
        steps += 1
    check(desk)
    assert steps == 4  # what was in memory, and three pieces
    assert desk.effects[-1] == Amended(5, ok=True)
    assert (edge_of(desk).remaining, abs(edge_of(desk).bytes) < 1e-6) == (1, True)
    assert list(desk.disk.ranges) == [(EDGE, lease.body)]


def test_a_purge_that_fails_midway_leaves_the_rest_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "_PIECE", 7)
    desk = long_queue()
    desk.broker.purge(5, EDGE)
    desk.carry_out()
    desk.commit()
    desk.commit(ok=False)
    assert desk.effects[-1] == Amended(5, ok=False)
    check(desk)
    left = edge_of(desk).remaining
    assert 0 < left < 60
    worker = desk.worker("a-1", "a")
    assert sum(worker.claim(3).hi for _ in range(left // 3)) == left


def test_a_letter_goes_back_once_to_a_body_that_is_past_the_window() -> None:
    desk = long_queue()
    worker = desk.worker("a-1", "a")
    leases = [worker.claim(1), *(worker.claim(3) for _ in range(9))]
    failed = failure(leases[9], leases[9].lo, item=b"the item")
    worker.settle(failed=[failed])  # of a body whose others stay queued
    desk.commit()
    after = desk.restart()
    letter = after.disk.letters[0]
    assert letter.item == b"the item"
    assert letter.body not in after.broker.state.bodies
    back = Redrive(EDGE, letter.body, letter.index, letter.item)
    assert after.broker.retry(1, {1: back}) == (1,)
    after.carry_out()
    pending = after.waiting.popleft()
    after.disk.apply(pending.step)  # it is durable, and whoever claims now reads all there is
    seat = after.worker("a-1", "a")
    while seat.claim(3) is not None:
        pass
    after.broker.committed(pending, after.now)
    after.carry_out()
    seen = seat.all(Granted)
    bodies = after.disk.bodies
    items = [
        name_of(bodies[lease.body].data, lease.body, index)
        for lease in seen
        for index in range(lease.lo, lease.hi)
    ]
    assert sorted(items) == [(body, index) for body in range(1, 21) for index in range(3)]


def test_a_copied_body_may_be_in_memory_for_one_edge_alone() -> None:
    desk = Desk(graph((("s", "a"), ("s", "b"))), window=2)
    source = desk.worker("s-1", "s")
    for number in range(6):
        source.emit(source.claim(), number, 1)
        desk.commit()
    ahead, behind = desk.worker("a-1", "a"), desk.worker("b-1", "b")
    for _ in range(6):  # one edge is empty before the other has moved
        ahead.settle(Done(ahead.claim().token))
        desk.commit()
        check(desk)
    assert [behind.claim().body for _ in range(6)] == sorted(desk.disk.bodies)


def test_looking_sees_past_the_window_and_takes_nothing_in() -> None:
    desk = long_queue()
    seen, bodies = first(desk.broker.state, EDGE, 14)
    assert [(one.body, one.place) for one in seen] == [(1 + n // 3, n % 3) for n in range(14)]
    assert list(bodies) == [1, 2, 3, 4, 5]
    assert len(desk.broker.state.bodies) < 5


numbers = st.lists(st.integers(1, 60), unique=True).map(sorted)
moves = st.tuples(st.sampled_from(["add", "drop", "pick", "join"]), st.integers(1, 99))


@given(numbers, st.lists(moves))
def test_a_tail_is_an_ascending_list(start: list[int], moves: list[tuple[str, int]]) -> None:
    tail, model = PagedOut(array("q", start), len(start)), list(start)
    for move, number in moves:
        if move == "add" and (not model or number > model[-1]):
            tail.add(number, 1)
            model.append(number)
        elif move == "drop":
            count = min(number, len(model))
            assert list(tail.first(number)) == model[:number]
            tail.drop(count, count)
            del model[:count]
        elif move == "pick":
            assert tail.pick(number) == (number in model)
            if number in model:
                model.remove(number)
                tail.items -= 1
        elif move == "join" and number not in model:
            tail.join(PagedOut(array("q", [number]), 1))
            model = sorted([*model, number])
        assert (list(tail), len(tail), tail.items) == (model, len(model), len(model))
        assert not model or tail.last == model[-1]
