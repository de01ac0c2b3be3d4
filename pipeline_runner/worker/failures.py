"""Failures of user code, as the head is told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from pipeline_runner.queues.messages import Done, Failure
from pipeline_runner.worker.call import describe, format_traceback
from pipeline_runner.worker.routing import unsendable
from pipeline_runner.worker.salvage import Broken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_runner.queues.messages import Granted

MOST_SHOWN = 2000  # characters


def failure(token: int, index: int, error: BaseException, cause: str = "raised") -> Failure:
    """Return the failure of one index of a lease."""
    return Failure(token, index, describe(error), format_traceback(error), cause)


def undecodable(lease: Granted, items: Sequence[Any]) -> list[Failure]:
    """Return a failure for each item of ``lease`` that could not be salvaged."""
    return [
        failure(lease.token, index, items[index].error, "undecodable")
        for index in range(lease.lo, lease.hi)
        if isinstance(items[index], Broken)
    ]


def lost(token: int, value: Any, error: BaseException) -> Failure:
    """Return the failure of a source's value that cannot be sent: only its text is kept."""
    try:
        shown = repr(value)[:MOST_SHOWN]
    except Exception:  # noqa: BLE001  (user classes raise what they like, here too)
        shown = f"<{type(value).__name__}>"
    return replace(failure(token, 0, error, unsendable(error)), payload=shown, final=True)


def done_without(token: int, lo: int, hi: int, bad: set[int]) -> list[Done]:
    """Return indexes lo..hi-1 of a lease as done, but for those in ``bad``; none if all are."""
    spans: list[tuple[int, int]] = []
    start = lo
    for index in [*sorted(bad), hi]:
        stop = min(index, hi)
        if start < stop:
            spans.append((start, stop))
        start = index + 1
    return [Done(token, tuple(spans))] if spans else []
