"""The arithmetic between runs and the table."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.measure import Measured, expected_total
from benchmarks.pairs import in_turns, spread
from benchmarks.stages import square, subtract_1
from benchmarks.table import Bar, Row, table


@dataclass
class Recorded:
    """A runner that notes its runs in a list shared with others."""

    name: str
    seconds: float
    log: list[tuple[str, int]] = field(default_factory=list)

    def run(self, n: int) -> Measured:
        self.log.append((self.name, n))
        return Measured(n, self.seconds, cpu_s=0.5, total=expected_total(n))


def row(bar: Bar | None, theirs_times: float = 1.0) -> Row:
    pairs = in_turns(Recorded("ours", 1.0), Recorded("peer", 2.0), (100, 100), pairs=3)
    return Row(
        what="ints",
        peer="peer",
        unit="items/s",
        ours=tuple(ours.rate for ours, _ in pairs),
        theirs=tuple(theirs.rate for _, theirs in pairs),
        pairs=tuple(pairs),
        bar=bar,
        theirs_times=theirs_times,
    )


@given(st.integers(min_value=0, max_value=300))
def test_expected_total_is_what_the_functions_add_up_to(n: int) -> None:
    assert expected_total(n) == sum(subtract_1(square(i)) for i in range(n + 1))


@given(st.lists(st.floats(min_value=1e-6, max_value=1e9), min_size=1))
def test_a_spreads_median_lies_between_its_ends(numbers: list[float]) -> None:
    found = spread(numbers)

    assert found.low <= found.median <= found.high
    assert {found.low, found.high} <= set(numbers)


def test_in_turns_warms_both_up_and_lets_the_peer_go_first_in_every_second_pair() -> None:
    log: list[tuple[str, int]] = []

    in_turns(Recorded("ours", 1.0, log), Recorded("peer", 2.0, log), (100, 20), pairs=3)

    assert log[:2] == [("ours", 10), ("peer", 2)]
    assert [name for name, _ in log[2:]] == ["ours", "peer", "peer", "ours", "ours", "peer"]
    assert {n for name, n in log[2:] if name == "peer"} == {20}


def test_a_pair_is_ours_then_theirs_whoever_ran_first() -> None:
    pairs = in_turns(Recorded("ours", 1.0), Recorded("peer", 2.0), (10, 10), pairs=2)

    assert [(ours.seconds, theirs.seconds) for ours, theirs in pairs] == [(1.0, 2.0)] * 2


@pytest.mark.parametrize(
    ("bar", "ratio", "reached"),
    [
        (Bar(1.0), 1.0, True),
        (Bar(1.0), 0.99, False),
        (Bar(0.8, at_most=True), 0.8, True),
        (Bar(0.8, at_most=True), 0.81, False),
    ],
)
def test_a_bar_is_reached_at_its_value_and_past_it(bar: Bar, ratio: float, reached: bool) -> None:
    assert bar.reached(ratio) is reached


def test_a_row_compares_with_a_multiple_of_the_peer_when_asked() -> None:
    assert row(None).ratio.median == 2.0
    assert row(None, theirs_times=8.0).ratio.median == 0.25


def test_the_table_says_ratio_bar_verdict_and_the_totals_checked() -> None:
    text = table([row(Bar(1.0)), row(Bar(3.0)), row(None)])

    head, _, reached, missed, unbarred, *rest = text.splitlines()
    assert head.split()[:2] == ["what", "ours"]
    assert "2.00 (2.00-2.00)" in reached
    assert ">= 1" in reached
    assert " yes " in reached
    assert " NO " in missed
    assert ">=" not in unbarred
    assert rest[-1] == f"100 items: {expected_total(100):,}"


def test_a_rows_json_holds_every_run_with_its_total() -> None:
    facts = json.loads(json.dumps(row(Bar(1.0)).as_json()))

    assert facts["reached"] is True
    assert facts["ratio"] == {"median": 2.0, "low": 2.0, "high": 2.0}
    assert [[run["total"] for run in pair] for pair in facts["runs"]] == [
        [expected_total(100)] * 2
    ] * 3
