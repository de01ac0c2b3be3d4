"""Items to bodies and back. An item is a value, taken at the moment it is yielded or returned.

A body has one of two forms, told apart by its first byte:

- **together**: one pickle (protocol 5) of a list. Only scalars are encoded so, and late: nothing
  can change in them, nothing can be shared by them, and pickling a thousand at once costs a tenth.
  What a stock manager client puts is such a list too, of its one item.
- **apart**: a byte, the number of items, where in the body each begins and the last ends
  (unsigned 32 bits, little-endian), then one pickle an item. Each was made when its item was
  yielded and is loaded when it is about to run, alone: no item sees what another did, and one
  that cannot be decoded harms nobody else. One that is **gathered** (another first byte) has each
  item's name behind the index: see :mod:`pipeline_runner.wire.repack`.

Only workers and a user's own command line decode; the head never does.
"""

from __future__ import annotations

import pickle
import struct
from itertools import accumulate
from types import NoneType
from typing import TYPE_CHECKING, Any

from pipeline_runner.wire.repack import APART, GATHERED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SCALARS = frozenset({NoneType, bool, int, float, complex, str, bytes})
"""The types, exactly, whose values nothing can change: they may be encoded late and together."""

_HEAD = struct.Struct("<BI")
_OFFSET_BYTES = 4
_SMALL_BYTES = 4096  # a slice of so many bytes is cheaper copied than viewed


Pickled = tuple[bytes]
"""An item that was pickled by itself when it was yielded or returned.

A tuple of one, the cheapest thing to make, and unmistakable: a tuple is no scalar, so that one of
the user's is never found among what was taken.
"""


class NoRoom(Exception):
    """A body is longer than the room for it."""


def take(value: Any) -> Any:
    """Return ``value`` as it is now: a scalar itself, anything else :data:`Pickled`.

    Raises whatever pickling it raises.
    """
    if type(value) in SCALARS:
        return value
    return (pickle.dumps(value, pickle.HIGHEST_PROTOCOL),)


def encode_one(taken: Any) -> bytes:
    """Return the pickle of one value that :func:`take` returned."""
    if type(taken) is tuple:
        data: bytes = taken[0]
        return data
    return pickle.dumps(taken, pickle.HIGHEST_PROTOCOL)


def encode(taken: Sequence[Any], *, scalars: bool = False) -> bytes:
    """Return a body of items that :func:`take` returned.

    With ``scalars`` they are known to be such, and need not be looked at.
    """
    if scalars or tuple not in set(map(type, taken)):
        return pickle.dumps(taken, pickle.HIGHEST_PROTOCOL)
    return b"".join(apart(taken))


def apart(taken: Sequence[Any]) -> list[bytes]:
    """Return, in parts, a body of items of which some are :data:`Pickled`."""
    return _with_index([item[0] if type(item) is tuple else encode_one(item) for item in taken])


def _with_index(pickles: list[bytes]) -> list[bytes]:
    n = len(pickles)
    offsets = accumulate(map(len, pickles), initial=_HEAD.size + (n + 1) * _OFFSET_BYTES)
    return [_HEAD.pack(APART, n), struct.pack(f"<{n + 1}I", *offsets), *pickles]


class _Room:
    """A file of fixed size, for a pickler: large parts are copied once, to where they stay."""

    def __init__(self, room: memoryview) -> None:
        self.size = 0
        self._room = room

    def write(self, part: bytes | pickle.PickleBuffer) -> int:
        data = part.raw() if isinstance(part, pickle.PickleBuffer) else part
        end = self.size + len(data)
        if end > len(self._room):
            raise NoRoom
        self._room[self.size : end] = data
        self.size = end
        return len(data)


def encode_into(taken: Sequence[Any], room: memoryview, *, scalars: bool = False) -> int:
    """Write the body that :func:`encode` returns to the start of ``room``; return its size.

    Raises NoRoom.
    """
    file = _Room(room)
    if scalars or tuple not in set(map(type, taken)):
        pickle.Pickler(file, pickle.HIGHEST_PROTOCOL).dump(taken)
        return file.size
    parts = apart(taken)
    small = sum(map(len, parts)) < _SMALL_BYTES * len(parts)
    for part in [b"".join(parts)] if small else parts:
        file.write(part)
    return file.size


class Apart:
    """The items of a body in which each stands by itself; each look decodes anew.

    Item i is the pickle ``data[offsets[i] : offsets[i + 1]]``. Raises ValueError if it is no such
    body.
    """

    __slots__ = ("data", "is_copy", "offsets")

    def __init__(self, body: bytes | memoryview) -> None:
        try:
            _form, n = _HEAD.unpack_from(body)
            self.offsets: tuple[int, ...] = struct.unpack_from(f"<{n + 1}I", body, _HEAD.size)
        except struct.error as error:
            raise ValueError(f"a body of {len(body)} bytes is too short for its index") from error
        if self.offsets[-1] != len(body):
            raise ValueError(f"a body of {len(body)} bytes whose index ends at {self.offsets[-1]}")
        # Most items are small, and of small slices a copy is cheaper than a view.
        self.is_copy = len(body) < _SMALL_BYTES * n
        self.data = bytes(body) if self.is_copy else body

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def pickle(self, index: int) -> bytes | memoryview:
        """Return the pickle of one item."""
        return self.data[self.offsets[index] : self.offsets[index + 1]]

    def __getitem__(self, index: int) -> Any:
        return pickle.loads(self.pickle(index))  # noqa: S301  (the key holders' own items)

    def __iter__(self) -> Iterator[Any]:
        return map(self.__getitem__, range(len(self)))


def is_apart(body: bytes | memoryview) -> bool:
    """Whether each item of ``body`` stands by itself."""
    return len(body) > 0 and body[0] in (APART, GATHERED)


def decode(body: bytes | memoryview) -> list[Any]:
    """Return the items of ``body``, every one a copy of its own.

    Raises what unpickling raises; ``body`` must come from one's own pipeline.
    """
    if is_apart(body):
        return list(Apart(body))
    items: list[Any] = pickle.loads(body)  # noqa: S301  (the key holders' own items)
    return items


def item_body(body: bytes | memoryview, index: int) -> bytes:
    """Return a body of just the item at ``index``; nothing of it is decoded.

    Raises ValueError where items are together: only who may decode them can tell them apart.
    """
    if not is_apart(body):
        raise ValueError("these items are together in one pickle")
    return b"".join(_with_index([bytes(Apart(body).pickle(index))]))
