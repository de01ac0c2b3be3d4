from __future__ import annotations

import os
import pickle
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.wire.codec import NoRoom, decode, encode, encode_into
from pipeline_runner.wire.shm.arena import Arena
from pipeline_runner.wire.shm.slots import MOST_IN_HAND, SLOT_BYTES, Slots

needs_memfd = pytest.mark.skipif(sys.platform != "linux", reason="shared memory without a name")


class Paper:
    """Stands for the memory: remembers which place each slot is now, and can run out."""

    def __init__(self, count: int, has: int | None = None) -> None:
        self.count = count
        self.has = count if has is None else has
        self.stamps: dict[int, int] = {}

    def reserve(self, place: int) -> bool:
        slot = place % self.count
        if slot not in self.stamps and len(self.stamps) >= self.has:
            return False
        self.stamps[slot] = place
        return True

    def view(self, place: int, size: int) -> memoryview:
        assert self.stamps[place % self.count] == place
        return memoryview(bytes(size))


steps = st.lists(
    st.tuples(
        st.sampled_from(["take", "fill", "free", "refuse", "leave", "abandon"]), st.integers(0, 3)
    ),
    max_size=200,
)


@given(steps, st.integers(1, 6))
def test_a_slot_is_in_one_hand_and_a_place_is_granted_once(
    script: list[tuple[str, int]], count: int
) -> None:
    slots = Slots(count, Paper(count))
    bodies: list[tuple[str, int]] = []
    granted: list[int] = []
    abandoned = 0
    for step, number in script:
        worker = f"w{number}"
        hand = sorted(slots.hand(worker))
        match step:
            case "take":
                if place := slots.take(worker):
                    granted.append(place)
                else:
                    assert not slots.free_slots or len(hand) == MOST_IN_HAND
            case "fill" if hand:
                slots.fill(worker, hand[0], 10)
                bodies.append((worker, hand[0]))
            case "free" if bodies:
                _worker, place = bodies.pop()
                slots.free(place)
                assert slots.free_slots
            case "refuse" if bodies:
                slots.refuse(*bodies.pop())
            case "leave":
                slots.leave(worker)
                assert not slots.hand(worker)
            case "abandon":
                abandoned += len(hand)
                slots.abandon(worker)
        held = [place for i in range(4) for place in slots.hand(f"w{i}")]
        used = [place % count for place in held + [place for _worker, place in bodies]]
        assert len(set(used)) == len(used)
        assert len(used) + slots.free_slots + abandoned == count
    assert len(set(granted)) == len(granted)
    assert 0 not in granted


def test_the_slot_freed_last_is_granted_first() -> None:
    slots = Slots(8, Paper(8))
    places = [slots.take(f"w{i}") for i in range(4)]
    for i, place in enumerate(places):
        slots.fill(f"w{i}", place, 1)
    for place in (places[2], places[0], places[3]):
        slots.free(place)
    again = [slots.take("w") % 8, slots.take("w") % 8]
    assert again == [places[3] % 8, places[0] % 8]


def test_no_place_is_granted_where_there_is_no_memory_for_it() -> None:
    slots = Slots(8, Paper(8, has=3))
    places = [slots.take(f"w{i}") for i in range(5)]
    assert [place > 0 for place in places] == [True, True, True, False, False]
    slots.leave("w1")
    assert slots.take("w4") % 8 == places[1] % 8


class Odd:
    """Travels out of band where it may, and in band here."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __reduce_ex__(self, _protocol: int) -> Any:  # type: ignore[override]
        return Odd, (pickle.PickleBuffer(self.data),)


@pytest.mark.parametrize(
    "items",
    [
        [b"a" * 10, b"b" * 100_000, "c" * 100_000],
        [bytearray(b"d" * 200_000)],
        list(range(20_000)),
        [{"e": [b"f" * 70_000] * 3}, None],
    ],
)
def test_a_body_written_into_a_place_is_the_body_and_decodes_to_copies(items: list[Any]) -> None:
    room = bytearray(SLOT_BYTES)
    size = encode_into(items, memoryview(room))
    assert decode(memoryview(room)[:size]) == items == decode(encode(items))
    found = decode(memoryview(room)[:size])
    room[:] = bytes(len(room))
    assert found == items


def test_a_buffer_of_a_foreign_class_is_copied_too() -> None:
    room = bytearray(SLOT_BYTES)
    size = encode_into([Odd(bytearray(b"g" * 100_000))], memoryview(room))
    [found] = decode(memoryview(room)[:size])
    room[:] = bytes(len(room))
    assert bytes(found.data) == b"g" * 100_000


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_a_body_longer_than_its_room_is_refused(kind: type[bytes]) -> None:
    with pytest.raises(NoRoom):
        encode_into([kind(1000), kind(1001)], memoryview(bytearray(1500)))


@needs_memfd
def test_what_one_process_writes_at_a_place_another_reads_until_the_slot_has_a_new_one() -> None:
    head = Arena.create(4 * SLOT_BYTES)
    assert head is not None
    worker = Arena(os.dup(head.fd), head.count)
    slots = Slots(head.count, head)
    place = slots.take("w")
    size = encode_into([b"x" * 100_000], worker.view(place))
    slots.fill("w", place, size)
    assert decode(head.view(place, size)) == [b"x" * 100_000]
    assert worker.is_whole(place)
    slots.free(place)
    assert worker.is_whole(place)  # until somebody may write there
    slots.take("v")
    assert not worker.is_whole(place)
    worker.close_fd()
    head.close_fd()


@needs_memfd
def test_nobody_can_shorten_the_memory_that_others_have_mapped() -> None:
    arena = Arena.create(2 * SLOT_BYTES)
    assert arena is not None
    with pytest.raises(PermissionError):
        os.ftruncate(arena.fd, 0)
    arena.close_fd()


def test_a_head_that_may_not_have_a_slot_has_no_arena() -> None:
    assert Arena.create(SLOT_BYTES - 1) is None
