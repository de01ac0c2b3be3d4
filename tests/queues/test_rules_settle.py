"""States and SETTLE: rules 1 to 7."""

from __future__ import annotations

import pytest

from pipeline_runner.queues.broker.effects import Finished
from pipeline_runner.wire.messages import Done, End, Granted
from tests.queues.desk import Desk, failure, held, stocked
from tests.queues.durable import Durable
from tests.queues.shapes import graph


def test_settling_items_are_neither_claimed_adopted_nor_freed() -> None:
    desk = Desk(durable=stocked(sa=[1]))
    worker = desk.worker("a-1", "a")
    lease = worker.claim()
    worker.settle(Done(lease.token), out=[("a->b", 1)])

    assert desk.worker("a-2", "a").claim() is None
    again = worker.reconnect()
    assert again.adopt(held(lease)) == [(0, ())]
    desk.died("a-1", lease.token)
    assert desk.queued("s->a") == []
    assert desk.broker.state.edges["s->a"].remaining == 1

    desk.commit()
    assert desk.broker.state.edges["s->a"].remaining == 0
    assert desk.queued("a->b") == [(2, 0, 1)]


def test_outputs_are_claimed_only_after_their_commit() -> None:
    desk = Desk(durable=stocked(sa=[1]))
    worker, next_one = desk.worker("a-1", "a"), desk.worker("b-1", "b")
    lease = worker.claim()
    worker.settle(Done(lease.token), out=[("a->b", 1)])
    assert next_one.claim() is None
    desk.commit()
    assert next_one.last(Granted).body == 2


def test_changed_attempts_are_claimed_only_after_their_commit() -> None:
    desk = Desk(graph((("s", "a"),), backoff_s=0.0), stocked(sa=[1]))
    worker = desk.worker("a-1", "a")
    lease = worker.claim()
    worker.settle(failed=[failure(lease, 0)])
    assert worker.claim() is None
    desk.commit()
    assert worker.last(Granted).attempts == 1


def test_end_is_not_announced_while_the_last_settle_is_not_durable() -> None:
    desk = Desk(graph((("s", "a"),)), stocked(sa=[1]))
    source, worker = desk.worker("s-1", "s"), desk.worker("a-1", "a")
    lease = worker.claim()
    source.emit(source.claim(), 0, 0, finished=True)
    desk.commit()
    worker.settle(Done(lease.token))
    assert worker.claim() is None  # the last item is settling
    desk.commit(ok=False)
    assert worker.last(Granted).lo == 0  # and here it is again
    worker.settle(Done(worker.last(Granted).token))
    desk.commit()
    assert isinstance(worker.claim(), End)
    assert desk.effects == [Finished("s"), Finished("a")]


def test_end_waits_for_items_that_rest_before_their_retry() -> None:
    desk = Desk(graph((("s", "a"),), backoff_s=5.0), stocked(sa=[1]))
    source, worker = desk.worker("s-1", "s"), desk.worker("a-1", "a")
    source.emit(source.claim(), 0, 0, finished=True)
    desk.commit()
    lease = worker.claim()
    worker.settle(failed=[failure(lease, 0)])
    desk.commit()
    assert worker.claim() is None


def test_claim_half_is_answered_at_once_and_the_settle_after_its_commit() -> None:
    desk = Desk(durable=stocked(sa=[2]))
    worker = desk.worker("a-1", "a")
    lease = worker.claim()
    seq = worker.settle(Done(lease.token), claim=1)
    assert worker.last(Granted).lo == 1
    assert worker.ok(seq) is None
    desk.commit()
    assert worker.ok(seq) is True


