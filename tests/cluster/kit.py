"""Heads that can be found, on the loopback of this machine and a port of their own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline_runner.cluster.beacon import Beacon
from pipeline_runner.cluster.identity import Identity
from pipeline_runner.cluster.interfaces import LOOPBACK_BROADCAST, Interface, Links
from pipeline_runner.cluster.packets import Offer, Seal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOOPBACK = Interface("lo", "127.0.0.1", LOOPBACK_BROADCAST)
THUMBS = Identity("thumbs", b"the key of thumbs")
OTHER = Identity("thumbs", b"another key of thumbs")
HEAD_ID = "00112233445566ff"
OFFER = Offer(HEAD_ID, "thumbs", 50001, bytes(range(32)), "1.2.3", "desk", revision=7, release="a9")


def loopback() -> Links:
    return Links((LOOPBACK,))


def seal(identity: Identity = THUMBS) -> Seal:
    return Seal(identity.tag, identity.beacon_key)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("", 0))
        return int(sock.getsockname()[1])


def broadcaster() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.bind(("127.0.0.1", 0))
    sock.settimeout(10)
    return sock


@dataclass
class Head:
    """A beacon on a loop in a thread."""

    port: int
    loop: asyncio.AbstractEventLoop
    beacon: Beacon
    warned: list[tuple[str, str]] = field(default_factory=list)

    def do(self, action: Callable[[], object]) -> None:
        """Do something on its loop, and wait until it is done."""
        done = threading.Event()

        def run() -> None:
            action()
            done.set()

        self.loop.call_soon_threadsafe(run)
        assert done.wait(10)


@contextlib.contextmanager
def head(
    port: int,
    identity: Identity = THUMBS,
    offer: Callable[[], Offer | str | None] = lambda: OFFER,
    *,
    bind: str = "0.0.0.0",
    links: Callable[[], Links] = loopback,
) -> Iterator[Head]:
    """Run a head's beacon, which is open when this begins and closed when it ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    warned: list[tuple[str, str]] = []
    beacon = Beacon(
        loop,
        identity,
        offer,
        lambda text, hint: warned.append((text, hint)),
        bind=bind,
        port=port,
        links=links,
    )
    made = Head(port, loop, beacon, warned)
    try:
        made.do(beacon.open)
        yield made
    finally:
        made.do(beacon.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
