"""Dead letters that go back or for good, and edges that are emptied: each once, when durable."""

from __future__ import annotations

from pipeline_runner.queues.broker.effects import Amended
from pipeline_runner.queues.broker.ranges import Range
from pipeline_runner.queues.broker.transaction import Redrive
from pipeline_runner.wire.messages import Done, End, Granted
from pipeline_runner.wire.repack import gather, name_of
from tests.queues.desk import Desk, failure, stocked
from tests.queues.durable import Durable
from tests.queues.shapes import graph

EDGE = "s->a"


def dead(n: int = 3) -> tuple[Desk, Redrive]:
    """A desk with a body of ``n`` items whose first is dead letter 1, and the way back for it."""
    desk = Desk(graph((("s", "a"), ("a", "b")), attempts=1), stocked(sa=[n]))
    worker = desk.worker("a-1", "a")
    lease = worker.claim(1)
    worker.settle(failed=[failure(lease, 0, item=b"the item")])
    desk.commit()
    (letter,) = desk.disk.letters
    assert letter.item == b"the item"
    return desk, Redrive(EDGE, letter.body, letter.index, letter.item)


def retry(desk: Desk, request: int, revival: Redrive) -> tuple[int, ...]:
    taken = desk.broker.retry(request, {1: revival})
    desk.carry_out()
    return taken


def test_a_retried_item_is_back_under_its_old_name_with_no_attempt_charged() -> None:
    desk, revival = dead()
    assert retry(desk, 5, revival) == (1,)
    assert desk.queued(EDGE) == [(1, 1, 3)]  # not before it is durable
    desk.commit()
    assert desk.effects[-1] == Amended(5, ok=True, closed=(1,))
    assert desk.queued(EDGE) == [(1, 1, 3), (2, 0, 1)]
    assert name_of(desk.disk.bodies[2].data, 2, 0) == (1, 0)
    assert {r.attempts for r in desk.broker.state.edges[EDGE].queue} == {0}
    assert desk.broker.state.stages["a"].dead == 0
    assert desk.disk.letters == []


def test_a_letter_that_is_asked_for_again_is_taken_once() -> None:
    desk, revival = dead()
    assert retry(desk, 1, revival) == (1,)
    assert retry(desk, 2, revival) == ()
    desk.commit()
    assert retry(desk, 3, revival) == ()
    assert not desk.waiting
    assert desk.broker.state.edges[EDGE].remaining == 3


def test_letters_go_back_together_and_what_they_hold_goes_with_the_last() -> None:
    desk, revival = dead(1)
    assert not desk.broker.state.bodies
    retry(desk, 1, revival)
    desk.commit()
    worker = desk.worker("a-2", "a")
    lease = worker.claim(4)
    assert (lease.body, lease.lo, lease.hi, lease.n) == (2, 0, 1, 1)
    assert worker.data[-1] == gather([((1, 0), b"the item")])
    worker.settle(Done(lease.token))
    desk.commit()
    assert not desk.broker.state.bodies
    assert not desk.disk.bodies


def test_a_step_that_finds_no_room_leaves_the_letter_to_be_asked_for_again() -> None:
    desk, revival = dead()
    retry(desk, 1, revival)
    desk.commit(ok=False)
    assert desk.effects[-1] == Amended(1, ok=False)
    assert desk.broker.state.stages["a"].dead == 1
    assert retry(desk, 2, revival) == (1,)


def test_a_retry_takes_back_the_end_of_its_stage_and_of_all_behind_it() -> None:
    desk, revival = dead(1)
    source = desk.worker("s-1", "s")
    source.emit(source.claim(1), 0, 0, finished=True)
    desk.commit_all()
    worker = desk.worker("a-2", "a")
    assert isinstance(worker.claim(1), End)
    assert all(stage.finished for stage in desk.broker.state.stages.values())
    retry(desk, 1, revival)
    desk.commit()
    assert desk.effects[-1] == Amended(1, ok=True, closed=(1,), reopened=("a", "b"))
    lease = worker.claim(1)
    assert isinstance(lease, Granted)
    worker.settle(Done(lease.token))
    desk.commit()
    assert all(stage.finished for stage in desk.broker.state.stages.values())


def test_a_restart_knows_which_letters_are_left() -> None:
    desk, revival = dead()
    before = desk.restart()
    assert retry(before, 1, revival) == (1,)
    before.commit()
    after = before.restart()
    assert retry(after, 1, revival) == ()
    assert after.broker.state.edges[EDGE].remaining == 3


def test_a_dropped_letter_leaves_nothing_on_the_edge() -> None:
    desk, _revival = dead()
    assert desk.broker.drop(4, (1, 99)) == (1,)
    desk.carry_out()
    desk.commit()
    assert desk.disk.letters == []
    assert desk.queued(EDGE) == [(1, 1, 3)]
    assert desk.broker.state.stages["a"].dead == 0


def test_purge_takes_all_that_nobody_holds_and_counts_it_as_work_of_nobody() -> None:
    desk = Desk(graph((("s", "a"), ("a", "b"))), stocked(sa=[4, 3]))
    worker = desk.worker("a-1", "a")
    lease = worker.claim(2)
    assert desk.broker.purge(9, EDGE) == 5
    desk.carry_out()
    assert desk.queued(EDGE) == []
    desk.commit()
    assert desk.effects[-1] == Amended(9, ok=True)
    assert desk.disk.ranges == {(EDGE, 1): [Range(1, 0, 2)]}
    assert desk.broker.state.stages["a"].consumed == 0
    worker.settle(Done(lease.token))
    desk.commit()
    assert not desk.disk.bodies
    assert abs(desk.broker.state.edges[EDGE].bytes) < 1e-6


def test_a_purge_that_cannot_be_made_durable_gives_everything_back() -> None:
    desk = Desk(graph((("s", "a"), ("a", "b"))), stocked(sa=[4]))
    before = desk.broker.state.edges[EDGE].bytes
    desk.broker.purge(1, EDGE)
    desk.carry_out()
    desk.commit(ok=False)
    assert desk.queued(EDGE) == [(1, 0, 4)]
    assert desk.broker.state.edges[EDGE].bytes == before
    assert desk.broker.state.edges[EDGE].remaining == 4


def test_purge_of_an_empty_edge_asks_nothing_of_the_disk() -> None:
    desk = Desk(graph((("s", "a"), ("a", "b"))), Durable())
    assert desk.broker.purge(1, EDGE) == 0
    desk.carry_out()
    assert not desk.waiting
