"""A fault of the file before it has a place: what is wrong at which key path."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

from pipeline_runner.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline_runner.config.locate import KeyPath, Locator
    from pipeline_runner.errors import Severity

CLOSE = 0.65  # how alike two words are before one is offered for the other, 0..1


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
        problems[Problem(fault.code, fault.message, span, fault.hint, fault.severity)] = None
    return in_file_order(problems)


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


def did_you_mean(word: str, known: Iterable[str], quote: str = '"') -> str:
    """Return ``did you mean "x"?`` for the nearest known word, or nothing."""
    choices = list(known)
    folded = {choice.lower(): choice for choice in choices}
    close = get_close_matches(word, choices, n=1, cutoff=CLOSE)
    best = close[0] if close else folded.get(word.lower())
    return "" if best is None else f"did you mean {quote}{best}{quote}?"
