from __future__ import annotations

from collections import deque
from typing import Any

import pytest

from pipeline_runner.queues.broker.broker import Broker
from pipeline_runner.queues.broker.effects import Commit, Pending, Send
from pipeline_runner.queues.broker.topology import EdgeSpec, Topology
from pipeline_runner.queues.managers.manager import named_queues
from pipeline_runner.queues.managers.sessions import ClientSessions, GaveUp, Idle, Item, Stored
from pipeline_runner.wire.codec import encode
from pipeline_runner.wire.messages import (
    Advance,
    Claim,
    Cursor,
    Done,
    Granted,
    Hello,
    Output,
    Settle,
)
from tests.queues.shapes import graph

ALICE, BOB, CAROL = 901, 902, 903
EDGE = "s->a"


class Counter:
    """Guests at a broker whose commits wait until the test makes them durable."""

    def __init__(self, topology: Topology, *, closed_until: float | None = None) -> None:
        self.broker = Broker(topology, run="run", closed_until=closed_until)
        self.gone: set[int] = set()
        self.guests = ClientSessions(self.broker, lambda guest: guest not in self.gone)
        self.waiting: deque[Pending] = deque()
        self.sent: list[Any] = []
        self.now = 100.0
        self.at_once = True  # memory: every commit is durable at once

    def get(self, guest: int, patience_s: float | None = None) -> list[Any]:
        self.guests.done(guest, self.now)
        self.guests.get(guest, EDGE, self.now, self._deadline(patience_s))
        return self.settle()

    def put(self, guest: int, item: Any, patience_s: float | None = None) -> list[Any]:
        self.guests.done(guest, self.now)
        self.guests.put(guest, EDGE, encode([item]), self.now, self._deadline(patience_s))
        return self.settle()

    def join(self, guest: int) -> list[Any]:
        self.guests.done(guest, self.now)
        self.guests.join(guest, EDGE)
        return self.settle()

    def leave(self, guest: int, *, in_order: bool) -> list[Any]:
        self.guests.left(guest, self.now, in_order=in_order)
        return self.settle()

    def later(self, seconds: float) -> list[Any]:
        self.now += seconds
        self.guests.tick(self.now)
        return self.settle()

    def settle(self) -> list[Any]:
        """Carry everything out, and return the answers."""
        self.guests.serve(self.now)
        while effects := self.broker.take():
            for effect in effects:
                if isinstance(effect, Commit):
                    self.waiting.append(effect.pending)
                elif isinstance(effect, Send):
                    self.sent.append(effect.message)
                    self.guests.told(effect)
            if self.at_once:
                self.commit_all()
            self.guests.serve(self.now)
        return self.guests.take()

    def commit_all(self, *, ok: bool = True) -> None:
        while self.waiting:
            pending = self.waiting.popleft()
            (self.broker.committed if ok else self.broker.refused)(pending, self.now)

    @property
    def remaining(self) -> int:
        return self.broker.state.edges[EDGE].remaining

    def _deadline(self, patience_s: float | None) -> float | None:
        return None if patience_s is None else self.now + patience_s


@pytest.fixture
def counter() -> Counter:
    return Counter(named_queues([EdgeSpec(EDGE, "whoever puts", "whoever gets", 3)]))


def got(guest: int, item: Any) -> Item:
    return Item(guest, encode([item]), 0)


def test_items_come_out_in_the_order_they_went_in(counter: Counter) -> None:
    assert [counter.put(ALICE, n) for n in range(3)] == [[Stored(ALICE, ok=True)]] * 3
    assert [counter.get(BOB) for _ in range(3)] == [[got(BOB, n)] for n in range(3)]


def test_a_get_waits_and_the_longest_waiting_is_served_first(counter: Counter) -> None:
    assert counter.get(ALICE) == counter.get(BOB) == []
    assert set(counter.put(CAROL, 1)) == {Stored(CAROL, ok=True), got(ALICE, 1)}
    assert set(counter.put(CAROL, 2)) == {Stored(CAROL, ok=True), got(BOB, 2)}


def test_a_put_into_a_full_queue_waits_for_a_get(counter: Counter) -> None:
    for n in range(3):
        counter.put(ALICE, n)
    assert counter.guests.full(EDGE)
    assert counter.put(ALICE, 3) == []
    assert counter.get(BOB) == [got(BOB, 0), Stored(ALICE, ok=True)]


def test_time_runs_out_for_a_get_and_for_a_put_alone(counter: Counter) -> None:
    assert counter.get(ALICE, 0.0) == [GaveUp(ALICE, getting=True)]
    assert counter.get(ALICE, 5.0) == []
    assert counter.guests.wake_at == counter.now + 5.0
    assert counter.later(4.9) == []
    assert counter.later(0.1) == [GaveUp(ALICE, getting=True)]
    for n in range(3):
        counter.put(BOB, n)
    assert counter.put(BOB, 3, 0.0) == [GaveUp(BOB, getting=False)]
    assert counter.put(BOB, 3, 5.0) == []
    assert counter.later(5.0) == [GaveUp(BOB, getting=False)]
    assert counter.get(ALICE) == [got(ALICE, 0)]
    assert counter.guests.queued(EDGE) == 2


