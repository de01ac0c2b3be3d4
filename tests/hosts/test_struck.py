"""A joined host, or its head, is killed, cut off, stopped or reset while the host holds items."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults import many_hosts

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.outcome import Outcome


@pytest.fixture
def assert_held(record_property: Callable[[str, object], None]) -> Callable[[Outcome], None]:
    """Give what asserts that a scenario held its bars, and notes its figures for the book."""

    def note(outcome: Outcome) -> None:
        for name, value in outcome.figures.items():
            record_property(name, value)
        assert outcome.faults == []

    return note


@pytest.mark.slow
def test_when_an_agent_is_killed_its_items_are_taken_again_within_12_s(
    assert_held: Callable[[Outcome], None],
) -> None:
    assert_held(many_hosts.agent_killed())


@pytest.mark.slow
def test_when_a_host_is_cut_off_its_items_are_taken_again_after_10_s(
    assert_held: Callable[[Outcome], None],
) -> None:
    assert_held(many_hosts.cut_for_good())


@pytest.mark.slow
def test_a_host_cut_off_for_5_s_keeps_its_items_and_nothing_runs_again(
    assert_held: Callable[[Outcome], None],
) -> None:
    assert_held(many_hosts.cut_for(5))


@pytest.mark.slow
def test_a_host_stopped_for_20_s_is_refused_what_it_settles_late(
    assert_held: Callable[[Outcome], None],
) -> None:
    assert_held(many_hosts.stopped_for(20))


@pytest.mark.slow
def test_a_host_whose_connections_are_reset_keeps_a_long_item(
    assert_held: Callable[[Outcome], None],
) -> None:
    assert_held(many_hosts.connections_reset(15))


@pytest.mark.slow
def test_hosts_outlast_a_killed_head_and_hand_in_what_they_hold(
    assert_held: Callable[[Outcome], None],
) -> None:
    assert_held(many_hosts.head_killed(15))
