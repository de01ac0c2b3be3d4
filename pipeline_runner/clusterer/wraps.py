"""How a function is joined to queues: what it gives goes into one, what it takes comes from one."""

from __future__ import annotations

import queue
import traceback
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pipeline_runner.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LOOK_S = 0.5  # how long a wait for a queue lasts before the loop looks whether to stop
_ROLE = "__clusterer__"

F = TypeVar("F", bound="Callable[..., Any]")


class Queue(Protocol):
    """What a loop needs of a queue."""

    def get(self, *, timeout: float) -> Any:
        """Return the next item. Raises queue.Empty after ``timeout`` seconds."""

    def put(self, item: Any, *, timeout: float) -> None:
        """Add an item. Raises queue.Full after ``timeout`` seconds."""


def i_wrap(function: F) -> F:
    """Have what ``function()`` returns put into a queue, again and again.

    The function itself stays as it is. It ends its process by raising StopIteration.
    """
    setattr(function, _ROLE, "i")
    return function


def io_wrap(function: F) -> F:
    """Have ``function(item)`` called for the items of one queue and its results put into another.

    The function itself stays as it is.
    """
    setattr(function, _ROLE, "io")
    return function


def o_wrap(function: F) -> F:
    """Have ``function(item)`` called for the items of a queue. The function stays as it is."""
    setattr(function, _ROLE, "o")
    return function


_QUEUES = {
    "i": (1, "the queue it puts into"),
    "io": (2, "the queue it takes from and the one it puts into"),
    "o": (1, "the queue it takes from"),
}


def check(function: Callable[..., Any], queues: Sequence[str]) -> None:
    """Raise UsageError unless ``function`` is wrapped and has as many queues as it needs."""
    name = getattr(function, "__name__", repr(function))
    role = getattr(function, _ROLE, None)
    if role is None:
        raise UsageError(
            f"{name} is not joined to queues",
            hint="put @i_wrap, @io_wrap or @o_wrap before its definition",
        )
    count, meaning = _QUEUES[role]
    if isinstance(queues, str) or len(queues) != count:
        raise UsageError(f"{name} has the queues {queues!r}", hint=f"@{role}_wrap needs {meaning}")


def work(
    function: Callable[..., Any], queues: Sequence[Queue], stopping: Callable[[], bool]
) -> None:
    """Call ``function`` on and on, until ``stopping()``; never between an item and its result.

    An item that raises is lost, its traceback printed; an ``i_wrap`` function's error is raised.
    """
    role = getattr(function, _ROLE)
    while not stopping():
        if role == "i":
            try:
                made = function()
            except StopIteration:
                return
        else:
            try:
                item = queues[0].get(timeout=_LOOK_S)
            except queue.Empty:
                continue
            try:
                made = function(item)
            except Exception:  # noqa: BLE001  (the next item may be sound)
                traceback.print_exc()
                continue
        if role != "o":
            _put(queues[-1], made)


def _put(into: Queue, item: Any) -> None:
    while True:
        try:
            into.put(item, timeout=_LOOK_S)
        except queue.Full:
            continue
        return
