"""What no key of the file takes, whatever it means: found before the model sees the data.

Numbers that other programs could not hold, texts that no system call takes, tables without end.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pipeline_runner.config.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline_runner.config.locate import KeyPath

MOST_DEPTH = 64  # tables and lists in each other; this file's own are five
MOST_DIGITS = 15  # of a number in a text; what is larger is a slip, or no number of anything
_LARGEST = 2**63 - 1  # TOML promises no more


def is_too_deep(data: Mapping[str, Any]) -> bool:
    """Whether tables and lists lie deeper in each other than is worth reading."""
    level: list[Any] = [data]
    for _depth in range(MOST_DEPTH):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True


def check_limits(data: Mapping[str, Any], path: KeyPath = ()) -> Iterator[Fault]:
    """Yield a fault for each key and value of ``data`` that nothing takes."""
    for key, value in data.items():
        if "\0" in key:
            yield Fault("bad-value", _ZERO, (*path, key), at="key")
        else:
            yield from _value(value, (*path, key))


_ZERO = "no text of this file can hold a zero character"


def _value(value: Any, path: KeyPath) -> Iterator[Fault]:
    if isinstance(value, dict):
        yield from check_limits(value, path)
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _value(inner, (*path, at))
    elif isinstance(value, str):
        if "\0" in value:
            yield Fault("bad-value", _ZERO, path)
    elif isinstance(value, int):
        if not -_LARGEST - 1 <= value <= _LARGEST:
            yield Fault("out-of-range", "a whole number has at most 64 bits", path)
    elif isinstance(value, float) and not math.isfinite(value):
        yield Fault("out-of-range", "no key takes a number that is not finite", path)
