from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.observe import quantity


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0s"),
        (-3, "0s"),
        (1e-12, "<1ns"),
        (4e-8, "40ns"),
        (0.0000004, "400ns"),
        (0.00000099951, "1µs"),
        (0.0000015, "2µs"),
        (0.00025, "250µs"),
        (0.00099951, "1ms"),
        (0.046, "46ms"),
        (0.9996, "1.0s"),
        (1.2, "1.2s"),
        (9.96, "10s"),
        (59.4, "59s"),
        (59.6, "1m00s"),
        (842, "14m02s"),
        (3599.7, "1h00m"),
        (11_220, "3h07m"),
        (86_399.8, "1d00h"),
        (99_998 * 86_400, "99998d"),
        (1e30, "∞"),
        (float("inf"), "∞"),
    ],
)
def test_duration_names_the_two_units_that_matter(seconds: float, said: str) -> None:
    assert quantity.duration(seconds) == said


@pytest.mark.parametrize(
    ("items", "said"),
    [(0, "0"), (9, "9"), (847, "847"), (999, "999"), (1000, "1.0k"), (8100, "8.1k"),
     (9_960, "10k"), (120_000, "120k"), (999_600, "1.0M"), (3_400_000, "3.4M")],
)  # fmt: skip
def test_count_keeps_three_digits_at_most(items: int, said: str) -> None:
    assert quantity.count(items) == said


@pytest.mark.parametrize(
    ("per_second", "said"),
    [(0, "0"), (-1, "0"), (0.001, "<0.01"), (0.04, "0.04"), (0.0996, "0.1"), (2.5, "2.5"),
     (9.96, "10"), (171, "171"), (12_000, "12k")],
)  # fmt: skip
def test_rate_shows_small_rates_and_large_ones(per_second: float, said: str) -> None:
    assert quantity.rate(per_second) == said


@pytest.mark.parametrize(
    ("size_bytes", "said"),
    [(0, "0B"), (212, "212B"), (1023, "1023B"), (1024, "1.0K"), (17179869184, "16G")],
)
def test_size_counts_in_powers_of_1024(size_bytes: int, said: str) -> None:
    assert quantity.size(size_bytes) == said


@pytest.mark.parametrize(
    ("share", "said"),
    [(0, "0%"), (0.0001, "<1%"), (0.005, "<1%"), (0.0051, "1%"), (0.97, "97%"), (1, "100%")],
)
def test_percent_keeps_a_little_apart_from_nothing(share: float, said: str) -> None:
    assert quantity.percent(share) == said


@given(st.floats(0, exclude_min=True, allow_nan=False))
def test_what_is_more_than_nothing_never_reads_as_nothing(value: float) -> None:
    nothing = re.compile(r"-?0(\.0*)?\D*")
    for said in (quantity.duration, quantity.rate, quantity.percent):
        assert not nothing.fullmatch(said(min(value, 1e14)))
    if value >= 1:  # items and bytes come whole
        assert not nothing.fullmatch(quantity.count(min(value, 1e14)))
        assert not nothing.fullmatch(quantity.size(min(value, 1e14)))


@given(st.floats(1e-9, 1e9))
def test_a_duration_is_at_most_half_of_its_last_digit_off(seconds: float) -> None:
    said = quantity.duration(seconds)
    units = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
    parts = re.findall(r"([\d.]+)(ns|µs|ms|s|m|h|d)", said)
    last, unit = parts[-1]
    step = units[unit] * (0.1 if "." in last else 1.0)
    meant = sum(float(number) * units[name] for number, name in parts)
    # Below an hour it is rounded, above it what does not fit is left out.
    assert abs(meant - seconds) <= step * (0.51 if seconds < 3599 else 1.01)


@given(st.floats(0))
def test_no_duration_is_wider_than_its_column(seconds: float) -> None:
    assert len(quantity.duration(seconds)) <= 6


@given(st.floats(0))
def test_no_guess_of_a_length_of_time_is_wider_than_its_column(seconds: float) -> None:
    assert len(quantity.about(seconds)) <= 4


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "0s"),
        (0.913, "<1s"),
        (5.43, "5.4s"),
        (42, "42s"),
        (59.6, "1.0m"),
        (2207, "37m"),
        (3599, "1.0h"),
        (11_220, "3.1h"),
        (5 * 86_400, "5.0d"),
        (float("inf"), "∞"),
    ],
)
def test_a_guess_of_a_length_of_time_has_two_digits(seconds: float, said: str) -> None:
    assert quantity.about(seconds) == said


@given(st.floats(0, 1e14))
def test_no_count_or_rate_is_wider_than_its_column(value: float) -> None:
    assert len(quantity.count(value)) <= 5
    assert len(quantity.rate(value)) <= 5


@given(st.integers(1, 10**15))
def test_count_is_at_most_a_twentieth_off(items: int) -> None:
    said = quantity.count(items)
    scale = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}.get(said[-1], 1.0)
    assert abs(float(said.rstrip("kMGT")) * scale - items) <= 0.051 * items


def test_plural_agrees_with_its_number() -> None:
    assert quantity.plural(1, "worker") == "1 worker"
    assert quantity.plural(0, "worker") == "0 workers"
    assert quantity.plural(1204, "worker") == "1,204 workers"
