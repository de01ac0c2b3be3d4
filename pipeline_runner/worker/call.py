"""A stage's callable: found by its name, and called the way its kind wants.

Kinds of calls: "plain", "generator", "async", "asyncgen". A class is built once and its instance
called; a kind that follows from the instance's ``__call__`` then.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

CallKind = Literal["plain", "generator", "async", "asyncgen"]

_WITHOUT_ORDER = (str, bytes, bytearray, Mapping, AbstractSet)
_MOST_WRAPPED = 100  # decorators of one function; one that wraps itself is not followed for ever


@dataclass(frozen=True, slots=True)
class Target:
    """A callable ready to be called, its kind, and whether it takes a ``cursor``.

    With ``is_wrapped`` the kind is that of a function which a plain one wraps: that one may pass
    on what it gets, or make something else of it.
    """

    call: Callable[..., Any]
    kind: CallKind
    takes_cursor: bool
    instance: object | None = None
    is_wrapped: bool = False

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
    if not callable(found):
        raise TypeError(f"{found!r} cannot be called")
    kind, is_wrapped = _kinds(found)
    if not inspect.isroutine(found) and not isinstance(found, functools.partial):
        instance = found
        if kind == "plain":
            kind, is_wrapped = _kinds(type(found).__call__)
    return Target(found, kind, _takes_cursor(found), instance, is_wrapped)


def kind_of(function: Any) -> CallKind:
    """Return what a call of ``function`` gives, as its own text says.

    A plain function that names another one which it wraps is expected to pass on what that gives.
    """
    return _kinds(function)[0]


def _kinds(function: Any) -> tuple[CallKind, bool]:
    """Return the kind, and whether it is that of a function that another one wraps."""
    is_wrapped = False
    for _ in range(_MOST_WRAPPED):
        kind = _own_kind(function)
        if kind != "plain":
            return kind, is_wrapped
        if isinstance(function, (staticmethod, classmethod)):
            function = function.__func__
        elif isinstance(function, functools.partial):
            function = function.func
        else:
            try:
                function = function.__wrapped__
            except Exception:  # noqa: BLE001  (an object's own __getattr__ may raise anything)
                break
            is_wrapped = True
    return "plain", False


def _own_kind(function: Any) -> CallKind:
    if inspect.isasyncgenfunction(function):
        return "asyncgen"
    if inspect.iscoroutinefunction(function):
        return "async"
    return "generator" if inspect.isgeneratorfunction(function) else "plain"


def spread(call: Callable[[Any], Any]) -> Callable[[Any], Iterator[Any]]:
    """Return a generator function of ``call``, which gives an iterator of outputs, or just one."""

    def outputs(item: Any) -> Iterator[Any]:
        result = call(item)
        if hasattr(type(result), "__next__"):
            yield from result
        else:
            yield result

    return outputs


def one_by_one(results: Any) -> Iterable[Any]:
    """Return what a batch came back as, to be iterated. Raises TypeError if that has no order.

    The letters of a text and the keys of a dict would pass for outputs wherever the number fits.
    """
    kind = type(results)
    if issubclass(kind, _WITHOUT_ORDER) or not (
        hasattr(kind, "__iter__") or hasattr(kind, "__getitem__")
    ):
        raise TypeError(
            f"a batch came back as {kind.__name__}; return a list of one output for each input"
        )
    values: Iterable[Any] = results
    return values


def check_count(count: int, wanted: int) -> None:
    """Raise ValueError if a batch of ``wanted`` items did not come back as so many."""
    if count != wanted:
        raise ValueError(
            f"a batch of {wanted} items came back as {count}; return one output for each input"
        )


def _takes_cursor(function: Any) -> bool:
    try:
        return "cursor" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # a builtin without a signature
        return False
