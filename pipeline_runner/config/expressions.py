"""The small languages inside strings: placement constraints and worker counts.

``memory >= 8GiB`` becomes a :class:`Constraint`, ``cores-1`` a :class:`CountExpr`. This module
only reads; the room ``plan`` holds what was read against a host.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal, cast

from pipeline_runner.config.quantities import parse_size

Operator = Literal["==", "!=", "<", "<=", ">", ">=", "~", "in"]
OPERATORS: tuple[Operator, ...] = ("==", "!=", "<=", ">=", "<", ">", "~", "in")

TEXT_ATTRIBUTES = ("host", "os", "arch")
NUMBER_ATTRIBUTES = ("cores", "gpus")
ATTRIBUTES = (*TEXT_ATTRIBUTES, "python", *NUMBER_ATTRIBUTES, "memory", "head", "label.NAME")

MOST_DIGITS = 15  # of a number in an expression
_CONSTRAINT = re.compile(r"(?P<attribute>[A-Za-z_][\w.-]*)\s*(?P<op>==|!=|<=|>=|<|>|~|=|\bin\b)?")
_LABEL = re.compile(r"label\.[\w-][\w.-]*")
_TOKEN = re.compile(
    r"""\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^\s"'\[\],]+))\s*"""
)
_COUNT = re.compile(r"\s*(?P<base>[A-Za-z_]+)\s*(?:(?P<op>[-+*/])\s*(?P<n>[0-9]+)\s*)?", re.ASCII)


