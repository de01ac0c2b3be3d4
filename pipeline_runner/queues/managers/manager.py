"""Named queues that anyone with the key puts to and gets from, as a ``multiprocessing`` manager.

To its clients the server is a stock manager; behind it stand the broker and its leases, so that a
client that dies takes nothing with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from functools import partial
from multiprocessing import connection, managers
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline_runner.queues.broker.broker import Broker
from pipeline_runner.queues.broker.effects import Commit, Send
from pipeline_runner.queues.broker.topology import EdgeSpec, StageSpec, Topology
from pipeline_runner.queues.managers.listener import ManagerListener
from pipeline_runner.queues.managers.protocol import EXPOSED
from pipeline_runner.wire.messages import MOST_ITEM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Address = tuple[str, int] | str

CAPACITY = 10_000
_PUTTING, _GETTING = "whoever puts", "whoever gets"


def named_queues(edges: Sequence[EdgeSpec]) -> Topology:
    """Return queues without stages of their own: one stage stands for all who put, one for all
    who get. Neither ever finishes.
    """
    names = tuple(edge.name for edge in edges)
    stages = {
        _PUTTING: StageSpec(_PUTTING, inputs=(), outputs=names),
        _GETTING: StageSpec(_GETTING, inputs=names, outputs=()),
    }
    return Topology(stages, {edge.name: edge for edge in edges})


class Queues:
    """A broker in memory and the door to it, on a running event loop."""

    def __init__(
        self, edges: Sequence[EdgeSpec], key: bytes, *, warn: Callable[[str, str], None]
    ) -> None:
        self.broker = Broker(named_queues(edges), run="")
        self._loop = asyncio.get_running_loop()
        self.door = ManagerListener(
            self, self._loop, key, most_item=MOST_ITEM, warn=warn, discards=True
        )

    def apply(self, decide: Callable[[Broker, float], None]) -> None:
        """Act on the broker at this moment, and carry out what follows."""
        now = self._loop.time()
        decide(self.broker, now)
        self.door.serve(now)
        while effects := self.broker.take():
            for effect in effects:
                if isinstance(effect, Commit):
                    self.broker.committed(effect.pending, now)
                elif isinstance(effect, Send):
                    self.door.told(effect)
            self.door.serve(now)


class Server(managers.Server):
    """What :class:`QueueManager` runs: listening from its birth, serving in ``serve_forever``."""

    def __init__(
        self, registry: dict[str, Any], address: Address | None, authkey: bytes, serializer: str
    ) -> None:
        # Not the parent's: it would open a listener of its own, with a thread a client.
        if serializer != "pickle":
            raise ValueError(f"serializer {serializer!r}; queues are served to pickle alone")
        if not isinstance(authkey, bytes):
            raise TypeError(f"authkey is {type(authkey).__name__}, not bytes")
        self.authkey = authkey
        self._edges: list[EdgeSpec] = [make() for make, *_ in registry.values() if make]
        self._socket = _bound(address)
        self.address = self._socket.getsockname()
        # What else lives as long as it serves: begun on its loop, each returns how to end it.
        self.beside: list[Callable[[asyncio.AbstractEventLoop], Callable[[], object]]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked: asyncio.Event | None = None
        self._queues: Queues | None = None

    def serve_forever(self) -> None:
        """Serve until SIGINT, SIGTERM or :meth:`stop`. Signals are heard in the main thread."""
        try:
            asyncio.run(self._serve())
        finally:
            self._socket.close()
            if isinstance(self.address, str):
                Path(self.address).unlink(missing_ok=True)

    def stop(self) -> None:
        """End ``serve_forever``, from another thread too. Raises RuntimeError before it began."""
        if self._loop is None or self._asked is None:
            raise RuntimeError("the server does not serve yet")
        self._loop.call_soon_threadsafe(self._asked.set)

    async def _serve(self) -> None:
        self._asked = asked = asyncio.Event()
        self._loop = loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            # A manager's own process leaves SIGINT to its parent.
            if signal.getsignal(number) is not signal.SIG_IGN:
                with contextlib.suppress(ValueError, RuntimeError):  # not in the main thread
                    loop.add_signal_handler(number, asked.set)
        self._queues = queues = Queues(self._edges, self.authkey, warn=_warn)
        queues.door.listen(self._socket)
        with contextlib.ExitStack() as stack:
            stack.callback(queues.door.close)
            for begin in self.beside:
                stack.callback(begin(loop))
            await asked.wait()


class QueueManager(managers.BaseManager):
    """A manager whose only objects are named queues of ``capacity`` items each.

    As its client, connect and call ``queue(name)``; a stock ``BaseManager`` that registered
    "queue" does as well. ``address`` is (host, port), or a path of a Unix socket.
    """

    _Server = Server

    def __init__(
        self,
        queues: Iterable[str] = (),
        address: Address | None = None,
        authkey: bytes | None = None,
        *,
        capacity: int = CAPACITY,
    ) -> None:
        super().__init__(address, authkey)
        # The registry is what a manager hands to its server process.
        self._registry: dict[str, Any] = dict(self._registry)
        self._at = address
        for name in queues:
            make = partial(EdgeSpec, name, _PUTTING, _GETTING, capacity_items=capacity)
            self._registry[name] = (make, EXPOSED, None, managers.AutoProxy)  # type: ignore[attr-defined]

    def get_server(self) -> Server:
        """Return the server, to be run in this process: ``get_server().serve_forever()``."""
        authkey = bytes(self._authkey)  # type: ignore[attr-defined]
        return Server(self._registry, self._at, authkey, "pickle")


QueueManager.register("queue", exposed=EXPOSED)


def _bound(address: Address | None) -> socket.socket:
    if address is None:
        address = connection.arbitrary_address("AF_UNIX")  # type: ignore[attr-defined]
    if not isinstance(address, str):
        return socket.create_server(address)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(address)
    Path(address).chmod(0o600)
    listener.listen()
    return listener


def _warn(text: str, hint: str) -> None:
    sys.stderr.write(f"warning: {text}{f' ({hint})' if hint else ''}\n")
