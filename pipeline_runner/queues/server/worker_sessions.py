"""The workers that are connected to a head, and what they say to its broker."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from pipeline_runner.errors import ProtocolError
from pipeline_runner.wire.messages import Adopt, Claim, Return, Settle, Stage

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pipeline_runner.queues.broker.broker import Broker
    from pipeline_runner.wire.messages import Hello
    from pipeline_runner.wire.server.connection import Connection

_REMEMBERED_DEAD = 10_000


class WorkerSessions:
    """Workers by name and by session; one name has one connection, its latest."""

    def __init__(
        self, broker: Broker, loop: asyncio.AbstractEventLoop, adopted: Callable[[str], None]
    ) -> None:
        self.by_session: dict[int, Connection] = {}
        self._by_name: dict[str, Connection] = {}
        self._dead: OrderedDict[str, None] = OrderedDict()
        self._broker = broker
        self._loop = loop
        self._adopted = adopted

    def check(self, hello: Hello) -> None:
        """Refuse a worker of no stage, and one that is known to be dead. Raises ProtocolError."""
        if hello.worker in self._dead:
            raise ProtocolError("a HELLO from a process that is known to be dead")
        if hello.stage not in self._broker.state.stages:
            raise ProtocolError(f"no stage {hello.stage!r}")

    def join(self, connection: Connection, hello: Hello) -> None:
        """Begin a session; an earlier connection of the same worker ends."""
        older = self._by_name.pop(hello.worker, None)
        if older is not None:
            older.close()
        connection.session = self._broker.hello(hello, self._loop.time())
        self._by_name[hello.worker] = connection
        self.by_session[connection.session] = connection

    def leave(self, connection: Connection) -> None:
        """A connection has ended, and that alone frees nothing."""
        self.by_session.pop(connection.session, None)
        if self._by_name.get(connection.peer) is connection:
            del self._by_name[connection.peer]
        self._broker.closed(connection.session)

    def mark_dead(self, worker: str) -> None:
        """Handle what a dead worker had sent, and refuse it from now on."""
        self._dead[worker] = None
        while len(self._dead) > _REMEMBERED_DEAD:
            self._dead.popitem(last=False)
        self.part(worker)

    def part(self, worker: str) -> None:
        """Handle what a worker had sent, and end its connection; it may come again."""
        connection = self._by_name.get(worker)
        if connection is not None:
            # Its forked children may hold the socket open, so an end of file may never come.
            connection.read_to_end()
            connection.close()

    def said(self, session: int, message: Any, bodies: memoryview) -> None:
        """Take what a worker said to the broker. Raises ProtocolError if workers do not say it."""
        now, broker = time.monotonic(), self._broker
        match message:
            case Settle():
                broker.settle(session, message, split(message, bodies), now)
            case Claim():
                broker.claim(session, message, now)
            case Return():
                broker.return_(session, message, now)
            case Stage():
                broker.stage(session, message, bytes(bodies))
            case Adopt():
                broker.adopt(session, message, now)
                self._adopted(broker.state.sessions[session].id)
            case _:
                raise ProtocolError(f"a worker does not send {type(message).__name__}")


def split(settle: Settle, bodies: memoryview) -> list[bytes | memoryview]:
    """Return the bodies behind ``settle``, one for each output; empty where shared memory has it.

    Raises ProtocolError if they are not as long as it says.
    """
    parts: list[bytes | memoryview] = []
    start = 0
    for output in settle.outputs:
        if output.at:  # it lies in shared memory
            parts.append(b"")
            continue
        part = bodies[start : start + output.size]
        # A large frame is nobody else's; what may be written to is the buffer of all connections.
        parts.append(part if part.readonly else bytes(part))
        start += output.size
    if start != len(bodies):
        raise ProtocolError("the bodies are not as long as their settle says")
    return parts
