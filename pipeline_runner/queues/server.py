"""The head's queue server: one event loop between the sockets and the broker.

It carries out what the broker decides and guards the door: a peer that stays silent, sends
nonsense or is slow costs nobody else anything.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Protocol

from msgspec.structs import replace

from pipeline_runner.errors import ProtocolError
from pipeline_runner.queues.arena import Arena
from pipeline_runner.queues.connection import Connection
from pipeline_runner.queues.effects import Commit, Send
from pipeline_runner.queues.keeping import Keeper
from pipeline_runner.queues.listening import Listener
from pipeline_runner.queues.messages import (
    PROTOCOL,
    Adopt,
    Claim,
    Died,
    Granted,
    Hello,
    Return,
    Session,
    Settle,
    Settled,
    Stage,
)
from pipeline_runner.queues.slots import Slots

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pipeline_runner.queues.broker import Broker
    from pipeline_runner.queues.effects import Effect
    from pipeline_runner.queues.journal.recovery import Opened
    from pipeline_runner.queues.stock.door import Door
    from pipeline_runner.queues.transaction import Letter

ACKNOWLEDGE_S = 0.02
_REMEMBERED_DEAD = 10_000


class Head(Protocol):
    """What the server does not know how to do."""

    def peer_joined(self, connection: Connection, hello: Hello) -> None:
        """An agent or a command line said HELLO."""

    def peer_said(self, connection: Connection, message: Any) -> None:
        """It said something more."""

    def peer_left(self, connection: Connection) -> None:
        """Its connection ended."""

    def decided(self, effect: Effect) -> None:
        """The broker decided something that is not the server's to carry out."""

    def lettered(self, letters: Sequence[Letter]) -> None:
        """These dead letters are on disk."""

    def adopted(self, worker: str) -> None:
        """A worker that reconnected has been told what it may keep."""

    def disk_full(self, reason: str) -> None:
        """Nothing new can be kept, for this reason; an empty one says that it can again."""

    def disk_failed(self, error: Exception) -> None:
        """The disk cannot be trusted any more: end, and answer nothing."""

    def warn(self, text: str, hint: str = "") -> None:
        """A person should know."""