def test_an_old_deadline_does_not_cut_a_later_wait_short(counter: Counter) -> None:
    assert counter.get(ALICE, 5.0) == []
    counter.put(BOB, 1)
    assert counter.get(ALICE, 60.0) == []
    assert counter.later(5.0) == []
    assert counter.later(55.0) == [GaveUp(ALICE, getting=True)]


def test_an_item_is_consumed_at_its_takers_next_request(counter: Counter) -> None:
    counter.put(ALICE, 1)
    counter.get(BOB)
    assert (counter.remaining, counter.guests.holds(BOB)) == (1, True)
    assert counter.get(BOB, 0.0) == [GaveUp(BOB, getting=True)]
    assert (counter.remaining, counter.guests.holds(BOB)) == (0, False)
    assert not counter.broker.state.leases
    assert not counter.broker.state.bodies


def test_a_consumed_item_settles_until_that_is_durable(counter: Counter) -> None:
    counter.put(ALICE, 1)
    counter.get(BOB)
    counter.at_once = False
    counter.get(BOB, 0.0)
    assert counter.guests.settling(BOB)
    counter.commit_all()
    counter.settle()
    assert not counter.guests.settling(BOB)


def test_an_item_is_consumed_when_its_taker_leaves_in_order(counter: Counter) -> None:
    counter.put(ALICE, 1)
    counter.get(BOB)
    counter.leave(BOB, in_order=True)
    assert counter.remaining == 0


def test_an_item_whose_takers_line_breaks_is_the_next_ones_first(counter: Counter) -> None:
    for n in range(2):
        counter.put(ALICE, n)
    counter.get(BOB)
    counter.leave(BOB, in_order=False)
    assert counter.get(CAROL) == [got(CAROL, 0)]
    assert counter.get(CAROL) == [got(CAROL, 1)]


def test_a_guest_that_left_while_it_waited_swallows_nothing(counter: Counter) -> None:
    counter.get(ALICE)
    counter.leave(ALICE, in_order=True)
    assert counter.put(BOB, 1) == [Stored(BOB, ok=True)]
    assert counter.get(CAROL) == [got(CAROL, 1)]


def test_a_guest_whose_end_is_not_heard_yet_swallows_nothing(counter: Counter) -> None:
    counter.get(ALICE)
    counter.gone.add(ALICE)
    assert counter.put(BOB, 1) == [Stored(BOB, ok=True)]
    assert counter.guests.queued(EDGE) == 1
    counter.leave(ALICE, in_order=False)
    assert counter.get(CAROL) == [got(CAROL, 1)]


def test_a_put_is_answered_only_once_it_is_durable(counter: Counter) -> None:
    counter.at_once = False
    assert counter.get(BOB) == []
    assert counter.put(ALICE, 1) == []
    counter.commit_all()
    assert set(counter.settle()) == {Stored(ALICE, ok=True), got(BOB, 1)}


def test_puts_that_are_not_durable_yet_take_room(counter: Counter) -> None:
    counter.at_once = False
    for guest in (1, 2, 3):
        counter.put(guest, guest)
    assert counter.guests.full(EDGE)
    assert counter.put(4, 4, 0.0) == [GaveUp(4, getting=False)]


def test_a_put_that_cannot_be_stored_says_so_and_leaves_nothing(counter: Counter) -> None:
    counter.at_once = False
    counter.put(ALICE, 1)
    counter.commit_all(ok=False)
    assert counter.settle() == [Stored(ALICE, ok=False)]
    assert counter.remaining == 0
    assert not counter.guests.full(EDGE)


def test_an_item_that_was_taken_stays_taken_when_its_commit_fails_once(counter: Counter) -> None:
    counter.put(ALICE, 1)
    counter.get(BOB)
    counter.at_once = False
    counter.get(BOB, 0.0)
    pending = counter.waiting.popleft()
    counter.broker.refused(pending, counter.now)
    counter.settle()
    counter.commit_all()
    counter.settle()
    assert counter.remaining == 0


def test_nothing_is_given_to_guests_before_workers_have_adopted() -> None:
    counter = Counter(graph((("s", "a"),)), closed_until=200.0)
    counter.put(ALICE, 1)
    assert counter.get(BOB) == []
    counter.broker.open(counter.now)
    assert counter.settle() == [got(BOB, 1)]


def settle_of_a_source(token: int, items: list[int]) -> tuple[Settle, list[bytes]]:
    body = encode(items)
    output = Output((EDGE,), len(items), len(body))
    advance = Advance(0, Cursor(1, len(items)))
    return Settle(1, (Done(token),), (output,), advance=advance), [body]


