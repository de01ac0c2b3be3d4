"""Durations, rates, counts and sizes as a person reads them: three digits and a unit.

Every function is pure and gives at most six characters, so that columns stay where they are.
What is more than nothing never reads as nothing: below the smallest unit it is ``<1ns``, ``<1%``.
"""

from __future__ import annotations

from datetime import datetime, timezone

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_LONGEST = 99_999 * _DAY


def about(seconds: float) -> str:
    """Return a length of time that is a guess, in four characters: ``<1s``, ``5.4s``, ``34m``."""
    if seconds <= 0:
        return "0s"
    if seconds < 1:
        return "<1s"
    for unit, size_s, most in (("s", 1, 59.5), ("m", _MINUTE, 59.5), ("h", _HOUR, 23.5)):
        if seconds < most * size_s:
            return _two_digits(seconds / size_s, unit)
    return "∞" if seconds >= 999.5 * _DAY else _two_digits(seconds / _DAY, "d")


def _two_digits(number: float, unit: str) -> str:
    return f"{number:.1f}{unit}" if number < 9.95 else f"{number:.0f}{unit}"


def duration(seconds: float) -> str:
    """Return a length of time: ``40ns``, ``250µs``, ``46ms``, ``1.2s``, ``14m02s``, ``3h07m``.

    ``seconds`` below zero reads as zero: a clock that was set back is nobody's business. Past
    270 years it is ``∞``.
    """
    if seconds <= 0:
        return "0s"
    if seconds < 0.9995e-9:
        return "<1ns"
    if seconds < 0.9995e-6:
        return f"{seconds * 1e9:.0f}ns"
    if seconds < 0.0009995:
        return f"{seconds * 1e6:.0f}µs"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.0f}ms"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    if seconds >= _LONGEST:
        return "∞"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < _DAY:
        return f"{whole // _HOUR}h{whole % _HOUR // 60:02d}m"
    if whole < 100 * _DAY:
        return f"{whole // _DAY}d{whole % _DAY // _HOUR:02d}h"
    return f"{whole // _DAY}d"


def count(items: float) -> str:
    """Return a number of items: ``0``, ``847``, ``8.1k``, ``120k``, ``3.4M``."""
    return _scaled(items, 1000, ("", "k", "M", "G", "T"), whole=True)


def rate(per_second: float) -> str:
    """Return items a second without their unit: ``0``, ``0.04``, ``2.5``, ``171``, ``12k``."""
    if per_second <= 0:
        return "0"
    if per_second < 0.0995:
        return f"{per_second:.2f}" if per_second >= 0.005 else "<0.01"
    return _scaled(per_second, 1000, ("", "k", "M", "G", "T"), whole=False)


def size(size_bytes: float) -> str:
    """Return a size in powers of 1024: ``212B``, ``3.1K``, ``16G``."""
    return _scaled(size_bytes, 1024, ("B", "K", "M", "G", "T", "P"), whole=True)


def percent(share: float) -> str:
    """Return a share of one as a percentage: ``0%``, ``<1%``, ``97%``."""
    if 0 < share <= 0.005:  # which would be rounded to nothing
        return "<1%"
    return f"{share * 100:.0f}%"


def clock(ts: float) -> str:
    """Return the local time of day of Unix time ``ts``: ``14:02:11``."""
    return datetime.fromtimestamp(ts, tz=timezone.utc).astimezone().strftime("%H:%M:%S")


def plural(number: int, noun: str) -> str:
    """Return ``1 worker`` or ``1,204 workers``: for sentences, not for columns."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _scaled(value: float, base: int, units: tuple[str, ...], *, whole: bool) -> str:
    power = 0
    # 999.5 would round up to a fourth digit, so it is already one of the next unit.
    while value >= (999.5 if base == 1000 else base - 0.5) and power < len(units) - 1:
        value /= base
        power += 1
    digits = 1 if value < 9.95 and not (whole and power == 0) else 0
    return f"{value:.{digits}f}{units[power]}"