class QueueServer:
    """Serves ``broker`` on a Unix socket. ``state`` is where dead letters go.

    With a ``journal`` what the broker decides is durable before anybody sees it.
    """

    def __init__(
        self,
        broker: Broker,
        head: Head,
        state: Path,
        *,
        most_item: int,
        journal: Opened | None = None,
        relaxed: bool = False,
    ) -> None:
        self.broker = broker
        self.door: Door | None = None  # for stock clients
        self._head = head
        self._most_bodies = most_item
        self._loop = asyncio.get_running_loop()
        self._arena = Arena.create()
        if self._arena is not None:
            broker.books.slots = Slots(self._arena.count, self._arena)
        self._keeper = Keeper(broker, head, state, self._carry_out, journal, relaxed=relaxed)
        self._listener = Listener(self._loop, self._welcome, head.warn)
        self._connections: set[Connection] = set()
        self._workers: dict[str, Connection] = {}
        self._by_session: dict[int, Connection] = {}
        self._dead: OrderedDict[str, None] = OrderedDict()
        self._unsent: dict[Connection, None] = {}
        self._acknowledging: dict[Connection, None] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at: float | None = None

    @property
    def idle(self) -> bool:
        """Whether no commit waits for the disk."""
        return self._keeper.idle

    def listen(self, path: Path) -> None:
        """Listen on a Unix socket at ``path``. Raises OSError."""
        self._listener.listen(path)

    def close(self) -> None:
        """Close the listener and every connection."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._listener.close()
        if self.door is not None:
            self.door.close()
        for connection in tuple(self._connections):
            connection.flush()
            connection.close()
        self._keeper.close()
        if self._arena is not None:
            self._arena.close_fd()

    def keep_shares(self, counts: Mapping[str, int]) -> None:
        """Keep over how many processes each source is spread."""
        self._keeper.keep_shares(counts)

    def apply(self, decide: Callable[[Broker, float], None]) -> None:
        """Let the head act on the broker, and carry out what follows."""
        decide(self.broker, self._loop.time())
        self._carry_out()

    def died(self, died: Died) -> None:
        """Free a dead worker's leases, after everything it sent was read."""
        self._remember_dead(died.worker)
        connection = self._workers.get(died.worker)
        if connection is not None:
            # Its forked children may hold the socket open, so an end of file may never come.
            connection.read_to_end()
            connection.close()
        self.apply(lambda broker, now: broker.died(died, now))

    def lost(self, host: str) -> None:
        """Free what every worker of a dead agent's host held."""
        for worker in tuple(self.broker.books.workers.values()):
            connection = self._workers.get(worker.id)
            if worker.host == host:
                self._remember_dead(worker.id)
                if connection is not None:
                    connection.read_to_end()
                    connection.close()
        self.apply(lambda broker, now: broker.lost(host, now))

    def send(self, connection: Connection, message: Any, data: bytes | None = None) -> None:
        """Send ``message``, with ``data`` behind it, to an agent or a command line."""
        connection.queue(message, data)
        connection.flush()

    def _remember_dead(self, worker: str) -> None:
        self._dead[worker] = None
        while len(self._dead) > _REMEMBERED_DEAD:
            self._dead.popitem(last=False)

    def _welcome(self, sock: socket.socket) -> Connection:
        connection = Connection(
            sock, self._loop, self._most_bodies, self._on_message, self._on_closed, self._on_offence
        )
        self._connections.add(connection)
        return connection

    def _on_message(self, connection: Connection, message: Any, bodies: memoryview) -> None:
        if not connection.known:
            self._hello(connection, message)
        elif connection.role != "worker":
            self._head.peer_said(connection, message)
        else:
            self._worker_said(connection.session, message, bodies)
        self._carry_out()

    def _hello(self, connection: Connection, hello: Any) -> None:
        if not isinstance(hello, Hello):
            raise ProtocolError("the first message is not HELLO")
        if hello.protocol != PROTOCOL:
            raise ProtocolError(f"protocol {hello.protocol}; this head speaks {PROTOCOL}")
        if hello.worker in self._dead:
            raise ProtocolError("a HELLO from a process that is known to be dead")
        if hello.role == "worker" and hello.stage not in self.broker.books.stages:
            raise ProtocolError(f"no stage {hello.stage!r}")
        self._listener.forget(connection)
        connection.known = True
        connection.role = hello.role
        connection.peer = hello.worker or hello.host
        connection.shares = hello.facts.get("shares", True)
        if hello.role != "worker":
            self._head.peer_joined(connection, hello)
            return
        older = self._workers.pop(hello.worker, None)
        if older is not None:
            older.close()
        connection.session = self.broker.hello(hello, self._loop.time())
        self._workers[hello.worker] = connection
        self._by_session[connection.session] = connection

    def _worker_said(self, session: int, message: Any, bodies: memoryview) -> None:
        now, broker = self._loop.time(), self.broker
        match message:
            case Settle():
                broker.settle(session, message, _split(message, bodies), now)
            case Claim():
                broker.claim(session, message, now)
            case Return():
                broker.return_(session, message, now)
            case Stage():
                broker.stage(session, message, bytes(bodies))
            case Adopt():
                broker.adopt(session, message, now)
                self._head.adopted(broker.books.sessions[session].id)
            case _:
                raise ProtocolError(f"a worker does not send {type(message).__name__}")

    def _on_closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._listener.forget(connection)
        self._unsent.pop(connection, None)
        if connection.role == "worker":
            self._by_session.pop(connection.session, None)
            if self._workers.get(connection.peer) is connection:
                del self._workers[connection.peer]
            self.broker.closed(connection.session)
        elif connection.known:
            self._head.peer_left(connection)

    def _on_offence(self, connection: Connection, why: str) -> None:
        name = connection.peer or "a silent peer"
        self._head.warn(f"closed the connection of {name}: {why}")

    def _carry_out(self) -> None:
        while effects := self._decided():
            for effect in effects:
                if isinstance(effect, Send):
                    self._queue(effect)
                elif isinstance(effect, Commit):
                    self._keeper.commit(effect.pending)
                else:
                    self._head.decided(effect)
        unsent, self._unsent = self._unsent, {}
        # Last decided, first sent: whoever has new items to work on is woken before the sender
        # that is told so.
        for connection in reversed(unsent):
            self._acknowledging.pop(connection, None)
            connection.flush()
        self._set_alarm()

    def _decided(self) -> list[Effect]:
        """Return what is to be carried out, once stock clients have what was left for them."""
        if self.door is not None:
            self.door.serve(self._loop.time())
        return self.broker.take()

    def _queue(self, send: Send) -> None:
        connection = self._by_session.get(send.session)
        if connection is None:
            if self.door is not None:
                self.door.told(send)
            return
        message = send.message
        if isinstance(message, Session):
            self._greet(connection, message)
            return
        data = send.data
        if isinstance(message, Granted) and (message.at or message.place):
            if connection.shares:
                data = None if message.at else data
            else:
                message, data = replace(message, at=0, place=0), data and bytes(data)
        connection.queue(message, data)
        if isinstance(message, Settled) and message.ok and message.cursor is None:
            self._acknowledge_later(connection)
        else:
            self._unsent[connection] = None

    def _greet(self, connection: Connection, session: Session) -> None:
        if self._arena is not None and connection.shares:
            connection.queue(session, fd=self._arena.fd)
        else:
            connection.queue(replace(session, slots=0))
        self._unsent[connection] = None

    def _acknowledge_later(self, connection: Connection) -> None:
        """Let a map's acknowledgement travel with its next lease, if one comes soon.

        It waits for nothing else with it, and waking it would take a core from whoever has its
        outputs to work on. A source does wait: for the leave to emit that comes with it.
        """
        if not self._acknowledging:
            self._loop.call_later(ACKNOWLEDGE_S, self._acknowledge)
        self._acknowledging[connection] = None

    def _acknowledge(self) -> None:
        connections, self._acknowledging = self._acknowledging, {}
        for connection in connections:
            connection.flush()

    def _set_alarm(self) -> None:
        due = self.broker.wake_at
        if due is None or (self._alarm_at is not None and self._alarm_at <= due):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = due
        self._alarm = self._loop.call_at(due, self._on_alarm)

    def _on_alarm(self) -> None:
        self._alarm = self._alarm_at = None
        self.apply(lambda broker, now: broker.tick(now))


def _split(settle: Settle, bodies: memoryview) -> list[bytes | memoryview]:
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
