from __future__ import annotations

import pytest

from pipeline_runner.observe.trend import Trend, eta_s
from tests.observe.feed import edge, run, stage


def watched(*backlogs: int, every_s: float = 1.0) -> Trend:
    trend = Trend()
    for turn, queued in enumerate(backlogs):
        trend.add(run(up_s=turn * every_s, edges=(edge("list", "resize", queued),)))
    return trend


def test_growth_is_unknown_until_a_second_has_been_seen() -> None:
    assert watched(0, 500, every_s=0.25).growth("list->resize") == 0.0


def test_growth_is_the_slope_over_the_window() -> None:
    assert watched(100, 140, 180).growth("list->resize") == pytest.approx(40.0)


def test_growth_forgets_what_lies_before_the_window() -> None:
    trend = watched(0, *([1000] * 30))
    assert trend.growth("list->resize") == 0.0


def test_an_edge_that_appeared_just_now_grew_from_nothing() -> None:
    trend = Trend()
    trend.add(run(up_s=0, edges=()))
    trend.add(run(up_s=2, edges=(edge("a", "b", 10),)))
    assert trend.growth("a->b") == 5.0


@pytest.mark.parametrize(
    ("backlogs", "eta"),
    [
        ((100, 0), 0.0),
        ((300, 200), 2.0),
        ((200, 300), float("inf")),
        ((300, 300), None),
    ],
)
def test_eta_follows_the_backlog(backlogs: tuple[int, int], eta: float | None) -> None:
    snapshot = run(edges=(edge("list", "resize", backlogs[-1]),))
    assert eta_s(snapshot, watched(*backlogs), stage("resize", in_rate=20.0)) == eta


def test_a_source_has_no_eta() -> None:
    assert eta_s(run(), Trend(), stage("list", "source")) is None


def test_once_nothing_more_can_come_the_eta_is_the_backlog_at_the_present_pace() -> None:
    snapshot = run(
        stages=(stage("list", "source", state="finished"), stage("resize")),
        edges=(edge("list", "resize", 300),),
    )
    growing = watched(200, 300)
    assert eta_s(snapshot, growing, stage("resize", in_rate=20.0)) == 15.0
    assert eta_s(snapshot, growing, stage("resize", in_rate=0.0)) is None
