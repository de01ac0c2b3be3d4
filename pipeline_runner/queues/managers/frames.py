"""Frames of ``multiprocessing.connection``: a length, then so many bytes.

The length is ``!i``; where that is -1, a ``!Q`` follows it. It is checked before anything is kept
for the frame.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline_runner.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHORT = struct.Struct("!i")
_LONG = struct.Struct("!iQ")
_MOST_SHORT = 0x7FFFFFFF


@dataclass(frozen=True, slots=True)
class TooLarge:
    """A frame of ``size`` bytes that is thrown away while it arrives."""

    size: int


def header(size: int) -> bytes:
    """Return what goes before a frame of ``size`` bytes."""
    return _SHORT.pack(size) if size <= _MOST_SHORT else _LONG.pack(-1, size)


class Frames:
    """Cuts a stream into frames of at most ``most`` bytes; ``most`` may change between them."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._buffer = bytearray()
        self._skipping = 0

    def feed(self, data: bytes | memoryview) -> Iterator[bytes | TooLarge]:
        """Yield every frame that ``data`` completes; a too large one as soon as it begins.

        Raises ProtocolError for a length that no peer sends. Exhaust it before the next call.
        """
        if self._skipping:
            skipped = min(self._skipping, len(data))
            self._skipping -= skipped
            data = data[skipped:]
        self._buffer += data
        while (size := self._next_size()) is not None:
            start, length = size
            if length > self.most:
                beyond = len(self._buffer) - start - length
                self._skipping = max(0, -beyond)
                del self._buffer[: start + length]
                yield TooLarge(length)
                continue
            if len(self._buffer) < start + length:
                return
            frame = bytes(memoryview(self._buffer)[start : start + length])
            del self._buffer[: start + length]
            yield frame

    def _next_size(self) -> tuple[int, int] | None:
        """Return where the next frame's bytes start and how many they are, once it is known."""
        if len(self._buffer) < _SHORT.size:
            return None
        (length,) = _SHORT.unpack_from(self._buffer)
        if length >= 0:
            return _SHORT.size, length
        if length != -1:
            raise ProtocolError(f"a frame of {length} bytes")
        if len(self._buffer) < _LONG.size:
            return None
        return _LONG.size, _LONG.unpack_from(self._buffer)[1]
