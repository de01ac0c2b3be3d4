"""Items to bodies and back: pickle protocol 5 of a list.

Only workers and a user's own command line decode; the head never does.
"""

from __future__ import annotations

import pickle
from typing import Any


def encode(items: list[Any]) -> bytes:
    """Return a body of ``items``. Raises whatever pickling one of them raises."""
    return pickle.dumps(items, pickle.HIGHEST_PROTOCOL)


def decode(body: bytes | memoryview) -> list[Any]:
    """Return the items of ``body``, every one a copy of its own.

    Raises what unpickling raises; ``body`` must come from one's own pipeline.
    """
    items: list[Any] = pickle.loads(body)  # noqa: S301  (the key holders' own items)
    return items
