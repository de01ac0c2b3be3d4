"""A fault of the file before it has a place: what is wrong at which key path."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

from pipeline_runner.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from pipeline_runner.config.locate import KeyPath, Locator
    from pipeline_runner.errors import Severity

CLOSE = 0.65  # how alike two words are before one is offered for the other, 0..1
LONGEST_WORD = 100  # characters; what is longer was not mistyped
COMPARISONS = 20_000  # of two words for one file; each takes some microseconds
_NAMED = 5  # stages in a sentence
LONGEST_TEXT = 500  # characters of a message or a hint: both quote what the file says


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at ``path``: at its key, its value, or characters ``part`` of its string."""

    code: str
    message: str
    path: KeyPath
    hint: str = ""
    at: Literal["key", "value"] = "value"
    part: tuple[int, int] | None = None
    severity: Severity = "error"

    def whole(self) -> Fault:
        """Return the same fault, shown at its whole value."""
        return replace(self, part=None)


def placed(faults: Iterable[Fault], locator: Locator) -> tuple[Problem, ...]:
    """Return the faults as problems with their places, in file order, each said once."""
    problems: dict[Problem, None] = {}
    for fault in faults:
        if fault.part is not None:
            span = locator.inside(fault.path, *fault.part)
        elif fault.at == "key":
            span = locator.key(fault.path)
        else:
            span = locator.value(fault.path)
        message, hint = cut(fault.message), cut(fault.hint)
        problems[Problem(fault.code, message, span, hint, fault.severity)] = None
    return in_file_order(problems)


def once(
    faults: Iterable[Fault], judge: Callable[[Fault], bool] = lambda _fault: True
) -> Iterator[Fault]:
    """Yield the faults, of those that ``judge`` picks each once for all the stages it is of."""
    groups: dict[object, list[Fault]] = {}
    for fault in faults:
        cause = (fault.code, fault.message, fault.hint) if judge(fault) else fault
        groups.setdefault(cause, []).append(fault)
    for first, *others in groups.values():
        more = f"so with {listed([str(fault.path[1]) for fault in others])}" if others else ""
        yield replace(first, hint="; ".join(filter(None, (first.hint, more))))


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence has them: "a", "a and b", "a, b and c", "a, b and 9 more"."""
    if len(names) > _NAMED:
        names = [*names[: _NAMED - 1], f"{len(names) - _NAMED + 1} more"]
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def cut(text: str) -> str:
    """Return ``text`` without its middle if it is too long for a message."""
    half = LONGEST_TEXT // 2
    return text if len(text) <= LONGEST_TEXT else f"{text[:half]} ... {text[-half:]}"


def in_file_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return ``problems`` by their place; those without one come last."""
    return tuple(
        sorted(
            problems,
            key=lambda problem: (
                (0, problem.span.line, problem.span.column) if problem.span else (1, 0, 0)
            ),
        )
    )


class Suggestions:
    """Known words offered for mistyped ones, until so many were compared.

    A file can hold tens of thousands of words nobody knows; the first ones get a suggestion.
    """

    def __init__(self, comparisons: int = COMPARISONS) -> None:
        self._left = comparisons

    def nearest(self, word: str, known: Collection[str], cutoff: float = CLOSE) -> str | None:
        """Return the known word that is most like ``word``; None if none is, or after too many."""
        if len(word) > LONGEST_WORD or len(known) > self._left:
            return None
        self._left -= len(known)
        choices = [choice for choice in known if len(choice) <= LONGEST_WORD]
        close = get_close_matches(word, choices, n=1, cutoff=cutoff)
        return close[0] if close else {each.lower(): each for each in choices}.get(word.lower())

    def did_you_mean(self, word: str, known: Collection[str], quote: str = '"') -> str:
        """Return ``did you mean "x"?`` for the nearest known word, or nothing."""
        best = self.nearest(word, known)
        return "" if best is None else f"did you mean {quote}{best}{quote}?"


def did_you_mean(word: str, known: Collection[str], quote: str = '"') -> str:
    """Return ``did you mean "x"?`` for the nearest known word, or nothing."""
    return Suggestions().did_you_mean(word, known, quote)
