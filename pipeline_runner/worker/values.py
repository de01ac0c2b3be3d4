"""What user code yields and returns to say more than a value, and the decorators it may wear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")


class Tagged:
    """An output for the edges that carry one of ``tags``, and for those without any."""

    __slots__ = ("tags", "value")

    def __init__(self, value: Any, *tags: str) -> None:
        self.value = value
        self.tags = frozenset(tags)

    def __reduce__(self) -> tuple[Callable[[Any], Any], tuple[Any]]:
        """Travel as the value alone: the tags have done their work when it is sent."""
        return _itself, (self.value,)

    def __repr__(self) -> str:
        return f"Tagged({self.value!r}, {', '.join(map(repr, sorted(self.tags)))})"


def _itself(value: Any) -> Any:
    return value


class At:
    """A source's value and the cursor after it: where to go on when all before it is kept."""

    __slots__ = ("cursor", "value")

    def __init__(self, value: Any, cursor: Any) -> None:
        self.value = value
        self.cursor = cursor

    def __repr__(self) -> str:
        return f"At({self.value!r}, {self.cursor!r})"


class _End:
    """The type of END."""

    def __repr__(self) -> str:
        return "END"


END: Final = _End()
"""What a plain-function source returns when it has nothing more."""


def source(function: F) -> F:
    """State that a callable is a source; ``check`` holds the graph to it."""
    function.__pipeline_kind__ = "source"  # type: ignore[attr-defined]
    return function


def stage(function: F) -> F:
    """State that a callable is a stage between two edges."""
    function.__pipeline_kind__ = "stage"  # type: ignore[attr-defined]
    return function


def sink(function: F) -> F:
    """State that a callable is a sink."""
    function.__pipeline_kind__ = "sink"  # type: ignore[attr-defined]
    return function
