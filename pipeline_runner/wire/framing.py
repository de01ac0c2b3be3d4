"""Frames: eight bytes of two lengths, a message, and the bodies behind it.

``!II`` = length of the message, length of all its bodies together. A frame's lengths are checked
before anything is allocated for it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Union

import msgspec

from pipeline_runner.errors import ProtocolError
from pipeline_runner.escaping import encodable
from pipeline_runner.wire.control_messages import (
    Answer,
    Ask,
    Beat,
    BeatAck,
    Desired,
    Dismiss,
    Leaving,
    Lines,
    ManifestData,
    NewKey,
    ObjectData,
    Ready,
    Report,
    WantManifest,
    WantObjects,
)
from pipeline_runner.wire.messages import (
    Adopt,
    Adopted,
    Claim,
    Died,
    Empty,
    End,
    Granted,
    Hello,
    Return,
    Session,
    Settle,
    Settled,
    Stage,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_runner.wire.messages import Message

_HEADER = struct.Struct("!II")
HEADER_SIZE = _HEADER.size
MOST_MESSAGE = 8 * 1024**2  # bytes of msgpack; tracebacks and log lines are the largest
MOST_UNKNOWN = 64 * 1024  # before the peer has said who it is
_BESIDE_AN_ITEM = 8 * 1024**2  # bytes: what a worker had made when the largest item came
_FIRST_BYTES = 2 * 1024**2  # allocated for a long frame before more of it has arrived


_ToHead = Union[  # noqa: UP007  (msgspec reads it on Python 3.10)
    Hello,
    Claim,
    Settle,
    Stage,
    Return,
    Adopt,
    Died,
    Beat,
    Lines,
    Report,
    Ask,
    WantManifest,
    WantObjects,
    Ready,
    Leaving,
]
_FromHead = Union[  # noqa: UP007
    Session,
    Granted,
    Empty,
    End,
    Settled,
    Adopted,
    Desired,
    Answer,
    ManifestData,
    ObjectData,
    BeatAck,
    Dismiss,
    NewKey,
]

_encoder = msgspec.msgpack.Encoder()
_to_head: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(_ToHead)
_from_head: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(_FromHead)


def encode_frame(message: Message, bodies_size: int = 0) -> bytes:
    """Return the frame's head: lengths and message. Its bodies are to follow it."""
    try:
        packed = _encoder.encode(message)
    except UnicodeEncodeError:  # a lone surrogate, somewhere: it must not cost the message
        packed = _encoder.encode(_encodable(msgspec.to_builtins(message, builtin_types=(bytes,))))
    return _HEADER.pack(len(packed), bodies_size) + packed


# From bytes and an offset to (message size, bodies size); without a frame of Python's in between.
read_header: Callable[..., tuple[int, int]] = _HEADER.unpack_from


def most_bodies(most_item: int) -> int:
    """Return how many bytes of bodies a frame may carry, where an item may have ``most_item``."""
    return most_item + _BESIDE_AN_ITEM


def check_sizes(message: int, bodies: int, *, known: bool, most_bodies: int) -> None:
    """Refuse a frame that is too large. Raises ProtocolError that names the bound."""
    if not known and message + bodies > MOST_UNKNOWN:
        raise ProtocolError(
            f"a frame of {message + bodies} bytes before HELLO; at most {MOST_UNKNOWN}"
        )
    if message > MOST_MESSAGE:
        raise ProtocolError(f"a message of {message} bytes; at most {MOST_MESSAGE}")
    if bodies > most_bodies:
        raise ProtocolError(
            f"a body of {bodies} bytes; at most {most_bodies}",
            hint="raise max_item in [server]",
        )


def _encodable(value: Any) -> Any:
    """Return plain data with the lone surrogates of every text in it escaped."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, dict):
        return {_encodable(key): _encodable(each) for key, each in value.items()}
    return [_encodable(each) for each in value] if isinstance(value, (list, tuple)) else value


def decode_to_head(data: bytes | memoryview) -> Any:
    """Return the message a head received. Raises ProtocolError if it is none."""
    try:
        return _to_head.decode(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ProtocolError(f"not a message: {error}") from error


def decode_from_head(data: bytes | memoryview) -> Any:
    """Return the message a head sent. Raises ProtocolError if it is none."""
    try:
        return _from_head.decode(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ProtocolError(f"not a message: {error}") from error


class FrameBuffer:
    """A frame of ``total`` bytes that has ``begun``, in memory that grows as its bytes arrive.

    A length is only a claim: what is allocated is 2 MiB, or twice what has arrived.
    """

    __slots__ = ("_data", "_filled", "_total")

    def __init__(self, total: int, begun: bytes | bytearray | memoryview) -> None:
        self._total = total
        self._filled = len(begun)
        self._data = bytearray(min(total, max(_FIRST_BYTES, 2 * self._filled)))
        self._data[: self._filled] = begun

    def room(self, most: int | None = None) -> memoryview:
        """Return where the next bytes go, ``most`` at a time. To be released before the next."""
        if self._filled == len(self._data):
            self._data += bytes(min(self._filled, self._total - self._filled))
        end = len(self._data) if most is None else self._filled + most
        return memoryview(self._data)[self._filled : end]

    def add(self, size: int) -> memoryview | None:
        """Count ``size`` bytes that went into the room; return the frame once it is whole."""
        self._filled += size
        return memoryview(self._data) if self._filled == self._total else None