def test_settle_with_one_foreign_index_is_refused_whole_and_its_own_return_uncharged() -> None:
    desk = Desk(durable=stocked(sa=[3]))
    first, other = desk.worker("a-1", "a"), desk.worker("a-2", "a")
    mine, theirs = first.claim(2), other.claim()
    seq = first.settle(Done(mine.token), Done(theirs.token), out=[("a->b", 1)])
    assert first.ok(seq) is False
    assert not desk.waiting
    assert desk.queued("s->a") == [(1, 0, 2)]
    assert desk.attempts("s->a") == {0: 0, 1: 0}
    other.settle(Done(theirs.token))  # untouched by the other's mistake
    desk.commit()
    assert desk.broker.state.edges["s->a"].remaining == 2


def test_resent_settle_is_refused_when_one_of_its_items_was_leased_again() -> None:
    """The trace of rule 5: without it an output is published twice."""
    desk = Desk(durable=stocked(sa=[2]))
    worker = desk.worker("a-1", "a", host="south")
    lease = worker.claim(2)
    # SETTLE[0, 1] is lost with the connection, and the host with it.
    desk.lost("south")
    other = desk.worker("a-2", "a")
    assert other.claim().lo == 0
    back = desk.worker("a-1", "a", host="south")
    (token, spans) = back.adopt(held(lease))[0]
    assert spans == ((1, 2),)
    seq = back.settle(Done(token, ((0, 2),)), out=[("a->b", 2)])
    assert back.ok(seq) is False
    assert not desk.waiting
    assert desk.queued("s->a") == [(1, 1, 2)]


@pytest.mark.parametrize(
    "spans",
    [((0, 1), (0, 1)), ((1, 2), (0, 1)), ((0, 1), (1, 2)), ((0, 0),), ((0, 4),), ((-1, 1),), ()],
)
def test_settle_with_malformed_spans_is_refused_and_loses_or_doubles_nothing(
    spans: tuple[tuple[int, int], ...],
) -> None:
    desk = Desk(durable=stocked(sa=[3]))
    worker = desk.worker("a-1", "a")
    lease = worker.claim(3)
    assert worker.ok(worker.settle(Done(lease.token, spans))) is False
    worker.give_back(lease.token)
    assert desk.queued("s->a") == [(1, 0, 3)]
    assert desk.broker.state.edges["s->a"].queue.queued == 3


def test_return_of_an_index_named_twice_queues_it_once() -> None:
    desk = Desk(durable=stocked(sa=[3]))
    worker = desk.worker("a-1", "a")
    lease = worker.claim(3)
    worker.give_back(lease.token, ((0, 2), (1, 3), (1, 2)))
    assert desk.broker.state.edges["s->a"].queue.queued == 3
    assert desk.queued("s->a") == [(1, 0, 3)]


def test_a_lease_settles_in_parts_and_out_of_order() -> None:
    desk = Desk(durable=stocked(sa=[4]))
    worker = desk.worker("a-1", "a")
    first, second = worker.claim(3), worker.claim(1)
    for done in (Done(second.token), Done(first.token, ((2, 3),)), Done(first.token, ((0, 1),))):
        seq = worker.settle(done, out=[("a->b", 1)])
        desk.commit()
        assert worker.ok(seq)
    assert desk.broker.state.edges["s->a"].remaining == 1
    assert desk.disk.ranges["s->a", 1][0].lo == 1
    assert worker.ok(worker.settle(Done(first.token, ((0, 1),)))) is False  # settled before


def test_settle_of_outputs_on_another_stages_edge_is_refused() -> None:
    desk = Desk(durable=stocked(sa=[1]))
    worker = desk.worker("a-1", "a")
    assert worker.ok(worker.settle(Done(worker.claim().token), out=[("s->a", 1)])) is False


def test_settle_that_names_an_edge_twice_is_refused() -> None:
    desk = Desk(durable=stocked(sa=[1]))
    worker = desk.worker("a-1", "a")
    assert worker.ok(worker.settle(Done(worker.claim().token), out=[("a->b a->b", 1)])) is False


def test_failed_commit_refuses_its_settle_and_queues_the_inputs_uncharged() -> None:
    desk = Desk(durable=stocked(sa=[1]))
    worker = desk.worker("a-1", "a")
    seq = worker.settle(Done(worker.claim().token), out=[("a->b", 1)])
    desk.commit(ok=False)
    assert worker.ok(seq) is False
    assert desk.attempts("s->a") == {0: 0}
    assert desk.queued("a->b") == []
    assert worker.claim().attempts == 0


