from __future__ import annotations

import sys

import pytest

from pipeline_runner.wire.codec import encode_into, take
from pipeline_runner.wire.messages import Done, Granted, Output, Settle
from pipeline_runner.wire.shm.arena import Arena
from pipeline_runner.wire.shm.slots import LARGE_BYTES, SLOT_BYTES, Slots
from pipeline_runner.worker.session.grants import Grant, InHand, TornError, UndecodableError
from pipeline_runner.worker.session.ledger import Ledger, in_band
from tests.queues.desk import Desk, Seat, held, owe, stocked
from tests.queues.shapes import graph
from tests.queues.test_slots import Paper

CHAIN = (("s", "a"), ("a", "b"))
COUNT = 4


def table() -> tuple[Desk, Slots]:
    desk = Desk(graph(CHAIN), stocked(sa=[1] * 12))
    slots = desk.broker.state.slots = Slots(COUNT, Paper(COUNT))
    return desk, slots


def settle(seat: Seat, lease: Granted, *, at: int = 0, size: int = LARGE_BYTES) -> int:
    """Settle a lease with one large output, at a place or behind the message."""
    seq = seat.next_seq()
    data = b"" if at else bytes(size)
    message = Settle(seq, (Done(lease.token),), (Output(("a->b",), 1, size, at),))
    seat.desk.broker.settle(seat.session, message, [data], seat.desk.now)
    seat.desk.carry_out()
    return seq


def with_place(desk: Desk, name: str) -> tuple[Seat, Granted]:
    """Let a worker make a large output, so that its next lease comes with a place."""
    seat = desk.worker(name, "a")
    settle(seat, seat.claim())
    desk.commit_all()
    lease = seat.claim()
    assert lease.place
    return seat, lease


def test_only_a_worker_that_makes_large_outputs_is_granted_places() -> None:
    desk, slots = table()
    seat = desk.worker("a1", "a")
    first = seat.claim()
    assert not first.place
    settle(seat, first, size=LARGE_BYTES - 1)
    desk.commit_all()
    assert not seat.claim().place
    assert slots.free_slots == COUNT


def test_a_body_at_a_place_is_granted_by_its_place_and_frees_it_when_it_is_gone() -> None:
    desk, slots = table()
    seat, lease = with_place(desk, "a1")
    assert slots.free_slots == COUNT - 1
    seq = settle(seat, lease, at=lease.place)
    desk.commit_all()
    assert seat.ok(seq)
    consumer = desk.worker("b1", "b")
    leases = [consumer.claim(), consumer.claim()]
    assert [one.at for one in leases] == [0, lease.place]
    assert slots.free_slots == COUNT - 1
    for one in leases:
        message = Settle(consumer.next_seq(), (Done(one.token),))
        desk.broker.settle(consumer.session, message, (), desk.now)
        desk.carry_out()
    assert slots.free_slots == COUNT - 1  # not durable yet: it could be read again
    desk.commit_all()
    assert slots.free_slots == COUNT


@pytest.mark.parametrize("wrong", ["another's", "used", "too large", "none"])
def test_a_settle_that_names_a_place_not_in_its_hand_is_refused_whole(wrong: str) -> None:
    desk, slots = table()
    other, its = with_place(desk, "a2")
    seat, lease = with_place(desk, "a1")
    at, size = lease.place, LARGE_BYTES
    if wrong == "another's":
        at = its.place
    elif wrong == "used":
        settle(other, its, at=its.place)
        desk.commit_all()
        at = its.place
    elif wrong == "too large":
        size = SLOT_BYTES + 1
    else:
        at = lease.place + COUNT  # the slot's next use
    free = slots.free_slots
    seq = settle(seat, lease, at=at, size=size)
    desk.commit_all()
    assert seat.ok(seq) is False
    assert slots.free_slots == free
    assert lease.place in slots.hand("a1")


