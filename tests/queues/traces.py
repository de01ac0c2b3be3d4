"""Schedules that once broke the protocol, step by step; the simulator's first seeds.

Each ends in the middle of its trouble: the simulator goes on from there at random, and drains.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from pipeline_runner.wire.messages import Advance, Cursor, Done, Return
from tests.queues.desk import owe
from tests.queues.model_worker import bodies
from tests.queues.shapes import Shape, graph

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.queues.model_worker import ModelWorker
    from tests.queues.shapes import Routed
    from tests.queues.world import World


class Hand:
    """Moves single pieces of a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = Random(7)

    def worker(self, stage: str) -> ModelWorker:
        """The oldest living worker of a stage."""
        return next(worker for worker in self.world.workers if worker.stage == stage)

    def up(self, worker: ModelWorker, frames: int | None = None) -> None:
        """Let the head read what a worker sent."""
        connection = worker.connection
        assert connection is not None
        for _ in range(len(connection.up) if frames is None else frames):
            self.world.deliver_up(connection)

    def down(self, worker: ModelWorker) -> None:
        """Let a worker hear everything the head sent."""
        connection = worker.connection
        assert connection is not None
        while connection.down:
            worker.receive(*connection.down.popleft())

    def swap(self, worker: ModelWorker) -> None:
        """Both directions, until nobody has anything left to say."""
        connection = worker.connection
        while connection is not None and (connection.up or connection.down):
            self.up(worker)
            self.down(worker)

    def join(self, worker: ModelWorker) -> None:
        """Connect, and ADOPT if it was here before."""
        worker.connect()
        self.swap(worker)

    def write_all(self) -> None:
        """Make everything durable and say so."""
        world = self.world
        while world.disk.waiting or world.disk.untold:
            while world.disk.waiting:
                world.write()
            while world.disk.untold:
                world.tell()

    def claim(self, worker: ModelWorker, want: int) -> None:
        """Claim and hear the answer."""
        worker.asked = True
        worker.send(worker.ledger.claim(want))
        self.swap(worker)

    def emit(self, source: ModelWorker) -> None:
        """Let a source emit until it is through, and all of it be durable."""
        for _ in range(100):
            if source.ended:
                return
            source.act(self.rng, eager=True)
            self.swap(source)
            self.write_all()
            self.swap(source)
        raise AssertionError("the source is never through")

    def step(self, source: ModelWorker, seq: int, count: int, values: list[Routed]) -> None:
        """Send a source's step from number ``seq`` to the cursor at ``count`` items."""
        outputs, data = bodies(values)
        token = next(iter(source.ledger.holdings))
        advance = Advance(seq, Cursor(seq + 1, count))
        source.send(
            owe(source.ledger, Done(token), outputs=outputs, data=data, advance=advance), data
        )

    def settle(self, worker: ModelWorker, *, claim: int = 0) -> None:
        """Run all that a worker holds and send the settle."""
        ledger = worker.ledger
        made: list[Routed] = []
        for holding in ledger.holdings.values():
            for lo, hi in holding.spans:
                for index in range(lo, hi):
                    item = worker.items[holding.body][index]
                    made += self.world.shape.emits(worker.stage, item)
        outputs, data = bodies(made)
        done = [Done(token) for token in ledger.holdings]
        ahead = ledger.claim(claim) if claim else None
        worker.asked = worker.asked or bool(claim)
        worker.send(owe(ledger, *done, outputs=outputs, data=data, claim=ahead), data)


def _two_items(hand: Hand) -> ModelWorker:
    """One source that is through with its items, and a worker that holds two of them."""
    source, worker = hand.worker("s"), hand.worker("a")
    hand.join(source)
    hand.emit(source)
    hand.join(worker)
    hand.claim(worker, 1)
    hand.claim(worker, 1)
    assert len(worker.ledger.holdings) == 2
    return worker


def last_settle_fails_after_the_end_was_near(world: World) -> None:
    """Rule 3: the last SETTLE is read, the end must not be announced, its commit fails."""
    hand = Hand(world)
    worker = _two_items(hand)
    hand.claim(worker, 64)
    hand.settle(worker)
    hand.up(worker)
    world.write(ok=False)
    world.tell()


def settle_lost_and_one_item_leased_again(world: World) -> None:
    """Rule 5: SETTLE[0, 1] unread, host lost, 0 leased again, ADOPT gets 1."""
    hand = Hand(world)
    worker = _two_items(hand)
    hand.settle(worker)
    world.cut(worker, keep=0)
    world.lose(worker.host)
    heir = world.spawn("a", 0)
    hand.join(heir)
    hand.claim(heir, 1)
    worker.connect()
    hand.swap(worker)


