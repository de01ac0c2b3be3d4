"""The laws of placement, for whatever pipelines and hosts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.plan.assign import assign
from pipeline_runner.plan.demand import demands
from pipeline_runner.plan.groups import enrol
from tests.plan.strategies import (
    HOST_NAMES,
    host_lists,
    pipeline,
    pipelines,
    running,
    settings_of_counts,
)

if TYPE_CHECKING:
    from pipeline_runner.config.model import Stage
    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.plan.hosts import Host


@given(st.data(), pipelines(), host_lists(), running([*HOST_NAMES]))
def test_the_plan_does_not_depend_on_the_order_of_its_facts(
    data: st.DataObject, line: Pipeline, hosts: list[Host], current: dict[str, dict[str, int]]
) -> None:
    names = data.draw(st.permutations(list(line.stages)))
    shuffled = replace(
        line,
        stages={name: line.stages[name] for name in names},
        edges=tuple(data.draw(st.permutations(line.edges))),
        hosts=dict(reversed(line.hosts.items())),
    )
    first = assign(line, hosts, current)
    second = assign(
        shuffled, data.draw(st.permutations(hosts)), dict(reversed(list(current.items())))
    )
    assert first == second


@given(pipelines(), host_lists(), running([*HOST_NAMES]))
def test_every_cap_holds(
    line: Pipeline, hosts: list[Host], current: dict[str, dict[str, int]]
) -> None:
    plan = assign(line, hosts, current)
    wanted = demands(line, enrol(line.hosts, hosts), {})
    assert plan.counts.keys() == {host.name for host in hosts}
    for host in hosts:
        assert host.max_procs is None or sum(plan.counts[host.name].values()) <= host.max_procs
        for stage, n in plan.counts[host.name].items():
            most = line.stages[stage].max_per_host
            assert 0 < n <= wanted[stage].seats[host.name]
            assert most is None or n <= most
            assert all(rule.held for rule in wanted[stage].rules[host.name])


@given(pipelines(), host_lists(), running([*HOST_NAMES]))
def test_totals_are_met_unless_pending_says_why(
    line: Pipeline, hosts: list[Host], current: dict[str, dict[str, int]]
) -> None:
    plan = assign(line, hosts, current)
    for name, stage in line.stages.items():
        missing = plan.pending.get(name, 0)
        assert missing >= 0
        if stage.processes is not None and stage.per_host is None:
            assert plan.total(name) + missing == stage.processes
        if stage.processes is not None:
            assert plan.total(name) <= stage.processes
        if stage.autoscale is not None:
            assert plan.total(name) + missing == stage.autoscale.min
        if missing:
            assert plan.reasons[name].keys() == {host.name for host in hosts}
            assert all(plan.reasons[name].values())


@given(pipelines(), host_lists(), running([*HOST_NAMES]))
def test_a_plan_that_runs_is_its_own_plan(
    line: Pipeline, hosts: list[Host], current: dict[str, dict[str, int]]
) -> None:
    plan = assign(line, hosts, current)
    assert assign(line, hosts, plan.counts) == plan


@given(st.data(), pipelines(), host_lists(min_size=2))
def test_a_host_that_leaves_moves_only_its_own_share(
    data: st.DataObject, line: Pipeline, hosts: list[Host]
) -> None:
    before = assign(line, hosts, {})
    gone = data.draw(st.sampled_from(hosts))
    rest = [host for host in hosts if host is not gone]
    after = assign(line, rest, before.counts)
    for host in rest:
        for stage, n in before.counts[host.name].items():
            assert after.counts[host.name].get(stage, 0) >= n


@given(st.data(), pipelines(), host_lists(min_size=2))
def test_a_host_that_joins_takes_and_nobody_else_does(
    data: st.DataObject, line: Pipeline, hosts: list[Host]
) -> None:
    joined = data.draw(st.sampled_from(hosts))
    old = [host for host in hosts if host is not joined]
    before = assign(line, old, {})
    after = assign(line, hosts, before.counts)
    for stage in line.stages:
        gained = [
            host.name
            for host in old
            if after.counts[host.name].get(stage, 0) > before.counts[host.name].get(stage, 0)
        ]
        assert not gained or stage in before.pending


@given(st.data(), pipelines(), host_lists(min_size=2, capped=False))
def test_after_a_join_no_host_exceeds_the_new_one_by_more_than_one(
    data: st.DataObject, line: Pipeline, hosts: list[Host]
) -> None:
    joined = data.draw(st.sampled_from(hosts))
    before = assign(line, [host for host in hosts if host is not joined], {})
    plan = assign(line, hosts, before.counts)
    wanted = demands(line, enrol(line.hosts, hosts), {})
    for stage, demand in wanted.items():
        mine = plan.counts[joined.name].get(stage, 0)
        if demand.spread == "pack" or mine >= demand.seats[joined.name]:
            continue
        for other in hosts:
            if demand.scores[joined.name] >= demand.scores[other.name]:
                theirs = plan.counts[other.name].get(stage, 0)
                assert (theirs - 1) * joined.cores <= mine * other.cores


@given(st.data(), settings_of_counts(plain=True), host_lists(min_size=2, capped=False))
def test_a_join_moves_no_worker_that_could_have_stayed(
    data: st.DataObject, keys: dict[str, Any], hosts: list[Host]
) -> None:
    nothing: dict[str, Any] = {"processes": 0}
    line = pipeline({"list": nothing, "resize": keys, "store": nothing})
    joined = data.draw(st.sampled_from(hosts))
    old = [host for host in hosts if host is not joined]
    before = assign(line, old, {})
    after = assign(line, hosts, before.counts)
    mine = after.counts[joined.name].get("resize", 0)
    for other in old:
        theirs = after.counts[other.name].get("resize", 0)
        if theirs < before.counts[other.name].get("resize", 0):
            # Had one worker less moved, this host would exceed the new one by more than one.
            assert theirs * joined.cores > (mine - 1) * other.cores


@given(pipelines(), host_lists(), st.integers(0, 9), st.integers(1, 5))
def test_more_workers_stop_none(line: Pipeline, hosts: list[Host], n: int, more: int) -> None:
    name = min(line.stages)
    before, after = (
        replace(line, stages=line.stages | {name: with_processes(line.stages[name], total)})
        for total in (n, n + more)
    )
    running = assign(before, hosts, {}).counts
    plan = assign(after, hosts, running)
    for host in hosts:
        for stage, was in running[host.name].items():
            assert plan.counts[host.name].get(stage, 0) >= was


def with_processes(stage: Stage, n: int) -> Stage:
    return stage.model_copy(update={"processes": n, "per_host": None, "autoscale": None})
