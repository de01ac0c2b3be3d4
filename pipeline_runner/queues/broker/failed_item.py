"""One item that failed, by itself: cut out of its body, to be retried with others or kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pipeline_runner.wire.repack import Name, pickle_of

if TYPE_CHECKING:
    from pipeline_runner.wire.messages import Failure


class FailedItem(msgspec.Struct, gc=False):
    """A failed item: where it is, its name, and its pickle."""

    body: int
    index: int
    name: Name
    item: bytes


def pickle_of_failed(failure: Failure, n: int, body: bytes | memoryview) -> bytes | None:
    """Return the pickle of the item that failed: as its worker sent it, or cut out of its body.

    ``n`` is the number of items in ``body``; None where the item cannot be told apart.
    """
    if failure.item is not None:
        return failure.item
    try:
        return pickle_of(body, n, failure.index)
    except ValueError:  # no body at all: its worker could not decode it either
        return None
