"""What a head does so that others find it: answers asks, and announces itself."""

from __future__ import annotations

import contextlib
import errno
import random
import socket
import time
from typing import TYPE_CHECKING, TypeAlias

from msgspec import structs

from pipeline_runner.cluster.interfaces import scan
from pipeline_runner.cluster.packets import (
    LARGEST,
    PORT,
    Announce,
    Ask,
    Foreign,
    Nak,
    Offer,
    Opened,
    Seal,
    decode,
    encode,
    words,
)
from pipeline_runner.cluster.schedule import Allowances, announces
from pipeline_runner.cluster.sockets import answer, listener, receive, sender

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pipeline_runner.cluster.identity import Identity
    from pipeline_runner.cluster.interfaces import Interface, Links
    from pipeline_runner.cluster.packets import Packet
    from pipeline_runner.cluster.sockets import Arrived

    Answer: TypeAlias = Offer | str | None

ANY = "0.0.0.0"  # noqa: S104  (what it listens for is signed)
# By question, which only a key holder can make anew, and not by address, which anybody can borrow:
# whoever repeats what others asked takes no answer from them.
_ANSWERS_PER_S = 2.0  # to one question; a host repeats its own six times in three seconds
_BURST = 8.0
_TIMES_ALL = 500  # and to all of them together
_AT_ONCE = 64  # packets before others of the loop have their turn
_FORBIDDEN = (errno.EPERM, errno.EACCES)


class Beacon:
    """Answers on UDP 50000 for one head, with the ``offer`` of the moment.

    ``offer()`` gives an :class:`Offer`, a reason not to make one, or None to be silent. ``warn``
    gets a line and its cure. ``bind`` is the address that the head serves.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        identity: Identity,
        offer: Callable[[], Answer],
        warn: Callable[[str, str], None],
        *,
        bind: str = ANY,
        port: int = PORT,
        links: Callable[[], Links] = scan,
    ) -> None:
        self._loop = loop
        self._offer = offer
        self._warn = warn
        self._bind = bind
        self._address = bind
        self._port = port
        self._links = links
        self._told: set[str] = set()
        self._socket: socket.socket | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._allowed = Allowances(_ANSWERS_PER_S, _BURST, times_all=_TIMES_ALL, now=loop.time())
        self.use(identity)

    def use(self, identity: Identity, *former: Identity) -> None:
        """Announce with the key of ``identity``; asks with ``former`` keys are answered too."""
        self._identity = identity
        self._seals = {each.tag: Seal(each.tag, each.beacon_key) for each in (identity, *former)}
        self._seal = self._seals[identity.tag]

    def open(self) -> None:
        """Begin. A port that cannot be had is warned of: hosts can still join by address."""
        if ":" in self._bind:
            self._warn(
                f"nobody finds the head at {self._bind} without its address: "
                "the search goes over IPv4",
                "runner join HOST:PORT",
            )
            return
        self._address = _resolved(self._bind)
        try:
            self._socket = sock = listener(self._port, large=True)
        except OSError as error:
            self._warn(
                f"cannot listen on UDP port {self._port}: {error.strerror}; "
                "no host finds this head by itself",
                "runner join HOST:PORT works all the same",
            )
            return
        self._loop.add_reader(sock, self._readable)
        began = self._loop.time()
        self._times = (began + at for at in announces(random.random))
        self._announce_next()

    def close(self) -> None:
        """Be silent; a second time does nothing."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    # Answers.

    def _readable(self) -> None:
        assert self._socket is not None
        for _ in range(_AT_ONCE):
            try:
                arrived = receive(self._socket, LARGEST)
            except BlockingIOError:
                return
            except OSError:  # what became of an earlier answer of ours
                continue
            # Silence for all but a true packet: an answer would tell strangers that somebody is
            # here.
            match decode(arrived.data, self._seals):
                case Opened(Ask() as ask, seal) if ask.name in ("", self._identity.name):
                    self._asked(ask, seal, arrived)
                case Opened(Announce() as announce):
                    self._look_for_twin(announce, arrived.source[0])
                case Foreign(type=Ask.TYPE, seal=seal):
                    self._asked(None, seal, arrived)

    def _asked(self, ask: Ask | None, seal: Seal, arrived: Arrived) -> None:
        """Answer a key holder, None for what it asks in words of another version."""
        if self._address not in (ANY, arrived.here):
            return  # we do not serve there
        if not self._allowed.take(ask.nonce if ask else b"", self._loop.time()):
            return
        if ask is None:
            self._send(Nak("this head cannot read what you ask: another version"), seal, arrived)
            return
        match self._offer():
            case Offer() as offer:
                self._send(structs.replace(offer, nonce=ask.nonce), seal, arrived)
            case str(reason):
                self._send(Nak(words(reason), ask.nonce), seal, arrived)

    def _send(self, packet: Packet, seal: Seal, arrived: Arrived) -> None:
        assert self._socket is not None
        with contextlib.suppress(OSError):  # it asks again
            answer(self._socket, encode(packet, seal), arrived)

    def _look_for_twin(self, announce: Announce, where: str) -> None:
        if announce.name != self._identity.name or announce.head_id in self._told:
            return
        self._told.add(announce.head_id)
        mine = self._offer()
        if isinstance(mine, Offer) and announce.head_id != mine.head_id:
            self._warn(
                f"another head of {mine.name} with the same key runs on {where}: hosts join either",
                "stop one of them",
            )

    # Announcements.

    def _announce_next(self) -> None:
        now = self._loop.time()
        if (offer := self._offer()) and isinstance(offer, Offer):
            packet = encode(Announce(offer.head_id, offer.name, time.time()), self._seal)
            for interface in self._usable():
                if self._address in (ANY, interface.address):
                    self._announce(packet, interface)
        # After a long sleep of the machine the times that passed are not made up for.
        at = next(at for at in self._times if at > now)
        self._alarm = self._loop.call_at(at, self._announce_next)

    def _usable(self) -> tuple[Interface, ...]:
        try:
            return self._links().usable
        except OSError:  # no descriptor is left, for now; asks are answered all the same
            return ()

    def _announce(self, packet: bytes, interface: Interface) -> None:
        try:
            with sender(interface) as sock:
                sock.sendto(packet, (interface.broadcast, self._port))
        except OSError as error:
            if error.errno in _FORBIDDEN and interface.name not in self._told:
                self._told.add(interface.name)
                self._warn(
                    f"cannot announce on {interface.name} {interface.address}: {error.strerror}",
                    f"allow UDP port {self._port} in the firewall, or join by address",
                )


def _resolved(bind: str) -> str:
    try:
        return socket.gethostbyname(bind) if bind else ANY
    except OSError:  # the TCP door says what is wrong with it
        return bind
