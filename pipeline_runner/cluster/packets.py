"""The packets of discovery, byte for byte: what a key holder reads, and nobody else can write.

::

    header, frozen for ever:  "PRUN" | version, 1 byte | type, 1 byte | tag of the key, 8 bytes
    then, in version 1:       size of the content, 2 bytes | content, msgpack | zeros
    the last 32 bytes:        HMAC-SHA256 with the beacon key over every byte before

The signature is looked at first, and nothing behind the header is parsed unless it is right. An ask
is padded to the size that no other packet exceeds, so that nobody can make a head send more than
was sent to it. An offer repeats the ask's nonce: one that was recorded earlier answers no question.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeAlias, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

PORT = 50000  # UDP, of every pipeline
SPEAKS = (1, 1)  # the lowest and the highest protocol this version speaks over TCP
LARGEST = 640  # bytes, and the size of every ask
NONCE_SIZE = 16

_MAGIC = b"PRUN"
_VERSION = 1
_HEADER = 14
_MAC = 32
_SIZE = 2
_CONTENT = _HEADER + _SIZE
_SMALLEST = _HEADER + _MAC

# What stands in a packet is shown to people and connected to: neither may do anything else.
_Words: TypeAlias = Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[ -~]*$")]
_Name: TypeAlias = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[a-z0-9-]*$")]
_Port: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=65535)]
_Nonce: TypeAlias = Annotated[bytes, msgspec.Meta(max_length=NONCE_SIZE)]
_Digest: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
_Id: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}$")]


class Ask(msgspec.Struct, frozen=True, array_like=True):
    """A host looks for heads: of the pipeline ``name``, of any if it is empty."""

    TYPE: ClassVar[int] = 1
    name: _Name
    nonce: _Nonce
    protocol: tuple[int, int]
    version: _Words


class Offer(msgspec.Struct, frozen=True, array_like=True):
    """A head answers: where it is, beside the address this came from, and what it speaks.

    ``head_id`` is 16 hexadecimal digits, others for every start of a head; ``digest`` is the
    SHA-256 of its certificate; ``machine`` is its host's name.
    """

    TYPE: ClassVar[int] = 2
    head_id: _Id
    name: _Name
    port: _Port
    digest: _Digest
    version: _Words
    machine: _Words = ""
    protocol: tuple[int, int] = SPEAKS
    revision: int = 0
    release: _Words = ""
    nonce: _Nonce = b""


class Announce(msgspec.Struct, frozen=True, array_like=True):
    """A head is there. Whoever hears it asks; nothing else follows from it."""

    TYPE: ClassVar[int] = 3
    head_id: _Id
    name: _Name
    time: float


class Nak(msgspec.Struct, frozen=True, array_like=True):
    """A head will not answer. The reason is a hint to a person, and changes nothing."""

    TYPE: ClassVar[int] = 4
    reason: _Words
    nonce: _Nonce = b""


Packet: TypeAlias = Ask | Offer | Announce | Nak

_DECODERS = {kind.TYPE: msgspec.msgpack.Decoder(kind) for kind in (Ask, Offer, Announce, Nak)}
_encoder = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True)
class Seal:
    """What packets of one key are known by, and signed with."""

    tag: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Forged:
    """The tag is ours and the signature is not: damaged on its way, or made by a stranger."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """Truly signed, in a version of packets that we cannot read."""

    version: int
    type: int
    seal: Seal


@dataclass(frozen=True, slots=True)
class Opened:
    """A packet that a key holder made."""

    packet: Packet
    seal: Seal


def words(text: str) -> str:
    """Return ``text`` as a packet can carry it: at most 64 characters of printable ASCII."""
    return "".join(c if " " <= c <= "~" else "?" for c in text[:64])


def encode(packet: Packet, seal: Seal) -> bytes:
    """Return the bytes of a packet, at most ``LARGEST``. Raises ValueError if it has too many."""
    content = _encoder.encode(packet)
    room = LARGEST - _CONTENT - _MAC
    if len(content) > room:
        raise ValueError(f"{type(packet).__name__} of {len(content)} bytes, at most {room}")
    padding = bytes(room - len(content)) if isinstance(packet, Ask) else b""
    signed = b"".join(
        (
            _MAGIC,
            bytes((_VERSION, packet.TYPE)),
            seal.tag,
            len(content).to_bytes(_SIZE, "big"),
            content,
            padding,
        )
    )
    return signed + hmac.digest(seal.key, signed, "sha256")


def decode(data: bytes, seals: Mapping[bytes, Seal]) -> Opened | Foreign | Forged | None:
    """Return what ``data`` is to the holder of ``seals``, by their tags; None: nothing at all."""
    if not _SMALLEST <= len(data) <= LARGEST or not data.startswith(_MAGIC):
        return None
    seal = seals.get(data[6:_HEADER])
    if seal is None:
        return None
    signed = data[:-_MAC]
    if not hmac.compare_digest(hmac.digest(seal.key, signed, "sha256"), data[-_MAC:]):
        return Forged()
    version, kind = data[4], data[5]
    decoder = _DECODERS.get(kind)
    if version != _VERSION or decoder is None:
        return Foreign(version, kind, seal)
    size = int.from_bytes(signed[_HEADER:_CONTENT], "big")
    try:
        packet = cast("Packet", decoder.decode(signed[_CONTENT : _CONTENT + size]))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Foreign(version, kind, seal)
    return Opened(packet, seal)
