"""A stage's callable: found by its name, and called the way its kind wants.

Kinds of calls: "plain", "generator", "async", "asyncgen". A class is built once and its instance
called; a kind that follows from the instance's ``__call__`` then.
"""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CallKind = Literal["plain", "generator", "async", "asyncgen"]


@dataclass(frozen=True, slots=True)
class Target:
    """A callable ready to be called, its kind, and whether it takes a ``cursor``."""

    call: Callable[..., Any]
    kind: CallKind
    takes_cursor: bool
    instance: object | None = None

    @property
    def closes_async(self) -> bool:
        """Whether the instance's ``close`` is a coroutine function."""
        return inspect.iscoroutinefunction(getattr(self.instance, "close", None))

    def close(self) -> Awaitable[object] | None:
        """Call the ``close`` of a class's instance, if it has one; return what is to be awaited."""
        close = getattr(self.instance, "close", None)
        closed = close() if callable(close) else None
        return closed if inspect.isawaitable(closed) else None


def load(run: str) -> Target:
    """Import ``module:callable`` and return it. Raises whatever the import or a class raises."""
    module_name, _colon, path = run.partition(":")
    found: Any = importlib.import_module(module_name)
    for name in path.split("."):
        found = getattr(found, name)
    return target(found)


def target(found: Any) -> Target:
    """Return how to call ``found``; a class is built here. Raises what its constructor raises."""
    instance = None
    if inspect.isclass(found):
        instance = found()
        found = instance
    function = found
    if not inspect.isroutine(found) and not inspect.isfunction(found):
        function = type(found).__call__ if callable(found) else found
        instance = found if instance is None else instance
    if not callable(found):
        raise TypeError(f"{found!r} cannot be called")
    return Target(found, _kind(function), _takes_cursor(found), instance)


def _kind(function: Any) -> CallKind:
    function = inspect.unwrap(function)
    if inspect.isasyncgenfunction(function):
        return "asyncgen"
    if inspect.iscoroutinefunction(function):
        return "async"
    return "generator" if inspect.isgeneratorfunction(function) else "plain"


def _takes_cursor(function: Any) -> bool:
    try:
        return "cursor" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # a builtin without a signature
        return False
