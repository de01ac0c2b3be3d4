"""Bodies in shared memory, on their way to a worker that does not share it."""

from __future__ import annotations

import asyncio
import mmap
import socket
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_runner.queues.broker import Broker
from pipeline_runner.queues.connect import UnixWire
from pipeline_runner.queues.connection import Connection
from pipeline_runner.queues.effects import Commit, Send
from pipeline_runner.queues.messages import (
    Advance,
    Answer,
    Claim,
    Cursor,
    Done,
    Granted,
    Hello,
    Output,
    Settle,
)
from pipeline_runner.queues.slots import LARGE_BYTES, Slots
from tests.queues.shapes import graph

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 4 * 2**20


def ignore(*_arguments: Any) -> None:
    pass


@pytest.mark.parametrize("takes", [0, 100_000], ids=["takes nothing", "takes a part"])
def test_what_was_lent_may_change_once_the_flush_is_over(takes: int) -> None:
    """However little of it the peer had room for."""
    memory = mmap.mmap(-1, SIZE)
    memory[:] = b"a" * SIZE

    async def scene() -> bytes:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        filler = 0
        while not takes:  # all that the kernel holds
            try:
                filler += ours.send(b"x" * 65536)
            except BlockingIOError:
                break
        connection = Connection(ours, loop, SIZE, ignore, ignore, ignore)
        connection.queue(Answer({}), memoryview(memory), lent=True)
        connection.flush()
        assert connection.behind
        memory[:] = b"b" * SIZE

        def read() -> bytes:
            wire, left = UnixWire(theirs), filler
            while left:
                left -= len(theirs.recv(left))
            return bytes(wire.receive()[1])

        try:
            return await loop.run_in_executor(None, read)
        finally:
            connection.close()
            theirs.close()

    assert asyncio.run(asyncio.wait_for(scene(), 30)) == b"a" * SIZE
    memory.close()


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
    broker.books.slots = Slots(8, Memory())
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
    assert broker.books.slots.free_slots == (7 if granted else 8)
