"""The table of hosts that ``ps --hosts`` prints."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline_runner.observe.hosts import hosts
from tests.observe.feed import host, run

if TYPE_CHECKING:
    from pipeline_runner.observe.snapshot import HostView


def lines(*views: HostView, width: int = 100) -> list[str]:
    return [line.plain for line in hosts(replace(run(), hosts=views), width)]


def test_each_host_says_how_it_stands_and_what_it_runs() -> None:
    _headline, _blank, titles, desk, pi = lines(
        host("desk"),
        host("pi4", state="away", seen_s=7.0),
    )
    assert titles.split() == ["HOST", "STATE", "WORKERS", "CPU", "MEM", "SEEN", "CODE", "RUNS"]
    assert desk.split()[:4] == ["desk*", "up", "2", "41%"]
    assert desk.endswith("resize x2")
    assert "a91fc0ff " in desk
    assert pi.split()[:3] == ["pi4", "away", "2"]
    assert "7.0s" in pi


def test_on_a_narrow_terminal_the_name_and_the_state_stay() -> None:
    *_, pi = lines(host("pi4", state="draining"), width=50)
    assert pi.split()[:2] == ["pi4", "draining"]
    assert len(pi) <= 50
