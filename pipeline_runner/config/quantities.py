"""Quantities as a person writes them ("30s", "8GiB", "100/s", "25%") to plain numbers.

Each function takes the text and raises :class:`QuantityError`, which names the cure.
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

MOST_SECONDS = 100_000 * 86400  # what the clocks and waits of a system still take
MOST_BYTES = 2**60
MOST_RATE = 10**12  # items a second
_MOST_DIGITS = 20  # more are not worth reading, and Python refuses thousands

_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")


class QuantityError(ValueError):
    """A text that is no such quantity; ``hint`` is the cure."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def parse_duration(text: str) -> float:
    """Return seconds: a number and one of ``ms s m h d``."""
    if re.search(DURATION_PATTERN, text) is None:
        raise _complaint(text, "a duration", "30s", ["ms", "s", "m", "h", "d"])
    number, unit = _split(text)
    seconds = float(number) * DURATION_UNITS[unit]
    if seconds > MOST_SECONDS:
        raise QuantityError(f"a duration is at most {MOST_SECONDS // 86400}d")
    return seconds


def parse_size(text: str) -> int:
    """Return bytes: a whole number and one of ``B KB MB GB KiB MiB GiB``."""
    if re.search(SIZE_PATTERN, text) is None:
        raise _complaint(text, "a size", "64MiB", list(SIZE_UNITS))
    number, unit = _split(text)
    if len(number) > _MOST_DIGITS or int(number) * SIZE_UNITS[unit] > MOST_BYTES:
        raise QuantityError(f"a size is at most {MOST_BYTES // 1024**3}GiB")
    return int(number) * SIZE_UNITS[unit]


def parse_rate(text: str) -> float:
    """Return items a second: a number above 0 and one of ``/s /m /h``."""
    if re.search(RATE_PATTERN, text) is None:
        raise _complaint(text, "a rate", "100/s", ["/s", "/m", "/h"])
    number, unit = _split(text)
    if float(number) > MOST_RATE:
        raise QuantityError(f"a rate is at most {MOST_RATE}/s", "leave it out for no limit")
    if float(number) == 0:
        raise QuantityError(
            "a rate of 0 would never let an item through", "leave it out for no limit"
        )
    return float(number) / RATE_UNITS[unit.lstrip("/ ")]


def parse_percent(text: str) -> float:
    """Return a share, 0..1, of a percentage between 0 % and 100 %."""
    if re.search(PERCENT_PATTERN, text) is None:
        raise _complaint(text, "a percentage", "25%", ["%"])
    share = float(_split(text)[0]) / 100
    if share > 1:
        raise QuantityError("a percentage is at most 100%")
    return share


def _split(text: str) -> tuple[str, str]:
    match = _NUMBER.match(text)
    assert match is not None
    return match.group(), text[match.end() :].strip()


def _complaint(text: str, noun: str, example: str, units: list[str]) -> QuantityError:
    listed = "Units: " + " ".join(units)
    stripped = text.strip()
    number = _NUMBER.match(stripped)
    if number is None:
        return QuantityError(f'"{text}" is not {noun}', f'such as "{example}". {listed}')
    unit = stripped[number.end() :].strip()
    if not unit:
        usual = example.lstrip("0123456789")
        return QuantityError(f"{noun} needs its unit", f'as in "{stripped}{usual}". {listed}')
    if number.group(1) and noun == "a size" and unit in units:
        return QuantityError(f"{noun} is a whole number of its unit", "take a smaller unit")
    close = [known for known in units if known.lower() == unit.lower()]
    if close:
        return QuantityError(f'"{unit}" is no unit of {noun}', f'did you mean "{close[0]}"?')
    return QuantityError(f'"{text}" is not {noun}', f'such as "{example}". {listed}')
