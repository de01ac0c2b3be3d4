"""The head's queue server: one event loop between the sockets and the broker.

It carries out what the broker decides and guards the door: a peer that stays silent, sends
nonsense or is slow costs nobody else anything.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Protocol

from msgspec.structs import replace

from pipeline_runner.errors import ProtocolError
from pipeline_runner.queues.broker.effects import Commit, Send
from pipeline_runner.queues.server.committer import Committer
from pipeline_runner.queues.server.outbox import Outbox
from pipeline_runner.queues.server.worker_sessions import WorkerSessions
from pipeline_runner.wire.control_messages import Answer
from pipeline_runner.wire.framing import most_bodies
from pipeline_runner.wire.messages import PROTOCOL, Died, Hello, Settle, Stage
from pipeline_runner.wire.proof import Speaks
from pipeline_runner.wire.server.connection import Connection
from pipeline_runner.wire.server.listener import Listener
from pipeline_runner.wire.server.verifier import OneKey
from pipeline_runner.wire.shm.arena import Arena
from pipeline_runner.wire.shm.slots import Slots

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from pipeline_runner.queues.broker.broker import Broker
    from pipeline_runner.queues.broker.effects import Effect
    from pipeline_runner.queues.broker.transaction import Letter
    from pipeline_runner.queues.journal.recovery import OpenJournal
    from pipeline_runner.queues.managers.listener import ManagerListener
    from pipeline_runner.wire.server.listener import Certificate
    from pipeline_runner.wire.server.verifier import Keyring
    from pipeline_runner.wire.tls_socket import TlsSocket


_OTHER_VERSION = Answer(
    error=f"the head that runs is {Speaks()}, and this command is of another version",
    hint=f"pip install clusterer=={Speaks().version}, or start that head again with this version",
)


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

    def dead_lettered(self, letters: Sequence[Letter]) -> None:
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
    """Serves ``broker`` on a Unix socket, and over TLS. ``state`` is where dead letters go.

    With a ``journal`` what the broker decides is durable before anybody sees it.
    """

    def __init__(
        self,
        broker: Broker,
        head: Head,
        state: Path,
        *,
        most_item: int,
        journal: OpenJournal | None = None,
        relaxed: bool = False,
    ) -> None:
        self.broker = broker
        self.door: ManagerListener | None = None  # for stock clients
        self._head = head
        self._most_bodies = most_bodies(most_item)
        broker.state.most_item = most_item
        self._loop = asyncio.get_running_loop()
        self._arena = Arena.create()
        if self._arena is not None:
            broker.state.slots = Slots(self._arena.count, self._arena)
        self._committer = Committer(broker, head, state, self._carry_out, journal, relaxed=relaxed)
        self._listener = Listener(self._loop, self._welcome, head.warn)
        self._connections: set[Connection] = set()
        self._workers = WorkerSessions(broker, self._loop, head.adopted)
        self._outbox = Outbox(self._loop, self._arena, broker.state.slots)
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at: float | None = None

    @property
    def idle(self) -> bool:
        """Whether no commit waits for the disk."""
        return self._committer.idle

    def listen(self, path: Path) -> None:
        """Listen on a Unix socket at ``path``. Raises OSError."""
        self._listener.listen(path)

    def listen_tls(
        self, bind: str, port: int | None, certificate: Certificate, keys: bytes | Keyring
    ) -> int:
        """Listen on TCP too, for peers that prove one of ``keys``, and return the port.

        Without ``port`` that is 50000, or the next one that is free. Raises UsageError.
        """
        keyring = OneKey(keys) if isinstance(keys, bytes) else keys
        return self._listener.listen_tls(bind, port, certificate, keyring)

    def heard(self, host: str) -> float:
        """Return when a peer on ``host`` was last heard, in the loop's time; 0 for never."""
        return max((c.heard for c in self._connections if c.known and c.host == host), default=0.0)

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
        self._committer.close()
        if self._arena is not None:
            self._arena.close_fd()

    def keep_shares(self, counts: Mapping[str, int]) -> None:
        """Keep over how many processes each source is spread."""
        self._committer.keep_shares(counts)

    def apply(self, decide: Callable[[Broker, float], None]) -> None:
        """Let the head act on the broker, and carry out what follows."""
        decide(self.broker, self._loop.time())
        self._carry_out()

    def died(self, died: Died) -> None:
        """Free a dead worker's leases, after everything it sent was read."""
        self._workers.mark_dead(died.worker)
        self.apply(lambda broker, now: broker.died(died, now))

    def lost(self, host: str, *, dead: bool = True) -> None:
        """Free what every worker of a host held. Those that are not ``dead`` may come again."""
        for worker in tuple(self.broker.state.workers.values()):
            if worker.host == host:
                if dead:
                    self._workers.mark_dead(worker.id)
                else:
                    self._workers.part(worker.id)
        self.apply(lambda broker, now: broker.lost(host, now))

    def turn_out(self, keys: Collection[bytes]) -> None:
        """Hang up on peers of other hosts that came in by a key which is none of ``keys``."""
        for connection in tuple(self._connections):
            if connection.remote and connection.key not in keys:
                connection.refuse("its key is no longer the pipeline's")
        self._carry_out()

    def send(self, connection: Connection, message: Any, data: bytes | None = None) -> None:
        """Send ``message``, with ``data`` behind it, to an agent or a command line."""
        connection.queue(message, data)
        connection.flush()

    def _welcome(self, sock: socket.socket | TlsSocket, remote: str) -> Connection:
        connection = Connection(
            sock,
            self._loop,
            self._most_bodies,
            self._on_message,
            self._on_closed,
            self._on_offence,
            self._on_unusable,
            remote=remote,
        )
        self._connections.add(connection)
        return connection

    def _on_message(self, connection: Connection, message: Any, bodies: memoryview) -> None:
        if not connection.known:
            self._hello(connection, message)
        elif connection.role != "worker":
            self._head.peer_said(connection, message)
        else:
            self._workers.said(connection.session, message, bodies)
        self._carry_out()

    def _on_unusable(self, connection: Connection, message: Any, why: str) -> None:
        """Charge what a worker sent and no head can take: it must not come again as it is.

        Raises ProtocolError where that is nothing to charge anybody for.
        """
        if message is not None and not isinstance(message, (Settle, Stage)):
            raise ProtocolError(why)
        if message is not None:
            self._listener.say(f"took nothing of what {connection.peer} sent: {why}")
        self.apply(lambda broker, now: broker.unusable(connection.session, message, why, now))

    def _hello(self, connection: Connection, hello: Any) -> None:
        if not isinstance(hello, Hello):
            raise ProtocolError("the first message is not HELLO")
        if hello.protocol != PROTOCOL:
            if hello.role == "control":  # a person waits for words
                self.send(connection, _OTHER_VERSION)
            raise ProtocolError(f"protocol {hello.protocol}; this head speaks {PROTOCOL}")
        if hello.role == "worker":
            self._workers.check(hello)
            if connection.remote:
                hello = replace(hello, facts={**hello.facts, "shares": False})
        self._listener.forget(connection)
        connection.known = True
        connection.role = hello.role
        connection.host = hello.host
        connection.peer = hello.worker or hello.host
        connection.shares = hello.facts.get("shares", True)
        if hello.role == "worker":
            self._workers.join(connection, hello)
        else:
            self._head.peer_joined(connection, hello)

    def _on_closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._listener.forget(connection)
        self._outbox.forget(connection)
        if connection.role == "worker":
            self._workers.leave(connection)
        elif connection.known:
            self._head.peer_left(connection)

    def _on_offence(self, connection: Connection, why: str) -> None:
        name = connection.peer or connection.remote or "a silent peer"
        self._listener.say(f"closed the connection of {name}: {why}")

    def _carry_out(self) -> None:
        broker, door = self.broker, self.door
        while True:
            if door is not None:
                door.serve(time.monotonic())  # stock clients have what was left for them
            if not (effects := broker.take()):
                break
            for effect in effects:
                if isinstance(effect, Send):
                    self._send(effect)
                elif isinstance(effect, Commit):
                    self._committer.commit(effect.pending)
                else:
                    self._head.decided(effect)
            self._outbox.flush()  # whoever has new items is at work while the rest is decided
        self._set_alarm()

    def _send(self, send: Send) -> None:
        connection = self._workers.by_session.get(send.session)
        if connection is not None:
            self._outbox.put(connection, send)
        elif self.door is not None:
            self.door.told(send)

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
