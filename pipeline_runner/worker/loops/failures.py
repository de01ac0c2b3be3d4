"""Failures of user code, as the head is told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from pipeline_runner.wire.messages import Done, Failure
from pipeline_runner.worker.exceptions import describe, format_traceback, shown
from pipeline_runner.worker.loops.routing import TOO_LARGE, UnsendableError
from pipeline_runner.worker.session.grants import UndecodableError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from pipeline_runner.worker.session.grants import Items

MOST_SHOWN = 2000  # characters
MOST_BYTES = 1024**2  # of the failures of one message, about
_SHORT = 100  # characters of a value that is told shortly


def failure(
    token: int,
    index: int,
    error: BaseException,
    cause: str = "raised",
    items: Items | None = None,
) -> Failure:
    """Return the failure of one index of a lease, which is one of ``items``."""
    kind = type(error)  # its own __class__ may lie
    if issubclass(kind, UndecodableError):
        cause, error = "undecodable", error.__cause__ or error
    elif issubclass(kind, UnsendableError):
        cause, error = error.cause, error.__cause__ or error  # type: ignore[attr-defined]
    # What is too large once is so each time, and making it may be what takes long.
    return Failure(
        token,
        index,
        describe(error),
        format_traceback(error),
        cause,
        final=cause == TOO_LARGE,
        item=None if items is None else items.pickle(index),
    )


def lost(token: int, value: Any, error: UnsendableError) -> Failure:
    """Return the failure of a source's value that cannot be sent: only its text is kept."""
    if isinstance(value, (str, bytes, bytearray)):  # of what is large, no more than is shown
        value = value[:MOST_SHOWN]
    return replace(failure(token, 0, error), payload=shown(value, MOST_SHOWN), final=True)


def size(failed: Failure) -> int:
    """Return about how many bytes a failure takes in a message."""
    item = len(failed.item) if failed.item is not None else 0
    return len(failed.error) + len(failed.traceback) + len(failed.payload) + item + 64


def in_pieces(failures: Sequence[Failure]) -> Iterator[list[Failure]]:
    """Yield failures in pieces that fit a message each: a larger one is refused, and again."""
    piece: list[Failure] = []
    size_bytes = 0
    for failed in failures:
        size_bytes += size(failed)
        if piece and size_bytes > MOST_BYTES:
            yield piece
            piece, size_bytes = [], size(failed)
        piece.append(failed)
    if piece:
        yield piece


def in_one_message(failures: Sequence[Failure]) -> list[Failure]:
    """Return failures that have to travel together, the later ones without what is too much."""
    told: list[Failure] = []
    left = MOST_BYTES
    for failed in failures:
        left -= size(failed)
        short = replace(failed, traceback="", payload=failed.payload[:_SHORT], item=None)
        told.append(failed if left > 0 else short)
    return told


def done_without(token: int, lo: int, hi: int, bad: Collection[int]) -> list[Done]:
    """Return indexes lo..hi-1 of a lease as done, but for those in ``bad``; none if all are."""
    spans: list[tuple[int, int]] = []
    start = lo
    for index in [*sorted(bad), hi]:
        stop = min(index, hi)
        if start < stop:
            spans.append((start, stop))
        start = index + 1
    return [Done(token, tuple(spans))] if spans else []
