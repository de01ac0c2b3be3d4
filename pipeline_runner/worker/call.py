"""A stage's callable: found by its name, and called the way its kind wants.

Kinds of calls: "plain", "generator", "async", "asyncgen". A class is built once and its instance
called; a kind that follows from the instance's ``__call__`` then.
"""

from __future__ import annotations

import importlib
import inspect
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pipeline_runner.worker.whereabouts import cure, plainly

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_OURS = __name__.partition(".")[0]

CallKind = Literal["plain", "generator", "async", "asyncgen"]


@dataclass(frozen=True, slots=True)
class Target:
    """A callable ready to be called, its kind, and whether it takes a ``cursor``."""

    call: Callable[..., Any]
    kind: CallKind
    takes_cursor: bool
    instance: object | None = None

    def close(self) -> None:
        """Call the ``close`` of a class's instance, if it has one."""
        close = getattr(self.instance, "close", None)
        if callable(close):
            close()


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


def describe(error: BaseException) -> str:
    """Return an exception in one line, whatever its own words do."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # noqa: BLE001  (user classes raise what they like, here too)
        lines = ["(its text cannot be shown)"]
    name = type(error).__name__
    said = f"{name}: {lines[0][:500]}" if lines else name
    hint = cure(error)
    return f"{said} ({hint})" if hint else said


def format_traceback(error: BaseException) -> str:
    """Return the traceback from the user's first frame on, at most 64 KiB of it."""
    try:
        trimmed = _without_ours(error.__traceback__)
        text = plainly("".join(traceback.format_exception(type(error), error, trimmed)))
    except Exception:  # noqa: BLE001
        text = describe(error)
    return text if len(text) <= 65536 else text[:32768] + "\n...\n" + text[-32768:]


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    """Leave out the frames that lead to the user's; what is ours alone stays as it is."""
    first = trace
    while first is not None and _is_ours(first):
        first = first.tb_next
    return trace if first is None else first


def _is_ours(trace: TracebackType) -> bool:
    name: object = trace.tb_frame.f_globals.get("__name__")
    return isinstance(name, str) and name.partition(".")[0] == _OURS
