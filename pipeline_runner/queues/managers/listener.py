"""The door for stock clients on the head's event loop: listeners, guards, and who gets which reply.

A peer that stays silent, sends nonsense or is slow costs nobody else anything.
"""

from __future__ import annotations

import errno
import secrets
import socket
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Protocol

from typing_extensions import assert_never

from pipeline_runner.queues.managers import replies
from pipeline_runner.queues.managers.connection import ManagerConnection
from pipeline_runner.queues.managers.handshake import RANDOM_BYTES
from pipeline_runner.queues.managers.protocol import Call, HangUp, Peer, Write
from pipeline_runner.queues.managers.sessions import ClientSessions

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_runner.queues.broker.broker import Broker
    from pipeline_runner.queues.broker.effects import Send
    from pipeline_runner.queues.managers.protocol import Action, Parts

HANDSHAKE_S = 5.0
MOST_UNKNOWN = 64  # connections that have not shown that they have the key
_BACKLOG = 128
_QUIET_S = 10.0
_MOST_SAID = 100
_OUT_OF = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Host(Protocol):
    """Who carries out what the broker decides, and calls :meth:`Door.serve` as it does."""

    @property
    def broker(self) -> Broker:
        """What holds the queues."""

    def apply(self, decide: Callable[[Broker, float], None]) -> None:
        """Act on the broker at this moment, and carry out what follows."""