def test_a_death_is_charged_in_the_end_though_its_commit_failed() -> None:
    desk = Desk(graph((("s", "a"),), backoff_s=0.0), stocked(sa=[1]))
    lease = desk.worker("a-1", "a").claim()
    desk.died("a-1", lease.token)
    desk.commit(ok=False)
    assert desk.queued("s->a") == []  # still on its way to the disk
    desk.commit()
    assert desk.attempts("s->a") == {0: 1}


def test_staged_outputs_are_invisible_until_their_settle_and_repeats_are_ignored() -> None:
    desk = Desk(durable=stocked(sa=[1]))
    worker, next_one = desk.worker("a-1", "a"), desk.worker("b-1", "b")
    lease = worker.claim()
    worker.stage(lease, 1, "a->b", 2)
    worker.stage(lease, 1, "a->b", 2)
    assert next_one.claim(9) is None
    seq = worker.settle(Done(lease.token), staged=[1])
    desk.commit()
    assert worker.ok(seq)
    granted = next_one.last(Granted)
    assert (granted.lo, granted.hi, granted.n) == (0, 2, 2)
    assert desk.broker.state.edges["a->b"].published == 2


def test_settle_is_refused_if_one_of_its_staged_outputs_is_missing() -> None:
    desk = Desk(durable=stocked(sa=[1]))
    worker = desk.worker("a-1", "a")
    lease = worker.claim()
    worker.stage(lease, 1, "a->b", 2)
    assert worker.ok(worker.settle(Done(lease.token), staged=[1, 2])) is False
    assert desk.queued("s->a") == [(1, 0, 1)]
    assert not desk.waiting


def test_staged_outputs_go_with_their_lease() -> None:
    desk = Desk(durable=stocked(sa=[1]))
    worker = desk.worker("a-1", "a")
    lease = worker.claim()
    worker.stage(lease, 1, "a->b", 2)
    worker.give_back(lease.token)
    again = worker.claim()
    assert worker.ok(worker.settle(Done(again.token), staged=[1])) is False


def test_returned_items_are_uncharged_and_first_in_their_queue() -> None:
    desk = Desk(durable=stocked(sa=[3]))
    worker = desk.worker("a-1", "a")
    lease = worker.claim(2)
    worker.give_back(lease.token, ((0, 1),))
    again = desk.worker("a-2", "a").claim(9)
    assert (again.lo, again.hi, again.attempts) == (0, 1, 0)
    assert worker.ok(worker.settle(Done(lease.token, ((0, 2),)))) is False


def test_a_body_goes_with_its_last_range_and_a_copied_one_with_the_last_on_either_edge() -> None:
    desk = Desk(graph((("s", "a"), ("s", "b"))))
    source = desk.worker("s-1", "s")
    source.emit(source.claim(), 0, 1)
    desk.commit()
    left, right = desk.worker("a-1", "a"), desk.worker("b-1", "b")
    ours, theirs = left.claim(), right.claim()
    assert ours.body == theirs.body
    left.settle(Done(ours.token))
    desk.commit()
    assert list(desk.broker.state.bodies) == [1] == list(desk.disk.bodies)
    right.settle(Done(theirs.token))
    desk.commit()
    assert not desk.broker.state.bodies
    assert not desk.disk.bodies


def test_a_body_in_hand_is_not_sent_again() -> None:
    desk = Desk(durable=stocked(sa=[2]))
    worker = desk.worker("a-1", "a")
    first = worker.claim()
    second = worker.claim(have=first.body)
    assert (first.size, second.size) == (20, 0)
    assert worker.data[-1] is None


def test_an_empty_disk_starts_an_empty_run() -> None:
    desk = Desk(durable=Durable())
    assert desk.worker("a-1", "a").claim() is None
