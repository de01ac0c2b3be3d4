"""Items to bodies and back: pickle protocol 5 of a list.

Only workers and a user's own command line decode; the head never does.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Unpicklable:
    """The item at ``index`` of a batch, and why it cannot travel."""

    index: int
    error: BaseException


def encode(items: list[Any]) -> bytes:
    """Return a body of ``items``. Raises whatever pickling one of them raises."""
    return pickle.dumps(items, pickle.HIGHEST_PROTOCOL)


def encode_sound(items: list[Any]) -> tuple[list[Any], list[Unpicklable]]:
    """Return the items that can travel, and those that cannot, by index.

    One pickle an item: only for a batch that :func:`encode` refused.
    """
    sound: list[Any] = []
    faults: list[Unpicklable] = []
    for index, item in enumerate(items):
        try:
            pickle.dumps(item, pickle.HIGHEST_PROTOCOL)
        except BaseException as error:  # noqa: BLE001  (user classes raise what they like)
            faults.append(Unpicklable(index, error))
        else:
            sound.append(item)
    return sound, faults


def decode(body: bytes | memoryview) -> list[Any]:
    """Return the items of ``body``, every one a copy of its own.

    Raises what unpickling raises; ``body`` must come from one's own pipeline.
    """
    items: list[Any] = pickle.loads(body)  # noqa: S301  (the key holders' own items)
    return items
