"""The plain values of the file as pydantic types, strict about what TOML already tells apart.

A value that was a ``${VAR}`` is text by nature; as :class:`Substituted` it may still become the
number or the true/false that its key wants. Text that was quoted by hand may not.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema
from pydantic_core import PydanticCustomError

from pipeline_runner.config.expressions import ExpressionError, parse_count
from pipeline_runner.config.quantities import SIZE_PATTERN, QuantityError, parse_size

_MOST_DIGITS = 18  # of a number from the environment: always within 64 bits
MOST_WORKERS = 10_000  # of a stage: more is a slip of the finger


class Substituted(str):
    """Text in which the environment's values stand for their ``${VAR}``."""

    __slots__ = ()


def fault(message: str, hint: str = "", start: int = -1, end: int = -1) -> PydanticCustomError:
    """Return the error of a value; ``start`` and ``end`` are offsets in its text, or -1."""
    context = {"message": message, "hint": hint, "start": start, "end": end}
    return PydanticCustomError("bad-value", "{message}", context)


def text_of(pattern: str) -> dict[str, Any]:
    """Return the JSON schema of text that matches ``pattern``."""
    return {"type": "string", "pattern": pattern}


def _whole(value: Any) -> Any:
    if isinstance(value, Substituted) and re.fullmatch("-?[0-9]+", value):
        if len(value) > _MOST_DIGITS:
            raise fault("a whole number has at most 64 bits")
        return int(value)
    return value


def _number(value: Any) -> Any:
    if isinstance(value, Substituted) and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
        return float(value)
    return value


def _flag(value: Any) -> Any:
    if isinstance(value, Substituted) and value in {"true", "false"}:
        return value == "true"
    return value


def _count(value: Any) -> int | str:
    value = _whole(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value <= MOST_WORKERS:
            raise fault(f"a number of workers is 0 to {MOST_WORKERS}")
        return value
    if not isinstance(value, str):
        raise fault('a number of workers is a whole number or text such as "cores-1"')
    try:
        if (parse_count(value).n or 0) > MOST_WORKERS:
            raise fault(f"a number of workers is 0 to {MOST_WORKERS}")
    except ExpressionError as error:
        if value.isdecimal():
            raise fault("a number needs no quotes", f"write {value}") from None
        raise fault(str(error), error.hint, error.start, error.end) from None
    return str(value)


def _capacity(value: Any) -> int | str:
    value = _whole(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise fault("a queue holds at least 1 item")
        return value
    if not isinstance(value, str):
        raise fault('a capacity is a number of items, or a size such as "1GiB"')
    try:
        size_bytes = parse_size(value)
    except QuantityError as error:
        if value.isdecimal():
            raise fault("a number of items needs no quotes", f"write {value}") from None
        raise fault(str(error), error.hint) from None
    if size_bytes == 0:
        raise fault("a queue of no bytes holds nothing")
    return str(value)


def _web(value: Any) -> Any:
    value = _flag(value)
    if value is False:
        return value
    if not isinstance(value, str):
        raise fault('the page\'s address is text such as "127.0.0.1:7400", or false')
    if re.fullmatch(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:]+):[0-9]{1,5}", value) is None:
        raise fault(f'"{value}" is not an address', 'such as "127.0.0.1:7400"')
    return str(value)


def _is_table(value: Any) -> str:
    return "<table>" if isinstance(value, dict) else "<count>"


COUNT_PATTERN = r"^\s*(cores|gpus)\s*([-+*/]\s*[0-9]+\s*)?$"
CAPACITY_SCHEMA = {"anyOf": [{"type": "integer", "minimum": 1}, text_of(SIZE_PATTERN)]}
_WORKERS = {"type": "integer", "minimum": 0, "maximum": MOST_WORKERS}
COUNT_SCHEMA = {"anyOf": [_WORKERS, text_of(COUNT_PATTERN)]}
WEB_SCHEMA = {"anyOf": [{"type": "string"}, {"const": False}]}

Natural = Annotated[int, Field(ge=0, strict=True), BeforeValidator(_whole)]
Workers = Annotated[int, Field(ge=0, le=MOST_WORKERS, strict=True), BeforeValidator(_whole)]
Positive = Annotated[int, Field(ge=1, strict=True), BeforeValidator(_whole)]
Port = Annotated[int, Field(ge=1, le=65535, strict=True), BeforeValidator(_whole)]
Weight = Annotated[int, Field(ge=-100, le=100, strict=True), BeforeValidator(_whole)]
Factor = Annotated[float, Field(ge=1, le=1e6, strict=True), BeforeValidator(_number)]
Flag = Annotated[bool, Field(strict=True), BeforeValidator(_flag)]

Count = Annotated[int | str, BeforeValidator(_count), WithJsonSchema(COUNT_SCHEMA)]
PerHost = Annotated[
    Annotated[Count, Tag("<count>")] | Annotated[dict[str, Count], Tag("<table>")],
    Discriminator(_is_table),
]
Capacity = Annotated[int | str, BeforeValidator(_capacity), WithJsonSchema(CAPACITY_SCHEMA)]
WebAddress = Annotated[str | Literal[False], BeforeValidator(_web), WithJsonSchema(WEB_SCHEMA)]
