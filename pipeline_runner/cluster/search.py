"""One search for heads: asks on every network when it is time to, and opens what comes back."""

from __future__ import annotations

import contextlib
import random
import secrets
import select
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline_runner import __version__
from pipeline_runner.cluster.interfaces import Links, Skipped
from pipeline_runner.cluster.packets import (
    LARGEST,
    NONCE_SIZE,
    SPEAKS,
    Announce,
    Ask,
    Forged,
    Nak,
    Offer,
    Opened,
    Seal,
    decode,
    encode,
)
from pipeline_runner.cluster.schedule import Allowance, asks
from pipeline_runner.cluster.silence import Silence
from pipeline_runner.cluster.sockets import listener, sender

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from typing_extensions import Self

    from pipeline_runner.cluster.identity import Identity
    from pipeline_runner.cluster.interfaces import Interface

_AT_ONCE = 256  # packets of one socket before the others are looked at
_MOST_TOLD = 16  # addresses and reasons that are remembered for a person


@dataclass(frozen=True, slots=True)
class Found:
    """A head that answered: ``identity`` it is of, and what it said of itself.

    ``host`` is the address it answered from, ``machine`` its host's name, ``protocol`` the lowest
    and the highest it speaks, ``waited_s`` the time since the first question.
    """

    identity: Identity
    head_id: str
    name: str
    host: str
    port: int
    fingerprint: str
    protocol: tuple[int, int]
    version: str
    revision: int
    release: str
    machine: str
    waited_s: float


class Search:
    """Asks for heads of ``identities``, or of the pipeline ``name`` alone."""

    def __init__(
        self,
        identities: Sequence[Identity],
        name: str | None,
        links: Callable[[], Links],
        port: int,
    ) -> None:
        self._name = name
        self._scan = links
        self._port = port
        self._identities: dict[bytes, Identity] = {}
        for each in identities:
            # One key that is kept under two names stands for both.
            other = self._identities.get(each.tag, each)
            self._identities[each.tag] = each if other == each else replace(each, name="")
        self._seals = {each.tag: Seal(each.tag, each.beacon_key) for each in identities}
        self._asks = {
            tag: Ask(name or each.name, secrets.token_bytes(NONCE_SIZE), SPEAKS, __version__)
            for tag, each in self._identities.items()
        }
        self._senders: dict[Interface, socket.socket] = {}
        self._links = Links(())
        self._closed: dict[str, str] = {}
        self._forged: dict[str, None] = {}
        self._naks: dict[str, None] = {}
        self._found: dict[str, Found] = {}
        self._listener = _listener(port)
        self._began = time.monotonic()
        self._times = asks(random.random)
        self._ask_at = next(self._times)
        self._sooner = Allowance(per_s=0.5, burst=2.0, now=self._began)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self._sockets():
            sock.close()

    @property
    def waited_s(self) -> float:
        """The time since it began."""
        return time.monotonic() - self._began

    @property
    def found(self) -> list[Found]:
        """The heads that answered, in that order."""
        return list(self._found.values())

    def silence(self) -> Silence:
        """Return what there is to say while nobody has answered."""
        closed = tuple(Skipped(name, why) for name, why in self._closed.items())
        tried = tuple(each for each in self._links.usable if each.name not in self._closed)
        return Silence(
            self.waited_s,
            tried,
            (*self._links.skipped, *closed),
            tuple(self._forged),
            tuple(self._naks),
        )

    def look(self, until_s: float | None, wakeup: int = -1) -> bool:
        """Ask if it is time to, wait for answers a while; can ``wakeup`` be read?

        It waits until ``until_s`` of ``waited_s`` at most, or until it is time to ask again.
        """
        if self.waited_s >= self._ask_at:
            self._ask()
            now = self.waited_s  # asks that a sleep of the machine missed are not made up for
            self._ask_at = next(at for at in self._times if at > now)
        until_s = self._ask_at if until_s is None else min(until_s, self._ask_at)
        poll = select.poll()
        sockets = {sock.fileno(): sock for sock in self._sockets()}
        for descriptor in (*sockets, wakeup):
            if descriptor >= 0:
                poll.register(descriptor, select.POLLIN)
        ready = {fd for fd, _event in poll.poll(max(0.0, until_s - self.waited_s) * 1000)}
        for descriptor in ready & sockets.keys():
            self._read(sockets[descriptor])
        return wakeup in ready

    def _sockets(self) -> list[socket.socket]:
        return [*self._senders.values(), *([self._listener] if self._listener else [])]

    def _ask(self) -> None:
        """Ask on what there is now: a network that came up meanwhile is asked too."""
        with contextlib.suppress(OSError):  # no descriptor is left, for now
            self._links = self._scan()
        for gone in self._senders.keys() - set(self._links.usable):
            self._senders.pop(gone).close()
        self._closed.clear()
        packets = [encode(ask, self._seals[tag]) for tag, ask in self._asks.items()]
        for interface in self._links.usable:
            try:
                if interface not in self._senders:
                    self._senders[interface] = sender(interface)
                for packet in packets:
                    self._senders[interface].sendto(packet, (interface.broadcast, self._port))
            except OSError as error:
                self._closed[interface.name] = error.strerror or "cannot be used"

    def _read(self, sock: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                data, source = sock.recvfrom(LARGEST + 1)
            except BlockingIOError:
                return
            except OSError:  # what became of an earlier ask, as "host unreachable"
                continue
            match decode(data, self._seals):
                case Opened(Offer() as offer, seal):
                    self._offered(offer, seal, source[0])
                case Opened(Announce() as announce, seal) if self._is_meant(announce.name, seal):
                    if not self._found and self._sooner.take(time.monotonic()):
                        self._ask_at = 0.0
                case Opened(Nak() as nak, seal) if nak.nonce in (b"", self._asks[seal.tag].nonce):
                    _remember(self._naks, f"{nak.reason} ({source[0]})")
                case Forged():
                    _remember(self._forged, source[0])

    def _offered(self, offer: Offer, seal: Seal, host: str) -> None:
        # An offer that answers somebody else's question, or an old one of ours, is none.
        if offer.nonce != self._asks[seal.tag].nonce or not self._is_meant(offer.name, seal):
            return
        if offer.head_id in self._found:
            return
        self._found[offer.head_id] = Found(
            identity=replace(self._identities[seal.tag], name=offer.name),
            head_id=offer.head_id,
            name=offer.name,
            host=host,
            port=offer.port,
            fingerprint=offer.digest.hex(),
            protocol=offer.protocol,
            version=offer.version,
            revision=offer.revision,
            release=offer.release,
            machine=offer.machine,
            waited_s=self.waited_s,
        )

    def _is_meant(self, name: str, seal: Seal) -> bool:
        return self._asks[seal.tag].name in ("", name)


def _listener(port: int) -> socket.socket | None:
    """Return what hears announces; None where it cannot be had: asking is enough."""
    with contextlib.suppress(OSError):
        return listener(port)
    return None


def _remember(told: dict[str, None], what: str) -> None:
    if len(told) < _MOST_TOLD:
        told[what] = None