def test_a_settle_the_disk_refuses_leaves_the_place_in_the_hand_it_came_from() -> None:
    desk, slots = table()
    seat, lease = with_place(desk, "a1")
    seq = settle(seat, lease, at=lease.place)
    assert not slots.hand("a1")
    desk.commit(ok=False)
    assert seat.ok(seq) is False
    assert list(slots.hand("a1")) == [lease.place]


def test_a_death_frees_what_was_in_hand_and_a_lost_host_gives_nothing_back() -> None:
    desk, slots = table()
    with_place(desk, "a1")
    desk.died("a1")
    assert slots.free_slots == COUNT
    with_place(desk, "a2")
    desk.lost("north")  # nobody knows whether it writes there still
    assert slots.free_slots == COUNT - 1
    assert not slots.hand("a2")


def test_a_body_at_a_place_outlives_the_death_of_who_made_it() -> None:
    desk, slots = table()
    seat, lease = with_place(desk, "a1")
    settle(seat, lease, at=lease.place)
    desk.died("a1")
    desk.commit_all()
    assert slots.free_slots == COUNT - 1
    consumer = desk.worker("b1", "b")
    consumer.claim()
    assert consumer.claim().at == lease.place


def test_an_adopt_frees_the_hand_and_what_is_owed_travels_behind_its_message_then() -> None:
    desk, slots = table()
    seat, lease = with_place(desk, "a1")
    ledger = Ledger("run-1")
    ledger.granted(lease)
    memory = bytearray(b"y" * LARGE_BYTES)
    outputs = [Output(("a->b",), 1, LARGE_BYTES, lease.place)]
    owe(ledger, Done(lease.token), outputs=outputs, data=[memoryview(memory)])
    [owed] = ledger.owed.values()
    assert owed.parts == []
    ledger.adopt()
    memory[:] = bytes(len(memory))  # the place has another owner
    assert in_band(owed.settle.outputs, owed.data) == [b"y" * LARGE_BYTES]
    seat.reconnect().adopt(held(lease))
    assert not slots.hand("a1")
    assert slots.free_slots == COUNT


def test_places_come_back_however_the_run_goes_on_and_an_empty_run_has_them_all() -> None:
    desk, slots = table()
    seats = [desk.worker(f"a{i}", "a") for i in range(3)]
    for turn in range(4):
        for seat in seats:
            lease = seat.claim()
            settle(seat, lease, at=lease.place)
            desk.commit(ok=True) if turn % 2 else desk.commit_all()
    desk.commit_all()
    consumer = desk.worker("b1", "b")
    for _ in range(12):
        lease = consumer.claim()
        message = Settle(consumer.next_seq(), (Done(lease.token),))
        desk.broker.settle(consumer.session, message, (), desk.now)
        desk.carry_out()
        desk.commit_all()
    for seat in seats:
        desk.died(seat.name)
    assert slots.free_slots == COUNT


@pytest.mark.skipif(sys.platform != "linux", reason="shared memory without a name")
@pytest.mark.parametrize("value", [b"mine" * 20_000, ["mine" * 20_000]])
def test_a_body_that_is_written_over_while_it_is_read_reaches_no_user_code(value: object) -> None:
    arena = Arena.create(2 * SLOT_BYTES)
    assert arena is not None
    slots = Slots(arena.count, arena)
    place = slots.take("a1")
    size = encode_into([take(value)] * 2, arena.view(place))
    slots.fill("a1", place, size)
    lease = Granted(1, 1, "a->b", 1, 0, 2, 2, size, at=place)
    grant = Grant(lease, arena.view(place, size), arena)
    assert list(InHand().items(grant).span(0, 2)) == [value] * 2
    late = InHand().items(grant)
    slots.free(place)
    slots.take("a2")  # a zombie's lease: its body's slot is another's by now
    with pytest.raises(UndecodableError) as torn:
        late.item(1)
    assert isinstance(torn.value.__cause__, TornError)
    arena.close_fd()
