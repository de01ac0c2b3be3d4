"""Who hears first: whoever has new items to work on, before their maker is answered."""

from __future__ import annotations

from pipeline_runner.queues.broker.effects import Commit, Send
from pipeline_runner.wire.messages import Claim, Done, Granted, Output, Settle, Settled
from tests.queues.desk import CHAIN, Desk, Seat, stocked
from tests.queues.shapes import graph


def waiting_consumer(items: int = 2) -> tuple[Desk, Seat, Seat, Settle]:
    """A worker of b that waits, and the settle of a worker of a that has an item for it."""
    desk = Desk(graph(CHAIN), stocked(sa=[1] * items))
    maker, consumer = desk.worker("a-1", "a"), desk.worker("b-1", "b")
    assert consumer.claim() is None
    lease = maker.claim()
    outputs = (Output(("a->b",), 1, 3),)
    seq = maker.next_seq()
    settle = Settle(seq, (Done(lease.token),), outputs, claim=Claim(maker.next_seq(), 1))
    return desk, maker, consumer, settle


def test_in_memory_the_consumer_is_told_before_the_maker_is_answered() -> None:
    desk, maker, consumer, settle = waiting_consumer()
    desk.broker.settle(maker.session, settle, [b"abc"], desk.now)
    [commit] = desk.broker.take()
    assert isinstance(commit, Commit)
    desk.broker.committed(commit.pending, desk.now)  # at once, as a run in memory does
    told = desk.broker.take()
    assert [(one.session, type(one.message)) for one in told] == [(consumer.session, Granted)]
    rest = desk.broker.take()
    assert [(one.session, type(one.message)) for one in rest] == [
        (maker.session, Settled),
        (maker.session, Granted),  # of its next item
    ]
    assert not desk.broker.take()


def test_with_a_journal_the_makers_next_lease_waits_for_no_commit() -> None:
    desk, maker, _consumer, settle = waiting_consumer()
    desk.broker.settle(maker.session, settle, [b"abc"], desk.now)
    decided = []
    while effects := desk.broker.take():
        decided += effects
    assert [type(one) for one in decided] == [Commit, Send]
    assert (decided[1].session, type(decided[1].message)) == (maker.session, Granted)


def test_a_claim_that_came_with_a_settle_ends_with_its_connection() -> None:
    desk, maker, consumer, settle = waiting_consumer(1)
    desk.broker.settle(maker.session, settle, [b"abc"], desk.now)
    desk.broker.closed(maker.session)  # while the settle is carried out
    maker.reconnect()
    desk.commit()
    assert consumer.all(Granted)
    assert desk.broker.state.workers["a-1"].parked is None
    assert not desk.broker.state.stages["a"].parked
