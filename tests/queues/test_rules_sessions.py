"""Sessions, ADOPT and the worker's ledger: rules 8 to 13."""

from __future__ import annotations

import pytest

from pipeline_runner.wire.messages import (
    Adopted,
    Done,
    End,
    Failure,
    Granted,
    Held,
    Output,
    Session,
    Settled,
)
from pipeline_runner.worker.session.ledger import Ledger
from tests.queues.desk import RUN, Desk, failure, held, owe, stocked
from tests.queues.shapes import graph

ONE = graph((("s", "a"),), backoff_s=0.0)


def test_new_session_closes_the_old_one_and_its_parked_claim() -> None:
    """The trace of rule 8: without it the old claim is granted and lost."""
    desk = Desk()
    old = desk.worker("a-1", "a")
    old.claim()
    new = old.reconnect()
    new.adopt()
    source = desk.worker("s-1", "s")
    source.emit(source.claim(), 0, 1)
    desk.commit()
    assert not old.all(Granted)
    assert not new.all(Granted)
    assert new.claim().lo == 0
    assert old.session not in desk.broker.state.sessions


def test_sessions_and_tokens_differ_over_reconnects_and_epochs() -> None:
    desk = Desk(durable=stocked(sa=[3]))
    worker = desk.worker("a-1", "a")
    first = worker.claim()
    second = worker.reconnect()
    after = desk.restart().worker("a-1", "a")
    sessions = [seat.last(Session).session for seat in (worker, second, after)]
    assert len(set(sessions)) == 3
    assert after.claim().token > first.token + 2**32


def test_adopt_frees_uncharged_what_it_does_not_name() -> None:
    """The trace of rule 9: a lease granted, and reset before it arrived, is stuck."""
    desk = Desk(durable=stocked(sa=[2]))
    worker = desk.worker("a-1", "a")
    lease = worker.claim()
    worker.claim()  # granted; the worker never hears of it
    again = worker.reconnect()
    assert again.adopt(held(lease))[0][1] == ((0, 1),)
    assert desk.queued("s->a") == [(1, 1, 2)]
    assert desk.attempts("s->a") == {1: 0}


def test_a_broken_connection_alone_frees_nothing() -> None:
    desk = Desk(durable=stocked(sa=[1]))
    worker = desk.worker("a-1", "a")
    worker.claim()
    desk.broker.closed(worker.session)
    desk.wait(3600.0)
    assert desk.worker("a-2", "a").claim() is None


def test_an_adopted_lease_has_a_new_token_and_the_old_one_is_fenced() -> None:
    desk = Desk(durable=stocked(sa=[1]))
    worker = desk.worker("a-1", "a")
    lease = worker.claim()
    again = worker.reconnect()
    ((token, _spans),) = again.adopt(held(lease))
    assert again.ok(again.settle(Done(lease.token))) is False
    assert again.ok(again.settle(Done(token))) is None


@pytest.mark.parametrize(
    ("edge", "body", "attempts", "suspect"),
    [
        ("t->a", 1, 1, False),  # two edges may share a body
        ("s->a", 2, 1, False),
        ("s->a", 1, 0, False),  # else a failure is charged twice
        ("s->a", 1, 2, False),
        ("s->a", 1, 1, True),
        ("no such edge", 1, 1, False),
        ("a->b", 1, 1, False),
    ],
)
def test_adopt_keeps_nothing_that_is_not_equal_to_the_durable(
    edge: str, body: int, attempts: int, suspect: bool
) -> None:
    topology = graph((("s", "a"), ("t", "a"), ("a", "b")), backoff_s=0.0)
    desk = Desk(topology, stocked(sa=[1], ta=[1], ab=[1]))
    worker = desk.worker("a-1", "a")
    worker.settle(failed=[failure(worker.claim(), 0)])
    desk.commit()
    again = worker.reconnect()
    wrong = Held(edge, body, ((0, 1),), attempts, suspect)
    right = Held("s->a", 1, ((0, 1),), 1, suspect=False)
    answers = again.adopt(wrong, right)
    assert answers[0] == (0, ())
    assert answers[1][1] == ((0, 1),)


def test_adopt_of_another_run_keeps_nothing_and_frees_all() -> None:
    desk = Desk(durable=stocked(sa=[1]))
    worker = desk.worker("a-1", "a")
    lease = worker.claim()
    again = worker.reconnect()
    assert again.adopt(held(lease), run="run-0") == [(0, ())]
    assert desk.queued("s->a") == [(1, 0, 1)]
    assert again.last(Session).run == RUN


