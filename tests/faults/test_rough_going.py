"""A bad line, a disk that fails, a clock that jumps, a long queue; and bugs to be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.backlog import queue_a_backlog
from tests.faults.badline import run_on_a_bad_line
from tests.faults.clock import run_while_the_clock_jumps
from tests.faults.disk_error import run_into_a_disk_error
from tests.faults.planting import PLANTED, run_planted

if TYPE_CHECKING:
    from tests.e2e.kit import Project


@pytest.mark.slow
def test_lost_answers_and_cut_frames_lose_and_double_nothing(project: Project) -> None:
    outcome = run_on_a_bad_line(project, items=8_000, drops=60, cuts=60)
    assert outcome.faults == []


@pytest.mark.slow
def test_lost_answers_and_cut_frames_lose_and_double_nothing_over_tls(project: Project) -> None:
    outcome = run_on_a_bad_line(project, items=8_000, drops=60, cuts=60, sealed=True)
    assert outcome.faults == []


def test_a_failing_sync_ends_the_head_within_a_second_and_loses_nothing(project: Project) -> None:
    assert run_into_a_disk_error(project, items=8_000).faults == []


def test_nothing_expires_when_the_clock_jumps_a_day(project: Project) -> None:
    assert run_while_the_clock_jumps(project, items=8_000).faults == []


@pytest.mark.slow
def test_a_backlog_beyond_the_budget_leaves_the_head_its_memory(project: Project) -> None:
    assert queue_a_backlog(project, items=1_000_000).faults == []


@pytest.mark.slow
@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_bug_is_caught_by_the_totals(project: Project, what: str) -> None:
    outcome = run_planted(project, what, items=3_000, kills=12)
    lost, doubled = outcome.figures["lost"], outcome.figures["duplicates"]
    assert (int(lost) > 0, int(doubled) > 0) == (what != "emit-then-ack", what == "emit-then-ack")
