from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from pipeline_runner.plan.assign import assign
from pipeline_runner.plan.explain import why
from tests.plan.strategies import GIB, host, host_lists, pipeline, pipelines

if TYPE_CHECKING:
    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.plan.hosts import Host

HOSTS = [host("desk", head=True), host("gpu01", gpus=2), host("pi4", memory=GIB, max_procs=0)]


def test_every_host_is_held_against_every_rule() -> None:
    line = pipeline(
        {"embed": {"processes": 5, "max_per_host": 3, "constraints": ["memory >= 8GiB", "gpus>=1"]}}
    )
    explanation = why(line, HOSTS, assign(line, HOSTS, {}), "embed")
    assert explanation.lines() == [
        "embed: 3 of 5 workers have a place, 2 pending",
        "desk   may not run it",
        "  ok  memory >= 8GiB    16.0GiB",
        "  no  gpus>=1           0",
        "gpu01  runs 3, and may run no more",
        "  ok  memory >= 8GiB    16.0GiB",
        "  ok  gpus>=1           2",
        "  no  max_per_host = 3  runs 3",
        "pi4    may not run it",
        "  no  memory >= 8GiB    1.0GiB",
        "  no  gpus>=1           0",
    ]


def test_a_host_that_lacks_a_module_of_a_stage_may_not_run_that_one() -> None:
    line = pipeline({"embed": {"per_host": 1}, "load": {"per_host": 1}})
    lacks = {"embed": "it has no module numpy: pip install numpy==2.1, and join again"}
    here = [host("desk", head=True), host("pi", lacks=lacks)]
    plan = assign(line, here, {})
    assert plan.counts == {"desk": {"embed": 1, "load": 1}, "pi": {"load": 1}}
    assert why(line, here, plan, "embed").lines()[-3:] == [
        "pi    may not run it",
        f"  no  its module can be imported  {lacks['embed']}",
        "  ok  per_host = 1                1",
    ]


def test_a_host_that_could_run_more_is_not_needed() -> None:
    line = pipeline({"list": {"constraints": ["host != pi4"]}})
    explanation = why(line, HOSTS, assign(line, HOSTS, {}), "list")
    assert [entry.verdict for entry in explanation.hosts] == [
        "runs 1",
        "may run it, and is not needed",
        "may not run it",
    ]


def test_a_host_at_its_own_cap_is_full() -> None:
    line = pipeline({"list": {"constraints": ["host == pi4"]}})
    explanation = why(line, HOSTS, assign(line, HOSTS, {}), "list")
    assert explanation.lines()[-3:] == [
        "pi4    is full",
        "  ok  host == pi4    pi4",
        "  no  --max-procs 0  runs 0",
    ]


def test_without_hosts_it_says_so() -> None:
    line = pipeline({"list": {}})
    assert why(line, [], assign(line, [], {}), "list").lines() == [
        "list: 0 of 1 worker has a place, 1 pending",
        "no host is here",
    ]


def test_an_unknown_stage_is_a_key_error() -> None:
    line = pipeline({"list": {}})
    with pytest.raises(KeyError):
        why(line, HOSTS, assign(line, HOSTS, {}), "lst")


@given(pipelines(), host_lists())
def test_a_host_that_runs_none_shows_a_failed_rule_or_nothing_is_missing(
    line: Pipeline, hosts: list[Host]
) -> None:
    plan = assign(line, hosts, {})
    for stage in line.stages:
        explanation = why(line, hosts, plan, stage)
        json.dumps(explanation.as_json())
        assert explanation.wanted == explanation.placed + explanation.pending
        assert sum(entry.runs for entry in explanation.hosts) == explanation.placed
        for entry in explanation.hosts:
            failed = any(not rule.held for rule in entry.rules)
            assert failed or entry.runs or not explanation.pending
            assert not entry.runs or all(
                rule.held for rule in entry.rules[: len(line.stages[stage].constraints)]
            )
