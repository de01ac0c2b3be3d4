"""Items to bodies and back: pickle protocol 5 of a list.

Only workers and a user's own command line decode; the head never does.
"""

from __future__ import annotations

import pickle
from typing import Any


def encode(items: list[Any]) -> bytes:
    """Return a body of ``items``. Raises whatever pickling one of them raises."""
    return pickle.dumps(items, pickle.HIGHEST_PROTOCOL)


class NoRoom(Exception):
    """A body is longer than the room for it."""


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


def encode_into(items: list[Any], room: memoryview) -> int:
    """Write a body of ``items`` to the start of ``room`` and return its size in bytes.

    Raises NoRoom, or whatever pickling one of them raises.
    """
    file = _Room(room)
    pickle.Pickler(file, pickle.HIGHEST_PROTOCOL).dump(items)
    return file.size


def decode(body: bytes | memoryview) -> list[Any]:
    """Return the items of ``body``, every one a copy of its own.

    Raises what unpickling raises; ``body`` must come from one's own pipeline.
    """
    items: list[Any] = pickle.loads(body)  # noqa: S301  (the key holders' own items)
    return items
