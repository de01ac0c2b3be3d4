"""Failures of user code, as the head is told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from pipeline_runner.queues.messages import Done, Failure
from pipeline_runner.worker.exceptions import describe, format_traceback, shown
from pipeline_runner.worker.grants import UndecodableError
from pipeline_runner.worker.routing import TOO_LARGE, UnsendableError

if TYPE_CHECKING:
    from collections.abc import Collection

    from pipeline_runner.worker.grants import Items

MOST_SHOWN = 2000  # characters


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
    return replace(failure(token, 0, error), payload=shown(value, MOST_SHOWN), final=True)


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