def test_body_numbers_go_on_after_a_restart() -> None:
    desk = Desk(ONE)
    source, worker = desk.worker("s-1", "s"), desk.worker("a-1", "a")
    source.emit(source.claim(), 0, 1)
    desk.commit()
    worker.settle(Done(worker.claim().token))
    desk.commit()
    assert not desk.disk.bodies  # so only the high-water mark remembers
    later = desk.restart()
    source = later.worker("s-2", "s")
    source.emit(source.claim(), 1, 1)
    later.commit()
    assert list(later.disk.bodies) == [2]


def test_letter_numbers_are_not_given_twice_after_a_failed_commit_and_a_restart() -> None:
    desk = Desk(graph((("s", "a"),), attempts=1), stocked(sa=[3]))
    worker = desk.worker("a-1", "a")
    for ok in (False, True, True):
        lease = worker.claim()
        worker.settle(failed=[failure(lease, lease.lo)])
        desk.commit(ok=ok)
    later = desk.restart()
    worker = later.worker("a-2", "a")
    lease = worker.claim()
    worker.settle(failed=[failure(lease, lease.lo)])
    later.commit()
    numbers = [letter.letter for letter in later.disk.letters]
    assert len(set(numbers)) == 3


def test_nothing_is_granted_after_a_restart_until_the_window_closes() -> None:
    desk = Desk(durable=stocked(sa=[2])).restart(closed_for=10.0)
    worker = desk.worker("a-1", "a")
    assert worker.claim() is None
    desk.wait(9.9)
    assert not worker.all(Granted)
    assert desk.broker.wake_at == pytest.approx(1010.0)
    desk.wait(0.1)
    assert worker.last(Granted).lo == 0


def test_the_window_closes_early_when_every_host_has_adopted() -> None:
    desk = Desk(durable=stocked(sa=[1])).restart(closed_for=10.0)
    worker = desk.worker("a-1", "a")
    worker.claim()
    desk.broker.open(desk.now)
    desk.carry_out()
    assert worker.last(Granted).lo == 0


def test_a_worker_keeps_over_a_restart_what_it_held() -> None:
    desk = Desk(durable=stocked(sa=[2]))
    lease = desk.worker("a-1", "a").claim()
    later = desk.restart(closed_for=10.0)
    back, other = later.worker("a-1", "a"), later.worker("a-2", "a")
    ((token, spans),) = back.adopt(held(lease))
    assert spans == ((0, 1),)
    other.claim(2)
    later.wait(10.0)
    assert (other.last(Granted).lo, other.last(Granted).hi) == (1, 2)
    seq = back.settle(Done(token))
    later.commit()
    assert back.ok(seq)


def test_a_late_adopter_gets_what_is_still_free_and_loses_the_rest() -> None:
    desk = Desk(durable=stocked(sa=[3]))
    lease = desk.worker("a-1", "a").claim(3)
    later = desk.restart()
    later.worker("a-2", "a").claim(1)
    assert later.worker("a-1", "a").adopt(held(lease))[0][1] == ((1, 3),)


# ---- 13: the worker's side


def grant(token: int, body: int = 1, lo: int = 0, hi: int = 1) -> Granted:
    return Granted(1, token, "s->a", body, lo, hi, hi, 10)


def test_ledger_owes_a_settle_until_it_is_acknowledged_or_refused() -> None:
    ledger = Ledger(RUN)
    for token, ok in ((1, True), (2, False)):
        ledger.granted(grant(token))
        settle = owe(ledger, Done(token), outputs=[Output(("a->b",), 1, 3)], data=[b"abc"])
        assert ledger.owed[settle.seq].data == [b"abc"]
        assert ledger.settled(Settled(settle.seq, ok)) is None
        assert not ledger.owed
        assert not ledger.holdings


def test_ledger_adopts_everything_held_and_owed() -> None:
    ledger = Ledger(RUN)
    ledger.granted(grant(1, hi=3))
    ledger.granted(grant(2, body=2))
    owe(ledger, Done(1, ((0, 1),)))
    adopt = ledger.adopt()
    assert adopt.run == RUN
    assert sorted((h.body, h.spans) for h in adopt.held) == [
        (1, ((0, 1),)),
        (1, ((1, 3),)),
        (2, ((0, 1),)),
    ]


