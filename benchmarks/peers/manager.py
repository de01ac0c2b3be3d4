"""The standard library's manager: queues in a server process, reached by proxies."""

from __future__ import annotations

import queue
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.managers import BaseManager
from typing import TYPE_CHECKING, Any, Literal, cast

from benchmarks.peers.chain import Chain, spawn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.peers.chain import Get, Put

Address = tuple[str, int] | str
Transport = Literal["tcp", "unix"]

_KEY = b"benchmark"
_queues: dict[str, queue.Queue[Any]] = {}


def _named(name: str) -> queue.Queue[Any]:
    return _queues.setdefault(name, queue.Queue())


class QueueServer(BaseManager):
    """The server's side: it holds the queues."""


class QueueClient(BaseManager):
    """A stage's side: it connects and asks for a queue by name."""


QueueServer.register("queue", callable=_named)
QueueClient.register("queue")


@dataclass(frozen=True, slots=True)
class ManagerHop:
    """A queue of a manager at ``address``."""

    address: Address
    name: str

    @contextmanager
    def writer(self) -> Iterator[Put]:
        """Connect and give the proxy's put."""
        yield self._proxy().put

    @contextmanager
    def reader(self) -> Iterator[Get]:
        """Connect and give the proxy's get."""
        yield self._proxy().get

    def _proxy(self) -> Any:
        client = QueueClient(self.address, authkey=_KEY)
        client.connect()
        return client.queue(self.name)  # type: ignore[attr-defined]


@contextmanager
def manager_hops(transport: Transport, folder: Path, count: int) -> Iterator[list[ManagerHop]]:
    """Start a manager and give ``count`` of its queues."""
    address: Address = ("127.0.0.1", 0) if transport == "tcp" else str(folder / "manager.sock")
    server = QueueServer(address, authkey=_KEY, ctx=spawn)
    server.start()
    try:
        yield [ManagerHop(cast("Address", server.address), f"edge-{i}") for i in range(count)]
    finally:
        server.shutdown()


over_tcp = partial(manager_hops, "tcp")
over_unix = partial(manager_hops, "unix")

MANAGER_UNIX = Chain("manager-unix", over_unix, items=20_000)
MANAGERS = (
    Chain("manager-tcp", over_tcp, items=10_000),
    MANAGER_UNIX,
    Chain("manager-tcp-lists", over_tcp, items=4_000_000, batch=1_000),
    Chain("manager-unix-lists", over_unix, items=4_000_000, batch=1_000),
)
