"""How a line ended: whether the peer had read all that was sent to it."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from pipeline_runner.queues.managers.connection import ManagerConnection

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT_S = 10.0


def unix_pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair()


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname())
        ours, _address = listener.accept()
    return ours, peer


def ended(
    pair: Callable[[], tuple[socket.socket, socket.socket]],
    acts: Callable[[ManagerConnection, socket.socket], None],
) -> bool:
    """Let ``acts`` happen before the line is looked at, and return whether it ended in order."""

    async def scene() -> bool:
        loop = asyncio.get_running_loop()
        end: asyncio.Future[bool] = loop.create_future()
        ours, peer = pair()
        ours.setblocking(False)
        line = ManagerConnection(
            ours, loop, lambda _l, _data: None, lambda _l, ok: end.set_result(ok)
        )
        acts(line, peer)
        try:
            return await asyncio.wait_for(end, TIMEOUT_S)
        finally:
            peer.close()

    return asyncio.run(scene())


each_pair = pytest.mark.parametrize("pair", [unix_pair, tcp_pair])


@each_pair
def test_a_peer_that_read_everything_leaves_in_order(
    pair: Callable[[], tuple[socket.socket, socket.socket]],
) -> None:
    def acts(line: ManagerConnection, peer: socket.socket) -> None:
        line.write([b"reply"])
        assert line.present
        assert peer.recv(5) == b"reply"
        peer.close()
        assert not line.present

    assert ended(pair, acts)


@each_pair
def test_a_peer_that_left_something_unread_does_not(
    pair: Callable[[], tuple[socket.socket, socket.socket]],
) -> None:
    def acts(line: ManagerConnection, peer: socket.socket) -> None:
        line.write([b"reply"])
        peer.close()

    assert not ended(pair, acts)


@each_pair
def test_a_peer_that_left_while_the_reply_was_on_its_way_does_not(
    pair: Callable[[], tuple[socket.socket, socket.socket]],
) -> None:
    """Its end of file came first, and was not looked at yet."""

    def acts(line: ManagerConnection, peer: socket.socket) -> None:
        peer.close()
        line.write([b"reply"])

    assert not ended(pair, acts)


@each_pair
def test_a_peer_that_leaves_amid_a_long_reply_does_not(
    pair: Callable[[], tuple[socket.socket, socket.socket]],
) -> None:
    def acts(line: ManagerConnection, peer: socket.socket) -> None:
        line.write([b"x" * 50_000_000])
        peer.recv(4096)
        peer.close()

    assert not ended(pair, acts)


@each_pair
def test_hanging_up_waits_until_everything_is_sent(
    pair: Callable[[], tuple[socket.socket, socket.socket]],
) -> None:
    def acts(line: ManagerConnection, peer: socket.socket) -> None:
        size = 5_000_000
        line.write([b"x" * 1000] * (size // 1000))
        line.hang_up()
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, _read_all, peer, size)

    assert ended(pair, acts)


def _read_all(peer: socket.socket, size: int) -> None:
    while size:
        size -= len(peer.recv(1 << 20))