def test_ledger_sends_again_in_order_and_only_what_was_adopted_whole() -> None:
    ledger = Ledger(RUN)
    for token, body in ((1, 1), (2, 2), (3, 3)):
        ledger.granted(grant(token, body=body, hi=2))
    for token in (1, 2, 3):
        owe(ledger, Done(token), data=[b"out of %d" % token], claim=ledger.claim(1))
    held_now = ledger.adopt().held
    assert [h.body for h in held_now] == [1, 2, 3]
    answer = Adopted(9, ((11, ((0, 2),)), (12, ((1, 2),)), (13, ((0, 2),))))
    again = ledger.adopted(answer)
    assert [owed.data for owed in again] == [[b"out of 1"], [b"out of 3"]]
    assert [done.token for owed in again for done in owed.settle.done] == [11, 13]
    assert all(owed.settle.claim is None for owed in again)
    assert sorted(ledger.owed) == [owed.settle.seq for owed in again]
    assert [(h.token, h.spans) for h in ledger.holdings.values()] == [(12, ((1, 2),))]


def test_ledger_drops_what_was_not_adopted() -> None:
    ledger = Ledger(RUN)
    ledger.granted(grant(1))
    ledger.granted(grant(2, body=2))
    owe(ledger, Done(2))
    ledger.adopt()
    assert ledger.adopted(Adopted(9, ((0, ()), (0, ())))) == []
    assert not ledger.holdings
    assert not ledger.owed


def test_ledger_adopts_a_lease_that_partly_failed_as_one_lease() -> None:
    desk = Desk(ONE, stocked(sa=[3]))
    seat, ledger = desk.worker("a-1", "a"), Ledger(RUN)
    lease = seat.claim(3)
    ledger.granted(lease)
    fault = Failure(lease.token, 1, "ValueError: no", "Traceback", final=True)
    owe(ledger, Done(lease.token, ((0, 1), (2, 3))), failed=[fault])  # lost on its way

    back = seat.reconnect()
    back.adopt(*ledger.adopt().held)
    (owed,) = ledger.adopted(back.last(Adopted))
    assert owed.settle.failed[0].final
    desk.broker.settle(back.session, owed.settle, owed.data, desk.now)
    desk.carry_out()
    desk.commit()
    assert back.last(Settled).ok
    assert len(desk.disk.letters) == 1
    assert not desk.broker.state.leases


def test_a_settle_durable_before_the_reset_is_neither_lost_nor_applied_again() -> None:
    desk = Desk(durable=stocked(sa=[1]))
    seat, ledger = desk.worker("a-1", "a"), Ledger(RUN)
    lease = seat.claim()
    ledger.granted(lease)
    settle = owe(ledger, Done(lease.token))
    desk.broker.settle(seat.session, settle, [], desk.now)
    desk.carry_out()
    desk.commit()  # and the acknowledgement is lost
    back = seat.reconnect()
    back.adopt(*ledger.adopt().held)
    assert ledger.adopted(back.last(Adopted)) == []
    assert desk.broker.state.edges["s->a"].settled == 1


def test_no_acknowledgement_of_an_old_session_reaches_the_new_one() -> None:
    desk = Desk(durable=stocked(sa=[1]))
    worker = desk.worker("a-1", "a")
    worker.settle(Done(worker.claim().token))
    back = worker.reconnect()
    desk.commit()
    assert not back.all(Settled)
    assert not worker.all(Settled)


def test_a_zombies_settle_is_refused_once_it_is_back() -> None:
    desk = Desk(durable=stocked(sa=[1]))
    zombie = desk.worker("a-1", "a", host="south")
    lease = zombie.claim()
    desk.lost("south")
    heir = desk.worker("a-2", "a")
    heir.settle(Done(heir.claim().token), out=[("a->b", 1)])
    desk.commit()
    woken = desk.worker("a-1", "a", host="south")
    assert woken.adopt(held(lease)) == [(0, ())]
    assert woken.ok(woken.settle(Done(lease.token), out=[("a->b", 1)])) is False
    assert desk.broker.state.edges["a->b"].published == 1


def test_a_clock_that_jumps_a_day_expires_no_lease() -> None:
    desk = Desk(durable=stocked(sa=[1]))
    worker = desk.worker("a-1", "a")
    lease = worker.claim()
    desk.wait(86_400.0)
    seq = worker.settle(Done(lease.token))
    desk.commit()
    assert worker.ok(seq)


def test_a_finished_stage_answers_end_in_a_new_epoch_too() -> None:
    desk = Desk(ONE)
    source = desk.worker("s-1", "s")
    source.emit(source.claim(), 0, 0, finished=True)
    desk.commit()
    later = desk.restart(closed_for=10.0)
    assert isinstance(later.worker("a-1", "a").claim(), End)
    assert isinstance(later.worker("s-1", "s").claim(), End)
