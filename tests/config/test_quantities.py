from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from pipeline_runner.config.units import (
    format_duration,
    format_percent,
    format_rate,
    format_size,
    part_of,
)

PARSERS = [
    (parse_duration, DURATION_PATTERN),
    (parse_size, SIZE_PATTERN),
    (parse_rate, RATE_PATTERN),
    (parse_percent, PERCENT_PATTERN),
]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("200ms", 0.2), ("1s", 1), ("1.5m", 90), ("2h", 7200), ("1d", 86400), ("30 s", 30)],
)
def test_durations_are_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("0B", 0), ("1KB", 1000), ("1KiB", 1024), ("3MiB", 3 << 20), ("2GB", 2_000_000_000)],
)
def test_sizes_are_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


def test_rates_are_items_a_second_and_percentages_shares() -> None:
    assert parse_rate("100/s") == 100
    assert parse_rate("90/m") == 1.5
    assert parse_rate("36 / h") == 0.01
    assert parse_percent("25%") == 0.25
    assert parse_percent("0.5 %") == 0.005


@pytest.mark.parametrize("text", ["", "s", "-1s", "1e3s", "1,5s", "1S", "1 sec", "1s ago", "٣s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(QuantityError):
        parse_duration(text)


def test_a_refusal_names_the_cure() -> None:
    with pytest.raises(QuantityError, match="needs its unit") as refused:
        parse_duration("30")
    assert refused.value.hint == 'as in "30s". Units: ms s m h d'
    with pytest.raises(QuantityError, match="whole number") as refused:
        parse_size("1.5GiB")
    assert refused.value.hint == "take a smaller unit"


@given(st.sampled_from(PARSERS), st.text("0123456789. %/smhdKMGiB\n", max_size=8))
def test_the_schema_accepts_exactly_what_is_read(parser: tuple[Any, str], text: str) -> None:
    parse, pattern = parser
    refused = None
    try:
        parse(text)
    except QuantityError as error:
        refused = str(error)
    out_of_range = refused is not None and ("at most" in refused or "rate of 0" in refused)
    assert (re.search(pattern, text) is not None) == (refused is None or out_of_range)


@given(st.integers(0, 10**9))
def test_a_written_size_reads_back(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(st.integers(0, 10**5), st.sampled_from(sorted(DURATION_UNITS)))
def test_a_written_duration_reads_back(number: int, unit: str) -> None:
    seconds = parse_duration(f"{number}{unit}")
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=1e-9)


@pytest.mark.parametrize("unit", sorted(SIZE_UNITS))
def test_every_unit_of_size_is_read(unit: str) -> None:
    assert parse_size(f"3{unit}") == 3 * SIZE_UNITS[unit]


def test_rates_and_percentages_are_written_as_they_are_read() -> None:
    assert format_rate(parse_rate("2.5/s")) == "2.5/s"
    assert format_percent(parse_percent("12.5%")) == "12.5%"


@given(st.integers(0, 100), st.integers(0, 10_000))
def test_a_part_rounds_up_and_is_at_least_one(percent: int, count: int) -> None:
    exact = Fraction(percent, 100) * count
    part = part_of(parse_percent(f"{percent}%"), count)
    assert part == max(1, -(-exact.numerator // exact.denominator))
