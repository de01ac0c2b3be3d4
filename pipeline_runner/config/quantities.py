"""Quantities as a person writes them ("30s", "8GiB", "100/s", "25%") to plain numbers.

Each function takes the text and raises ValueError with a sentence that names the cure.
"""

from __future__ import annotations

import re

DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SIZE_UNITS = {
    "B": 1,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
}
RATE_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}

DURATION_PATTERN = r"^[0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d)$"
SIZE_PATTERN = r"^[0-9]+\s*(B|KB|MB|GB|KiB|MiB|GiB)$"
RATE_PATTERN = r"^[0-9]+(\.[0-9]+)?\s*/\s*(s|m|h)$"
PERCENT_PATTERN = r"^[0-9]+(\.[0-9]+)?\s*%$"

_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")


def parse_duration(text: str) -> float:
    """Return seconds: a number and one of ``ms s m h d``."""
    if re.search(DURATION_PATTERN, text) is None:
        raise ValueError(_complaint(text, "a duration", "30s", ["ms", "s", "m", "h", "d"]))
    number, unit = _split(text)
    return float(number) * DURATION_UNITS[unit]


def parse_size(text: str) -> int:
    """Return bytes: a whole number and one of ``B KB MB GB KiB MiB GiB``."""
    if re.search(SIZE_PATTERN, text) is None:
        raise ValueError(_complaint(text, "a size", "64MiB", list(SIZE_UNITS)))
    number, unit = _split(text)
    return int(number) * SIZE_UNITS[unit]


def parse_rate(text: str) -> float:
    """Return items a second: a number above 0 and one of ``/s /m /h``."""
    if re.search(RATE_PATTERN, text) is None:
        raise ValueError(_complaint(text, "a rate", "100/s", ["/s", "/m", "/h"]))
    number, unit = _split(text)
    if float(number) == 0:
        raise ValueError("a rate of 0 would never let an item through")
    return float(number) / RATE_UNITS[unit.lstrip("/ ")]


def parse_percent(text: str) -> float:
    """Return a share, 0..1, of a percentage between 0 % and 100 %."""
    if re.search(PERCENT_PATTERN, text) is None:
        raise ValueError(_complaint(text, "a percentage", "25%", ["%"]))
    share = float(_split(text)[0]) / 100
    if share > 1:
        raise ValueError("a percentage is at most 100%")
    return share


def _split(text: str) -> tuple[str, str]:
    match = _NUMBER.match(text)
    assert match is not None
    return match.group(), text[match.end() :].strip()


def _complaint(text: str, noun: str, example: str, units: list[str]) -> str:
    listed = " ".join(units)
    number = _NUMBER.fullmatch(text.strip())
    if number is not None:
        return f'{noun} needs its unit, as in "{example}" (one of {listed})'
    found = _NUMBER.match(text.strip())
    if found is not None:
        unit = text.strip()[found.end() :].strip()
        close = [known for known in units if known.lower() == unit.lower()]
        if close:
            return f'"{unit}" is no unit of {noun}; did you mean "{close[0]}"? Units: {listed}'
    return f'"{text}" is not {noun}, such as "{example}" (units: {listed})'