def test_a_guest_takes_single_items_of_a_workers_body_and_a_worker_takes_the_rest() -> None:
    counter = Counter(graph((("s", "a"),)))
    broker, now = counter.broker, counter.now
    source = broker.hello(Hello("worker", "h", "w1", "s"), now)
    taker = broker.hello(Hello("worker", "h", "w2", "a"), now)
    broker.claim(source, Claim(1, 5), now)
    counter.settle()
    lease = next(m for m in counter.sent if isinstance(m, Granted))
    settle, data = settle_of_a_source(lease.token, [7, 8, 9])
    broker.settle(source, settle, data, now)
    counter.settle()
    assert counter.get(ALICE) == [Item(ALICE, data[0], 0)]
    broker.claim(taker, Claim(1, 5), now)
    counter.settle()
    rest = counter.sent[-1]
    assert (rest.lo, rest.hi, rest.n) == (1, 3, 3)
    counter.leave(ALICE, in_order=False)
    assert counter.get(BOB) == [Item(BOB, data[0], 0)]
    assert broker.state.edges[EDGE].remaining == 3


def test_what_guests_take_and_put_is_counted_with_the_stages() -> None:
    counter = Counter(graph((("s", "a"), ("a", "b"))))
    counter.put(ALICE, 1)
    counter.get(BOB)
    assert counter.broker.state.stages["a"].leased == 1
    counter.leave(BOB, in_order=True)
    stages = counter.broker.state.stages
    assert (stages["s"].emitted, stages["a"].consumed, stages["a"].leased) == (1, 1, 0)


def test_a_get_makes_room_for_a_stage_that_waits() -> None:
    counter = Counter(graph((("s", "a"),), capacity=1))
    broker, now = counter.broker, counter.now
    counter.put(ALICE, 1)
    source = broker.hello(Hello("worker", "h", "w1", "s"), now)
    broker.claim(source, Claim(1, 5), now)
    counter.settle()
    assert not any(isinstance(m, Granted) for m in counter.sent)
    counter.get(BOB)
    assert any(isinstance(m, Granted) for m in counter.sent)


def test_a_join_is_answered_when_all_that_was_put_is_done_with(counter: Counter) -> None:
    assert counter.join(CAROL) == [Idle(CAROL)]
    counter.put(ALICE, 1)
    counter.put(ALICE, 2)
    assert counter.join(CAROL) == []
    counter.get(BOB)
    assert counter.get(BOB) != []  # which settles the first
    assert counter.guests.task_done(EDGE)
    assert counter.leave(BOB, in_order=False) == []  # and gives the second back
    assert counter.get(ALICE) != []
    assert counter.settle() == []
    assert counter.guests.task_done(EDGE), "by whomever, before or after its taker has left"
    assert counter.settle() == [Idle(CAROL)]


def test_a_join_waits_for_a_put_and_a_settle_that_are_not_durable_yet(counter: Counter) -> None:
    counter.at_once = False
    counter.put(ALICE, 1)
    assert counter.join(CAROL) == []
    counter.commit_all()
    counter.settle()
    counter.get(BOB)
    counter.leave(BOB, in_order=True)
    assert counter.settle() == []
    counter.commit_all()
    assert counter.settle() == []
    assert counter.guests.task_done(EDGE)
    assert counter.settle() == [Idle(CAROL)]


def test_as_many_items_are_done_with_as_were_put(counter: Counter) -> None:
    assert not counter.guests.task_done(EDGE)
    counter.put(ALICE, 1)
    counter.get(BOB)
    counter.leave(BOB, in_order=False)
    counter.get(ALICE)
    assert counter.guests.task_done(EDGE)
    assert not counter.guests.task_done(EDGE)
    counter.put(BOB, 2)
    assert counter.guests.task_done(EDGE), "nobody has got it"
    assert not counter.guests.task_done(EDGE)
    counter.get(BOB)
    assert not counter.guests.task_done(EDGE)


def test_what_a_stage_takes_is_done_with_by_its_settle_and_only_once() -> None:
    counter = Counter(graph((("s", "a"),)))
    broker, now = counter.broker, counter.now
    counter.put(ALICE, 1)
    assert counter.join(CAROL) == []
    worker = broker.hello(Hello("worker", "h", "w1", "a"), now)
    broker.claim(worker, Claim(1, 5), now)
    counter.settle()
    (lease,) = [message for message in counter.sent if isinstance(message, Granted)]
    assert counter.guests.task_done(EDGE), "though it is a stage that has it"
    assert counter.settle() == [Idle(CAROL)]
    broker.settle(worker, Settle(2, (Done(lease.token),)), [], now)
    counter.settle()
    counter.put(ALICE, 2)
    assert counter.join(CAROL) == [], "the one that was done with twice counts for no other"
    assert counter.guests.task_done(EDGE)
    assert counter.settle() == [Idle(CAROL)]


def test_a_pipelines_items_are_no_guests_to_throw_away(counter: Counter) -> None:
    counter.put(ALICE, 1)
    with pytest.raises(ValueError, match="runner queue purge"):
        counter.guests.shut_down(EDGE, counter.now, immediate=True)
    assert counter.get(BOB) == [got(BOB, 1)]
    assert not counter.guests.is_shut(EDGE, getting=False)


def test_a_guest_that_joins_and_leaves_is_forgotten(counter: Counter) -> None:
    counter.put(ALICE, 1)
    counter.join(CAROL)
    counter.leave(CAROL, in_order=True)
    counter.get(BOB)
    assert counter.leave(BOB, in_order=True) == []
