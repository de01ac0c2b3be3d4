"""What an agent does between two heads."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline_runner.agent.disconnect_policy import DisconnectPolicy, next_step


def joined(**more: Any) -> DisconnectPolicy:
    given: dict[str, Any] = {"local": False, "once": False, "since": 0.0, "hold_s": 60.0}
    return DisconnectPolicy(**(given | {"workers": 3} | more))


def own(**more: Any) -> DisconnectPolicy:
    return joined(local=True, **more)


def test_the_heads_own_agent_holds_for_as_long_as_it_was_told() -> None:
    assert next_step(own(), 59.0) == "hold"
    assert next_step(own(), 60.0) == "end"
    assert next_step(own(hold_s=0.0), 0.0) == "end", "what is in memory has gone with the head"


@pytest.mark.parametrize("hold_s", [0.0, 60.0])
def test_a_joined_host_holds_for_as_long_as_it_takes(hold_s: float) -> None:
    week = 7 * 24 * 3600.0
    assert next_step(joined(hold_s=hold_s), week) == "hold", "the way may be cut, not the head dead"


def test_workers_end_where_the_head_is_known_to_be_dead_and_kept_all_in_memory() -> None:
    assert next_step(joined(hold_s=0.0, known_dead=True), 0.1) == "clear"
    assert next_step(joined(hold_s=0.0, known_dead=True, workers=0), 0.1) == "wait"
    assert next_step(joined(hold_s=0.0, known_dead=True, once=True), 0.1) == "end"
    assert next_step(joined(known_dead=True), 0.1) == "hold", "with a journal it comes back"


@pytest.mark.parametrize("why", ["finished", "stopped"])
def test_after_a_run_a_host_waits_for_the_next_unless_it_came_for_one(why: str) -> None:
    assert next_step(joined(dismissed=why, workers=0), 0.1) == "wait"
    assert next_step(joined(dismissed=why), 0.1) == "clear"
    assert next_step(joined(dismissed=why, once=True), 0.1) == "end"


def test_a_host_that_was_drained_leaves() -> None:
    assert next_step(joined(dismissed="drained", workers=0), 0.1) == "end"


def test_a_host_that_leaves_while_it_is_cut_off_waits_for_its_workers_alone() -> None:
    assert next_step(joined(leaving=True), 0.1) == "hold"
    assert next_step(joined(leaving=True, workers=0), 0.1) == "end"
