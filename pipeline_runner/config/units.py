"""The quantities of the file as pydantic types: text with a unit in, plain numbers out.

A bare number where a unit belongs is refused. The functions that read the text are in
``quantities``; here they meet the model, its messages and its JSON schema.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from pipeline_runner.config.quantities import (
    DURATION_PATTERN,
    DURATION_UNITS,
    PERCENT_PATTERN,
    RATE_PATTERN,
    SIZE_PATTERN,
    SIZE_UNITS,
    QuantityError,
    parse_duration,
    parse_percent,
    parse_rate,
    parse_size,
)
from pipeline_runner.config.values import fault

if TYPE_CHECKING:
    from collections.abc import Callable

N = TypeVar("N", int, float)


def _reader(parse: Callable[[str], N], noun: str, example: str) -> Callable[[Any], N]:
    """Return a validator of text."""

    def read(value: Any) -> N:
        if not isinstance(value, str):
            bare = isinstance(value, (int, float)) and not isinstance(value, bool)
            message = f"{noun} needs its unit" if bare else f"{noun} is text"
            raise fault(message, f'write it as text with a unit, such as "{example}"')
        try:
            return parse(value)
        except QuantityError as error:
            raise fault(str(error), error.hint) from None

    return read


def format_duration(seconds: float) -> str:
    """Return ``seconds`` in the largest unit that keeps it whole, such as "30s" or "200ms"."""
    for unit in ("d", "h", "m", "s"):
        if seconds and seconds % DURATION_UNITS[unit] == 0:
            return f"{_plain(seconds / DURATION_UNITS[unit])}{unit}"
    return f"{_plain(seconds * 1000)}ms"


def format_size(size_bytes: int) -> str:
    """Return ``size_bytes`` in the largest binary unit that keeps it whole, such as "64MiB"."""
    for unit in ("GiB", "MiB", "KiB"):
        if size_bytes and size_bytes % SIZE_UNITS[unit] == 0:
            return f"{size_bytes // SIZE_UNITS[unit]}{unit}"
    return f"{size_bytes}B"


def format_rate(rate: float) -> str:
    """Return ``rate``, items a second, such as "100/s"."""
    return f"{_plain(rate)}/s"


def format_percent(share: float) -> str:
    """Return ``share``, 0..1, such as "25%"."""
    return f"{_plain(share * 100)}%"


def _plain(number: float) -> str:
    return f"{number:.9f}".rstrip("0").rstrip(".")


def part_of(share: float, count: int) -> int:
    """Return ``share`` (0..1) of ``count``, rounded up, at least 1."""
    return max(1, math.ceil(round(share * count, 9)))


Duration = Annotated[
    float,
    BeforeValidator(_reader(parse_duration, "a duration", "30s")),
    PlainSerializer(format_duration, return_type=str, when_used="json-unless-none"),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN}),
]
Size = Annotated[
    int,
    BeforeValidator(_reader(parse_size, "a size", "64MiB")),
    PlainSerializer(format_size, return_type=str, when_used="json-unless-none"),
    WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN}),
]
Rate = Annotated[
    float,
    BeforeValidator(_reader(parse_rate, "a rate", "100/s")),
    PlainSerializer(format_rate, return_type=str, when_used="json-unless-none"),
    WithJsonSchema({"type": "string", "pattern": RATE_PATTERN}),
]
Percent = Annotated[
    float,
    BeforeValidator(_reader(parse_percent, "a percentage", "25%")),
    PlainSerializer(format_percent, return_type=str, when_used="json-unless-none"),
    WithJsonSchema({"type": "string", "pattern": PERCENT_PATTERN}),
]
