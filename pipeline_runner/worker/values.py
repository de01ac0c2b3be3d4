"""What user code yields and returns to say more than a value, and the decorators it may wear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")


class Tagged:
    """An output for the edges that carry one of ``tags``, and for those without any.

    The edges of the file have the tags: ``tags = ["picture"]``. What arrives there is the value
    alone. An output that fits no edge is an error of its item, never a loss.

        >>> def sort_out(path):
        ...     return Tagged(path, "picture" if path.endswith(".jpg") else "text")
        >>> sort_out("cat.jpg")
        Tagged('cat.jpg', 'picture')
    """

    __slots__ = ("tags", "value")

    def __init__(self, value: Any, *tags: str) -> None:
        self.value = value
        self.tags = frozenset(tags)

    def __repr__(self) -> str:
        return f"Tagged({self.value!r}, {', '.join(map(repr, sorted(self.tags)))})"


class At:
    """A source's value and the cursor after it: where to go on when all before it is kept.

    A generator with a parameter ``cursor`` yields these. It is None at first; after a restart it is
    the cursor of the last value that was kept. Whatever pickles can be one.

        >>> def entries(cursor):
        ...     for number in range(cursor or 0, 3):
        ...         yield At(f"entry {number}", number + 1)
        >>> list(entries(None))
        [At('entry 0', 1), At('entry 1', 2), At('entry 2', 3)]
        >>> list(entries(2))
        [At('entry 2', 3)]
    """

    __slots__ = ("cursor", "value")

    def __init__(self, value: Any, cursor: Any) -> None:
        self.value = value
        self.cursor = cursor

    def __repr__(self) -> str:
        return f"At({self.value!r}, {self.cursor!r})"


class _End:
    """What a plain-function source returns when it has nothing more.

    Such a function is called again and again; each value it returns is an item.

        >>> import random
        >>> def dice():
        ...     eyes = random.randint(1, 6)
        ...     return END if eyes == 6 else eyes
        >>> all(eyes in range(1, 6) for eyes in iter(dice, END))
        True
    """

    def __reduce__(self) -> str:
        """Be the one END in every process: it is told by what it is."""
        return "END"

    def __repr__(self) -> str:
        return "END"


END: Final = _End()
"""What a plain-function source returns when it has nothing more."""


def source(function: F) -> F:
    """State that a callable is a source: no edge ends at its stage, and it is given nothing.

    Calling it stays what it was; ``runner check`` says so where the file makes it something else.

        >>> @source
        ... def numbers():
        ...     yield from range(3)
        >>> list(numbers())
        [0, 1, 2]
    """
    function.__pipeline_kind__ = "source"  # type: ignore[attr-defined]
    return function


def stage(function: F) -> F:
    """State that a callable is a stage between others: it gets an item, and gives what comes of it.

        >>> @stage
        ... def square(number):
        ...     return number * number
        >>> square(3)
        9

    Its one output is what it returns, None too; a generator gives none, one or many.
    """
    function.__pipeline_kind__ = "stage"  # type: ignore[attr-defined]
    return function


def sink(function: F) -> F:
    """State that a callable is a sink: no edge begins at its stage, and what it returns is ignored.

    >>> @sink
    ... def show(number):
    ...     print(number)
    >>> show(3)
    3
    """
    function.__pipeline_kind__ = "sink"  # type: ignore[attr-defined]
    return function