def claim_granted_to_a_dead_session(world: World) -> None:
    """Rule 8: a claim read, reset, ADOPT; the old claim must not be granted."""
    hand = Hand(world)
    source, worker = hand.worker("s"), hand.worker("a")
    hand.join(worker)
    worker.asked = True
    worker.send(worker.ledger.claim(1))
    hand.up(worker)
    world.cut(worker, keep=0)
    hand.join(worker)
    hand.join(source)
    hand.emit(source)


def grant_reset_before_it_arrived(world: World) -> None:
    """Rule 9: granted, reset before it arrived; ADOPT must free it."""
    hand = Hand(world)
    worker = _two_items(hand)
    worker.asked = True
    worker.send(worker.ledger.claim(1))
    hand.up(worker)
    world.cut(worker, keep=0)
    hand.join(worker)


def settle_unread_when_a_new_session_begins(world: World) -> None:
    """Rules 8 and 13: the settle of the old session waits unread, and is sent again."""
    hand = Hand(world)
    worker = _two_items(hand)
    hand.settle(worker, claim=1)
    old = worker.connection
    assert old is not None
    world.cut(worker, keep=len(old.up))
    hand.join(worker)
    while old.up:
        world.deliver_up(old)


def died_while_settling(world: World) -> None:
    """Rule 14: a settle already read stands; the death frees only the rest."""
    hand = Hand(world)
    worker = _two_items(hand)
    hand.settle(worker)
    hand.up(worker)
    world.kill(worker, "signal 9")
    world.mark_dead(world.deaths[0])


def crash_between_disk_and_acknowledgement(world: World) -> None:
    """Rule 12: durable, unacknowledged, the head restarts; the settle is not applied again."""
    hand = Hand(world)
    worker = _two_items(hand)
    hand.settle(worker)
    hand.up(worker)
    world.write()
    world.crash_head(0)
    hand.join(worker)


def crash_before_the_disk(world: World) -> None:
    """Rules 12 and 13: lost with the head; the settle is sent again and applied."""
    hand = Hand(world)
    worker = _two_items(hand)
    hand.settle(worker)
    hand.up(worker)
    world.crash_head(0)
    hand.join(worker)


def branches_of_a_source_meet(world: World) -> None:
    """Rules 17 and 18: a step is read, the reset source goes another way from the cursor before it.

    Its second step expects the number that the first way reached.
    """
    hand = Hand(world)
    source = hand.worker("s")
    value = world.shape.route("s", world.shape.sequence("s", 0)[0])
    hand.join(source)
    hand.claim(source, 1)
    hand.step(source, 0, 1, [value])
    hand.up(source)
    world.cut(source, keep=0)
    hand.join(source)
    hand.claim(source, 1)
    hand.claim(source, 1)
    hand.step(source, 0, 0, [])
    hand.step(source, 1, 1, [value])
    hand.up(source)
    hand.write_all()


def charged_and_adopted_with_old_attempts(world: World) -> None:
    """Rule 10: a failure is on its way to the disk when the worker adopts what it held before."""
    hand = Hand(world)
    worker = _two_items(hand)
    token = next(iter(worker.ledger.holdings))
    worker.send(Return(token, None, suspect=True))
    hand.up(worker)
    world.cut(worker, keep=0)
    hand.write_all()
    hand.join(worker)


@dataclass(frozen=True)
class Trace:
    """A schedule and the pipeline it is played on."""

    name: str
    play: Callable[[World], None]
    shape: Shape


def _shape(number: int) -> Shape:
    links = (("s", "a"), ("a", "b"))
    return Shape("trace", number, graph(links, backoff_s=0.5), {}, {("s", 0): 4}, trouble=0)


TRACES = tuple(
    Trace(play.__name__, play, _shape(number))
    for number, play in enumerate(
        (
            last_settle_fails_after_the_end_was_near,
            settle_lost_and_one_item_leased_again,
            claim_granted_to_a_dead_session,
            grant_reset_before_it_arrived,
            settle_unread_when_a_new_session_begins,
            died_while_settling,
            crash_between_disk_and_acknowledgement,
            crash_before_the_disk,
            branches_of_a_source_meet,
            charged_and_adopted_with_old_attempts,
        )
    )
)
