from __future__ import annotations

import asyncio
import socket
import threading
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_runner.queues.broker.sizing import BODY_BYTES
from pipeline_runner.queues.broker.stages import EDGE_BYTES, EdgeState
from pipeline_runner.queues.broker.topology import EdgeSpec
from pipeline_runner.wire.client.connection import UnixWire
from pipeline_runner.wire.messages import Claim, Done, Granted, Hello, Output, Settle
from pipeline_runner.wire.server.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZES = (1, 70_000, 128 * 1024 - 60, 128 * 1024, 128 * 1024 + 1, 1_000_000, 3_000_000, 5)


def body(size: int) -> bytes:
    return bytes(i * 31 % 251 for i in range(997)) * (size // 997 + 1)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    head, worker = socket.socketpair()
    head.setblocking(False)
    with head, worker:
        yield head, worker


def settle_of(seq: int, data: bytes) -> Settle:
    return Settle(seq, (Done(seq),), (Output(("a->b",), 1, len(data)),))


@pytest.mark.parametrize("piece", [None, 9, 100_003])
def test_every_frame_arrives_whole_however_it_is_cut(
    ends: tuple[socket.socket, socket.socket], piece: int | None
) -> None:
    head, worker = ends
    sent = [body(size)[:size] for size in SIZES if piece != 9 or size < 200_000]
    got: list[tuple[Any, bytes]] = []

    async def receive() -> None:
        done = asyncio.Event()

        def on_message(_connection: Connection, message: Any, bodies: memoryview) -> None:
            got.append((message, bytes(bodies)))
            if len(got) == 2 * len(sent) + 1:
                done.set()

        connection = Connection(
            head,
            asyncio.get_running_loop(),
            64 * 1024**2,
            on_message,
            lambda _connection: done.set(),
            lambda _connection, why: pytest.fail(why),
            lambda _connection, _message, why: pytest.fail(why),
        )
        connection.known = True
        await done.wait()
        connection.close()

    wire = UnixWire(worker if piece is None else _Cut(worker, piece))  # type: ignore[arg-type]

    def send() -> None:
        wire.send(Hello("worker", "here"))
        for seq, data in enumerate(sent):
            wire.send(settle_of(seq, data), [data])
            wire.send(Claim(seq, 1))

    sender = threading.Thread(target=send)
    sender.start()
    asyncio.run(receive())
    sender.join()
    assert [data for message, data in got if isinstance(message, Settle)] == sent
    assert [message.seq for message, _data in got if isinstance(message, Claim)] == [
        *range(len(sent))
    ]


class _Cut:
    """A socket that takes a few bytes at a time, wherever a frame or a message ends."""

    def __init__(self, sock: socket.socket, piece: int) -> None:
        self._sock = sock
        self._piece = piece

    def sendmsg(self, parts: list[bytes]) -> int:
        return self._sock.send(b"".join(parts)[: self._piece])

    def sendall(self, data: memoryview) -> None:
        places = [*range(0, len(data), self._piece), len(data)]
        for start, end in pairwise(places):
            self._sock.sendall(data[start:end])


def test_a_worker_receives_every_size_whole(ends: tuple[socket.socket, socket.socket]) -> None:
    head, worker = ends
    head.setblocking(True)
    sent = [body(size)[:size] for size in SIZES]

    def send() -> None:
        wire = UnixWire(head)
        for seq, data in enumerate(sent):
            wire.send(Granted(seq, 1, "a->b", 1, 0, 1, 1, len(data)), [data])

    sender = threading.Thread(target=send)
    sender.start()
    wire = UnixWire(worker)
    assert [bytes(wire.receive()[1]) for _ in sent] == sent
    sender.join()


def edge_of(item_bytes: int, *, capacity_bytes: int | None = None) -> EdgeState:
    items = 10_000 if capacity_bytes is None else None
    edge = EdgeState(EdgeSpec("a->b", "a", "b", items, capacity_bytes))
    edge.measure(item_bytes, 1)
    edge.published = 1
    return edge


@pytest.mark.parametrize(
    ("item_bytes", "items"), [(8, 5_000), (65_536, 16), (BODY_BYTES, 1), (10 * BODY_BYTES, 1)]
)
def test_a_body_is_no_longer_than_its_bound_unless_one_item_is(item_bytes: int, items: int) -> None:
    assert edge_of(item_bytes).largest_body == items


@pytest.mark.parametrize(("item_bytes", "room"), [(8, 10_000), (BODY_BYTES, 64), (EDGE_BYTES, 1)])
def test_an_edge_counted_in_items_is_bounded_in_bytes_too(item_bytes: int, room: int) -> None:
    edge = edge_of(item_bytes)
    assert edge.room == room
    edge.bytes += EDGE_BYTES
    assert edge.room <= 1


def test_a_bound_in_bytes_that_a_user_set_is_taken_as_it_is() -> None:
    assert edge_of(BODY_BYTES, capacity_bytes=1024 * BODY_BYTES).room == 1024
