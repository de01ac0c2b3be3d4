"""The client's end of an opening: it proves its key first, and asks for a proof in return."""

from __future__ import annotations

import hmac

from pipeline_runner.errors import ProtocolError, Refused
from pipeline_runner.wire.proof import (
    CLIENT,
    HEAD,
    MAC_BYTES,
    NONCE_BYTES,
    TOKEN_BYTES,
    Kind,
    Speaks,
    Why,
    cut,
    mac_of,
    message,
    parse,
)


class Prover:
    """The client's end of one opening, with ``key``; that is a token's secret with ``token``.

    ``certificate`` is the SHA-256 of the one that the other side showed, 32 bytes; ``place`` is
    where it is, for people.
    """

    def __init__(
        self,
        key: bytes,
        certificate: bytes,
        nonce: bytes,
        *,
        token: bytes = b"",
        speaks: Speaks | None = None,
        place: str = "the other side",
    ) -> None:
        self.head: Speaks | None = None  # once it has proved itself
        self.gift: bytes | None = None  # what the token was good for
        self._key = key
        self._certificate = certificate
        self._nonce = nonce
        self._token = token or bytes(TOKEN_BYTES)
        self._speaks = speaks or Speaks()
        self._place = place
        self._bound: tuple[bytes, bytes, bytes] | None = None
        self._received = b""

    @property
    def is_through(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.head is not None and (self.gift is not None or not any(self._token))

    @property
    def rest(self) -> bytes:
        """What came behind the opening."""
        return self._received

    def receive(self, data: bytes | memoryview) -> bytes:
        """Take in what the head sent and return what to answer, often nothing.

        Raises Refused if either does not know the other's key, or they share no protocol, and
        ProtocolError for anything else than an opening.
        """
        self._received += data
        answer = b""
        while not self.is_through and (found := parse(self._received)) is not None:
            kind, payload, self._received = found
            answer += self._step(kind, payload)
        return answer

    def _step(self, kind: int, payload: bytes) -> bytes:
        if kind == Kind.CHALLENGE and self._bound is None and len(payload) == NONCE_BYTES:
            self._bound = payload, self._nonce, self._certificate
            mine = self._speaks.pack()
            mac = mac_of(self._key, CLIENT, self._token, *self._bound, mine)
            return message(Kind.PROOF, self._token + self._nonce + mac + mine)
        if kind == Kind.REFUSED and self._bound is not None and payload:
            raise _refused(self._place, payload[0])
        if kind == Kind.ACCEPTED and self._bound is not None and self.head is None:
            self._check(self._bound, payload)
            return b""
        if kind == Kind.GIFT and self.head is not None:
            self.gift = payload
            return b""
        raise ProtocolError("it opens like no head does")

    def _check(self, bound: tuple[bytes, bytes, bytes], payload: bytes) -> None:
        mac, theirs = cut(payload, MAC_BYTES)
        if not hmac.compare_digest(mac, mac_of(self._key, HEAD, self._token, *bound, theirs)):
            raise Refused(
                f"{self._place} does not know the key",
                hint="it is not this pipeline's head, or somebody stands in between",
            )
        head = Speaks.unpack(theirs)
        if not self._speaks.understands(head):
            raise Refused(
                f"the head at {self._place} is {head}, and this is {self._speaks}",
                hint=f"pip install clusterer=={head.version}",
            )
        self.head = head


def _refused(place: str, why: int) -> Refused:
    if why == Why.TOKEN:
        return Refused(
            f"the head at {place} does not take this token: it was used, or has expired",
            hint="`runner token` there makes another",
        )
    return Refused(
        f"the head at {place} does not take this key",
        hint="`runner token` there makes a token for `runner join -` here",
    )
