"""Bodies in shared memory, on their way to a worker that does not share it."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_runner.queues.broker.broker import Broker
from pipeline_runner.queues.broker.effects import Commit, Send
from pipeline_runner.wire.client.connection import UnixWire
from pipeline_runner.wire.control_messages import Answer
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
from pipeline_runner.wire.server.connection import Connection
from pipeline_runner.wire.shm.slots import LARGE_BYTES, Slots
from tests.queues.shapes import graph

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 4 * 2**20


def ignore(*_arguments: Any) -> None:
    pass


def test_lent_memory_is_given_back_once_the_peer_has_room_for_its_last_byte() -> None:
    given_back: list[str] = []

    async def scene() -> bytes:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        connection = Connection(ours, loop, SIZE, ignore, ignore, ignore, ignore)
        connection.queue(Answer({}), b"small", sent=lambda: given_back.append("small"))
        connection.queue(
            Answer({}), memoryview(bytes(SIZE)), sent=lambda: given_back.append("large")
        )
        connection.flush()
        assert connection.behind
        assert given_back == ["small"]
        wire = UnixWire(theirs)
        assert wire.receive()[1] == b"small"
        try:
            return bytes((await loop.run_in_executor(None, wire.receive))[1])
        finally:
            assert given_back == ["small", "large"]
            connection.close()
            theirs.close()
            assert given_back == ["small", "large"]

    assert asyncio.run(asyncio.wait_for(scene(), 30)) == bytes(SIZE)


def test_lent_memory_is_given_back_when_the_connection_ends() -> None:
    given_back: list[str] = []

    async def scene() -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        connection = Connection(
            ours, asyncio.get_running_loop(), SIZE, ignore, ignore, ignore, ignore
        )
        connection.queue(Answer({}), bytes(SIZE), sent=lambda: given_back.append("large"))
        connection.flush()
        theirs.close()
        connection.close()

    asyncio.run(scene())
    assert given_back == ["large"]


def test_a_place_that_is_lent_is_granted_again_only_once_it_is_given_back() -> None:
    slots = Slots(1, Memory())
    place = slots.take("worker")
    slots.fill("worker", place, 10)
    slots.lend(place)
    slots.lend(place)
    slots.free(place)
    assert slots.take("other") == 0
    slots.give_back(place)
    assert slots.take("other") == 0
    slots.give_back(place)
    assert slots.take("other") not in (0, place)


def test_a_place_that_was_lent_and_came_back_is_freed_as_ever() -> None:
    slots = Slots(1, Memory())
    place = slots.take("worker")
    slots.fill("worker", place, 10)
    slots.lend(place)
    slots.give_back(place)
    assert slots.take("other") == 0, "its body is still there"
    slots.free(place)
    assert slots.take("other")


class Memory:
    def reserve(self, _place: int) -> bool:
        return True

    def view(self, _place: int, size: int) -> memoryview:
        return memoryview(bytes(size))


@pytest.mark.parametrize(("facts", "granted"), [({}, True), ({"shares": False}, False)])
def test_only_who_shares_the_memory_is_granted_places_in_it(
    facts: dict[str, bool], granted: bool
) -> None:
    broker = Broker(graph((("numbers", "keep"),)), run="r")
    broker.state.slots = Slots(8, Memory())
    session = broker.hello(Hello("worker", "h", "h/numbers[0]/1", "numbers", facts=facts), 0.0)
    leases: list[Granted] = []

    def after(do: Callable[[], None]) -> None:
        do()
        while effects := broker.take():
            for effect in effects:
                if isinstance(effect, Commit):
                    broker.committed(effect.pending, 0.0)
                elif isinstance(effect, Send) and isinstance(effect.message, Granted):
                    leases.append(effect.message)

    after(lambda: broker.claim(session, Claim(1, 1), 0.0))
    output = Output(("numbers->keep",), 1, LARGE_BYTES)
    settle = Settle(
        2,
        (Done(leases[-1].token),),
        (output,),
        advance=Advance(0, Cursor(1, 1)),
        claim=Claim(3, 1),
    )
    after(lambda: broker.settle(session, settle, [bytes(LARGE_BYTES)], 0.0))
    assert bool(leases[-1].place) == granted
    assert broker.state.slots.free_slots == (7 if granted else 8)