class ExpressionError(ValueError):
    """What is wrong in an expression; ``start`` and ``end`` are the fault's offsets in its text."""

    def __init__(self, message: str, start: int, end: int, hint: str = "") -> None:
        super().__init__(message)
        self.start = start
        self.end = end
        self.hint = hint


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A Python version as far as it was written: ``3.11`` is ``(3, 11)``.

    A comparison looks at as many parts as were written, so 3.11.4 is ``== 3.11``.
    """

    parts: tuple[int, ...]

    def __str__(self) -> str:
        return ".".join(str(part) for part in self.parts)


Scalar = str | int | bool | Version


@dataclass(frozen=True, slots=True)
class Constraint:
    """One rule about a host: ``attribute op value``.

    ``attribute`` is one of ``host os arch python cores memory gpus head`` or ``label.NAME``.
    ``value`` is str for text and labels, int for cores, gpus and memory (bytes), bool for head,
    :class:`Version` for python, and a tuple of those after ``in``. ``text`` is the rule as written.
    """

    attribute: str
    op: Operator
    value: Scalar | tuple[Scalar, ...]
    text: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.text or f"{self.attribute} {self.op} {self.value}"


@dataclass(frozen=True, slots=True)
class CountExpr:
    """Workers a host: ``base`` ("cores" or "gpus"), perhaps ``op`` ("+", "-", "*", "/") and ``n``.

    The result is floored and at least 0.
    """

    base: Literal["cores", "gpus"]
    op: Literal["+", "-", "*", "/"] | None = None
    n: int = 0

    def __str__(self) -> str:
        return self.base if self.op is None else f"{self.base}{self.op}{self.n}"


def parse_constraint(text: str) -> Constraint:
    """Return the constraint in ``text``, such as ``os == linux`` or ``host in [a, b]``.

    Raises :class:`ExpressionError` (a ValueError) that says what is wrong and where.
    """
    start = len(text) - len(text.lstrip())
    match = _CONSTRAINT.match(text, start)
    if match is None:
        raise ExpressionError(
            f'"{text}" is not a constraint', 0, len(text), 'such as "memory >= 8GiB"'
        )
    attribute = _attribute(match.group("attribute"), *match.span("attribute"))
    op = match.group("op")
    if op is None:
        rest = text[match.end() :]
        at = match.end() + len(rest) - len(rest.lstrip())
        cure = "head == true" if attribute == "head" else "one of " + " ".join(OPERATORS)
        raise ExpressionError(f"an operator is missing after {attribute}", at, len(text), cure)
    if op == "=":
        raise ExpressionError('"=" is no operator', *match.span("op"), 'did you mean "=="?')
    operator = cast("Operator", op)
    allowed = _operators_of(attribute)
    if operator not in allowed:
        raise ExpressionError(
            f'{attribute} cannot be compared with "{op}"',
            *match.span("op"),
            f"use one of {' '.join(allowed)}",
        )
    value = _list if operator == "in" else _single
    return Constraint(attribute, operator, value(text, match.end(), attribute), text.strip())


def parse_count(text: str) -> CountExpr:
    """Return the worker count in ``text``: ``cores`` or ``gpus``, perhaps with ``+n -n *n /n``.

    Raises :class:`ExpressionError` (a ValueError) that says what is wrong and where.
    """
    match = _COUNT.fullmatch(text)
    if match is None:
        raise ExpressionError(
            f'"{text}" is not a count', 0, len(text), 'such as "cores-1", "gpus" or "cores/2"'
        )
    base, op = match.group("base"), match.group("op")
    if base not in NUMBER_ATTRIBUTES:
        close = get_close_matches(base, NUMBER_ATTRIBUTES, n=1)
        hint = f'did you mean "{close[0]}"?' if close else "a count is over cores or gpus"
        raise ExpressionError(f'"{base}" cannot be counted', *match.span("base"), hint)
    if len(match.group("n") or "") > MOST_DIGITS:
        raise ExpressionError("the number is too large", *match.span("n"))
    n = int(match.group("n") or 0)
    if op == "/" and n == 0:
        raise ExpressionError("a count cannot be divided by 0", *match.span("n"))
    return CountExpr(
        cast("Literal['cores', 'gpus']", base), cast("Literal['+', '-', '*', '/'] | None", op), n
    )


def _attribute(name: str, start: int, end: int) -> str:
    if name in ATTRIBUTES or _LABEL.fullmatch(name):
        return name
    close = get_close_matches(name, ATTRIBUTES, n=1)
    hint = f'did you mean "{close[0]}"? ' if close else ""
    raise ExpressionError(
        f'hosts have no attribute "{name}"', start, end, f"{hint}Attributes: {' '.join(ATTRIBUTES)}"
    )


def _operators_of(attribute: str) -> tuple[Operator, ...]:
    if attribute == "head":
        return ("==", "!=")
    if attribute in TEXT_ATTRIBUTES or attribute.startswith("label."):
        return ("==", "!=", "~", "in")
    return ("==", "!=", "<", "<=", ">", ">=", "in")


def _single(text: str, start: int, attribute: str) -> Scalar:
    match = _TOKEN.match(text, start)
    if match is None:
        raise ExpressionError("a value is missing", start, len(text), f'as in "{attribute} == x"')
    value = _scalar(match, attribute)
    if match.end() != len(text):
        raise ExpressionError(
            "a constraint holds one rule",
            match.end(),
            len(text),
            "give each rule its own string: all of them must hold",
        )
    return value


def _list(text: str, start: int, attribute: str) -> tuple[Scalar, ...]:
    opening = re.compile(r"\s*\[").match(text, start)
    if opening is None or not text.rstrip().endswith("]"):
        raise ExpressionError(
            '"in" wants a list', start, len(text), f'as in "{attribute} in [a, b]"'
        )
    at, end = opening.end(), len(text.rstrip()) - 1
    values: list[Scalar] = []
    while at < end:
        match = _TOKEN.match(text, at, end)
        if match is None or (match.end() < end and text[match.end()] != ","):
            raise ExpressionError("a list is values between commas", at, end)
        values.append(_scalar(match, attribute))
        at = match.end() + 1
    if not values:
        raise ExpressionError("an empty list matches no host", opening.end() - 1, end + 1)
    return tuple(values)


def _scalar(match: re.Match[str], attribute: str) -> Scalar:
    group = cast("str", match.lastgroup)
    word, (start, end) = match.group(group), match.span(group)
    try:
        return _typed(word, attribute)
    except ValueError as error:
        raise ExpressionError(str(error), start, end, getattr(error, "hint", "")) from None


def _typed(word: str, attribute: str) -> Scalar:
    if attribute in NUMBER_ATTRIBUTES:
        if re.fullmatch("[0-9]+", word) is None:
            raise ValueError(f'{attribute} is a whole number, not "{word}"')
        if len(word) > MOST_DIGITS:
            raise ValueError("the number is too large")
        return int(word)
    if attribute == "memory":
        return parse_size(word)
    if attribute == "python":
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9}){0,2}", word) is None:
            raise ValueError(f'python is a version such as 3.11, not "{word}"')
        return Version(tuple(int(part) for part in word.split(".")))
    if attribute == "head":
        if word not in {"true", "false"}:
            raise ValueError(f'head is true or false, not "{word}"')
        return word == "true"
    return word