class ManagerListener:
    """Serves the edges of a host's broker to stock clients that have ``key``.

    With ``discards`` their ``shutdown(immediate=True)`` throws away what is queued.
    """

    def __init__(
        self,
        host: Host,
        loop: asyncio.AbstractEventLoop,
        key: bytes,
        *,
        most_item: int,
        warn: Callable[[str, str], None],
        discards: bool = False,
    ) -> None:
        self._host = host
        self._loop = loop
        self._key = key
        self._most_item = most_item
        self._warn = warn
        self._guests = ClientSessions(host.broker, self._present, discards=discards)
        self._listeners: list[socket.socket] = []
        self._files: list[Path] = []
        self._unknown: OrderedDict[ManagerConnection, float] = OrderedDict()
        self._peers: dict[ManagerConnection, tuple[Peer, int]] = {}
        self._lines: dict[int, ManagerConnection] = {}
        self._held: dict[int, Parts] = {}  # replies, until what they imply is durable
        self._said: dict[str, float] = {}  # until when not to say it again
        self._references: Counter[str] = Counter()  # proxies of each queue
        self._sweep: asyncio.TimerHandle | None = None
        self._alarm: asyncio.TimerHandle | None = None

    def listen_unix(self, path: Path) -> None:
        """Listen at ``path``, in place of what a killed head left there. Raises OSError."""
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        path.chmod(0o600)
        self._files.append(path)
        self.listen(listener)

    def listen(self, listener: socket.socket) -> None:
        """Serve a bound socket from now on. It is the door's to close."""
        listener.setblocking(False)
        listener.listen(_BACKLOG)
        self._listeners.append(listener)
        self._loop.add_reader(listener, self._accept, listener)

    def close(self) -> None:
        """Close the listeners and every connection; what guests hold stays queued."""
        for timer in (self._sweep, self._alarm):
            if timer is not None:
                timer.cancel()
        for listener in self._listeners:
            self._loop.remove_reader(listener)
            listener.close()
        for path in self._files:
            path.unlink(missing_ok=True)
        self._listeners.clear()
        for line in tuple(self._peers):
            line.close(in_order=False)

    def serve(self, now: float) -> None:
        """Serve guests that wait, after whatever the broker did."""
        if not self._lines and not self._host.broker.state.dirty:
            return  # what every message of every worker pays
        self._guests.serve(now)
        while answers := self._guests.take():
            for answer in answers:
                self._reply(answer.guest, replies.reply_to(answer))
            self._guests.serve(now)
        self._set_alarm()

    def told(self, send: Send) -> None:
        """Take in what the broker says to a session that is none of the host's own."""
        self._guests.told(send)
        guest = send.session
        if guest in self._held and not self._guests.settling(guest):
            self._lines[guest].write(self._held.pop(guest))

    def _present(self, guest: int) -> bool:
        line = self._lines.get(guest)
        return line is not None and line.present

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, _address = listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as error:
            if error.errno not in _OUT_OF:
                raise
            self._say(f"cannot accept connections: {error.strerror}", "raise `ulimit -n`")
            if self._unknown:  # an honest client does not stay so long: make room
                self._refuse(next(iter(self._unknown)), "no descriptors left")
                return
            self._loop.remove_reader(listener)
            self._loop.call_later(0.5, self._accept_again, listener)
            return
        sock.setblocking(False)
        line = ManagerConnection(sock, self._loop, self._on_data, self._on_closed)
        random = secrets.token_bytes(RANDOM_BYTES)
        edges = self._host.broker.state.edges.keys()
        peer = Peer(self._key, random, edges, self._most_item, self._references)
        self._peers[line] = peer, 0
        self._unknown[line] = self._loop.time() + HANDSHAKE_S
        if len(self._unknown) > MOST_UNKNOWN:
            # The oldest silent one goes: an honest client answers at once.
            self._refuse(next(iter(self._unknown)), "too many silent connections")
        self._sweep_later()
        line.write(peer.begin().parts)

    def _accept_again(self, listener: socket.socket) -> None:
        if listener in self._listeners:
            self._loop.add_reader(listener, self._accept, listener)

    def _sweep_later(self) -> None:
        if self._sweep is None and self._unknown:
            self._sweep = self._loop.call_at(
                next(iter(self._unknown.values())), self._sweep_unknown
            )

    def _sweep_unknown(self) -> None:
        self._sweep = None
        now = self._loop.time()
        for line, deadline in tuple(self._unknown.items()):
            if deadline <= now:
                self._refuse(line, "no handshake in time")
        self._sweep_later()

    def _refuse(self, line: ManagerConnection, why: str) -> None:
        self._say(f"closed the connection of a manager client: {why}")
        line.close(in_order=False)

    def _say(self, text: str, hint: str = "") -> None:
        """Warn, but not of the same again and again: somebody may be knocking all day."""
        now = self._loop.time()
        if len(self._said) > _MOST_SAID:
            self._said.clear()
        if self._said.get(text, now) <= now:
            self._said[text] = now + _QUIET_S
            self._warn(text, hint)

    def _on_data(self, line: ManagerConnection, data: memoryview) -> None:
        peer, guest = self._peers[line]
        for action in peer.receive(data):
            if peer.known and line in self._unknown:
                del self._unknown[line]
                guest = self._host.broker.state.new_session()
                self._peers[line] = peer, guest
                self._lines[guest] = line
            self._perform(line, guest, action)
            if line.closed:
                return

    def _perform(self, line: ManagerConnection, guest: int, action: Action) -> None:
        if self._guests.holds(guest):  # it sent a request: what it got before has arrived
            self._host.apply(lambda _broker, now: self._guests.done(guest, now))
        match action:
            case Write(parts):
                self._write(line, guest, parts)
            case HangUp(why):
                if why:
                    self._say(f"closed the connection of a manager client: {why}")
                line.hang_up()
            case Call():
                self._call(guest, action)
            case _:
                assert_never(action)

    def _call(self, guest: int, call: Call) -> None:
        guests, edge = self._guests, call.queue
        match call.method:
            case "qsize":
                self._reply(guest, [replies.returned(guests.queued(edge))])
            case "empty":
                self._reply(guest, [replies.returned(not guests.queued(edge))])
            case "full":
                self._reply(guest, [replies.returned(guests.full(edge))])
            case "get" | "put" as way if guests.is_shut(edge, getting=way == "get"):
                self._reply(guest, [replies.shut_down(getting=way == "get")])
            case "shutdown":
                self._shut_down(guest, call)
            case "get":
                self._host.apply(
                    lambda _broker, now: guests.get(guest, edge, now, _deadline(call, now))
                )
            case "put" if guests.closed_for_good(edge):
                over = ValueError(f"{edge!r} takes nothing more: its stage has finished")
                self._reply(guest, [replies.raised(over)])
            case "join":
                self._host.apply(lambda _broker, _now: guests.join(guest, edge))
            case "task_done" if guests.task_done(edge):
                self._reply(guest, [replies.returned(None)])
                self._host.apply(_nothing)  # a join may be answered now
            case "task_done":
                often = ValueError("task_done() called too many times")
                self._reply(guest, [replies.raised(often)])
            case "put":
                self._host.apply(
                    lambda _broker, now: guests.put(
                        guest, edge, call.body, now, _deadline(call, now)
                    )
                )
            case _:
                assert_never(call.method)

    def _shut_down(self, guest: int, call: Call) -> None:
        try:
            self._host.apply(
                lambda _broker, now: self._guests.shut_down(
                    call.queue, now, immediate=call.immediate
                )
            )
        except ValueError as error:
            self._reply(guest, [replies.raised(error)])
        else:
            self._reply(guest, [replies.returned(None)])

    def _reply(self, guest: int, parts: Parts) -> None:
        line = self._lines.get(guest)
        if line is not None:
            self._write(line, guest, self._peers[line][0].reply(parts).parts)

    def _write(self, line: ManagerConnection, guest: int, parts: Parts) -> None:
        """Send ``parts``; but a reply says too that the item before it will not come again."""
        if self._guests.settling(guest):
            self._held[guest] = parts
        else:
            line.write(parts)

    def _on_closed(self, line: ManagerConnection, in_order: bool) -> None:
        self._unknown.pop(line, None)
        _peer, guest = self._peers.pop(line)
        if not guest:
            return
        del self._lines[guest]
        now = self._loop.time()
        unsent = self._held.pop(guest, None)
        self._guests.left(guest, now, in_order=in_order and unsent is None)
        if self._listeners:
            # Not at once: this may be amid the carrying out of something else.
            self._loop.call_soon(self._host.apply, _nothing)

    def _set_alarm(self) -> None:
        due = self._guests.wake_at
        if self._alarm is not None:
            if due is not None and self._alarm.when() <= due:
                return
            self._alarm.cancel()
        self._alarm = None if due is None else self._loop.call_at(due, self._on_alarm)

    def _on_alarm(self) -> None:
        self._alarm = None
        self._host.apply(lambda _broker, now: self._guests.tick(now))


def _deadline(call: Call, now: float) -> float | None:
    return None if call.patience_s is None else now + call.patience_s


def _nothing(_broker: Broker, _now: float) -> None:
    pass
