from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import given

from pipeline_runner.config.model import HostGroup, Reload, Server, Stage
from pipeline_runner.plan.assign import assign
from pipeline_runner.plan.constraints import Reason
from pipeline_runner.plan.diff import Pending, Presence, State, Warned, Workers, acts, diff, render
from pipeline_runner.plan.settings import Setting
from pipeline_runner.plan.slots import slots
from pipeline_runner.plan.spec import fingerprint
from tests.plan.strategies import GIB, host, host_lists, pipeline, pipelines

if TYPE_CHECKING:
    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.plan.hosts import Host

DESK = host("desk", head=True)
GPU = host("gpu01", cores=8, gpus=2)
PI = host("pi4", memory=GIB)
HOSTS = [DESK, GPU, PI]


def planned(line: Pipeline, before: State | None = None, hosts: list[Host] = HOSTS) -> State:
    running = before.slots if before else {}
    current = {name: {s: len(i) for s, i in stages.items()} for name, stages in running.items()}
    plan = assign(line, hosts, current)
    return State(line, plan, slots(plan.counts, running))


def thumbs(resize: int = 4, upload: dict[str, Any] | None = None, **rest: Any) -> Pipeline:
    return pipeline(
        {
            "list": {},
            "resize": {"per_host": {"gpu01": resize}},
            "upload": {"per_host": {"pi4": 2}} | (upload or {}),
        },
        **rest,
    )


def changed(line: Pipeline, **queued: int) -> list[Any]:
    before = planned(thumbs())
    return list(diff(before, planned(line, before), queued=queued))


def test_against_nothing_everything_starts() -> None:
    changes = diff(None, planned(thumbs()))
    assert changes == (
        Workers("list", "desk", 0, 1, start=1, grace_s=30),
        Workers("resize", "gpu01", 0, 4, start=4, grace_s=30),
        Workers("upload", "pi4", 0, 2, start=2, grace_s=30),
        Presence("+", "edge", "list->resize", "room for 10,000 items"),
        Presence("+", "edge", "resize->upload", "room for 10,000 items"),
    )
    assert render(changes) == [
        "+ list            desk   0 -> 1  start 1",
        "+ resize          gpu01  0 -> 4  start 4",
        "+ upload          pi4    0 -> 2  start 2",
        "+ list->resize                   room for 10,000 items",
        "+ resize->upload                 room for 10,000 items",
    ]


def test_a_count_that_grows_starts_and_one_that_shrinks_to_nothing_drains() -> None:
    changes = changed(thumbs(resize=6, upload={"per_host": {"pi4": 0}}))
    assert render(changes) == [
        "~ resize  gpu01  4 -> 6  start 2",
        '- upload  pi4    2 -> 0  drain 2, at most 30 s, nothing lost (per_host."pi4" = 0: 0)',
        "! upload: no host may run it",
    ]


def test_a_drain_names_the_rule_that_broke() -> None:
    row, warning = changed(thumbs(upload={"constraints": ["memory >= 8GiB"]}))
    assert row.because == "memory >= 8GiB: 1.0GiB"
    assert warning == Warned("upload: no host may run it")


def test_a_setting_that_needs_it_restarts_the_workers_that_stay() -> None:
    (row,) = changed(thumbs(upload={"env": {"A": "1"}, "timeout": "5s"}))
    assert row == Workers(
        "upload", "pi4", 2, 2, restart=2, grace_s=30, because="env.A, timeout changed"
    )


def test_retry_and_its_like_change_in_place() -> None:
    changes = changed(thumbs(upload={"retry": {"attempts": 5}, "rate_limit": "10/s"}))
    assert changes == [
        Setting("upload", "rate_limit", "unset", "10/s", "in place"),
        Setting("upload", "retry.attempts", "3", "5", "in place"),
    ]


def test_a_cap_that_stops_nobody_is_a_setting_in_place() -> None:
    (change,) = changed(thumbs(upload={"max_per_host": 2}))
    assert change == Setting("upload", "max_per_host", "unset", "2", "in place")


def test_an_edge_changes_its_capacity_in_place() -> None:
    line = thumbs()
    roomy = [edge.model_copy(update={"capacity": "1GiB"}) for edge in line.edges[:1]]
    before = planned(line)
    after = State(replace(line, edges=(*roomy, *line.edges[1:])), before.plan, before.slots)
    assert diff(before, after) == (
        Setting("list->resize", "capacity", "10000", "1GiB", "in place"),
    )


def test_a_removed_edge_says_what_becomes_of_its_items() -> None:
    line = pipeline({"a": {}, "b": {}})
    alone = pipeline({"a": {}, "b": {}}, edges=[])
    before, after = planned(line, hosts=[DESK]), planned(alone, hosts=[DESK])
    journaled = State(replace(line, durability="fsync"), before.plan, before.slots)
    assert diff(before, after, queued={"a->b": 7}) == (
        Presence("-", "edge", "a->b", "drains 7 items, then goes"),
    )
    assert diff(journaled, after, queued={"a->b": 7})[0] == (
        Presence("-", "edge", "a->b", "parks 7 items until the file has it again")
    )
    assert diff(before, after) == (Presence("-", "edge", "a->b", "empty"),)


def test_a_removed_stage_drains() -> None:
    rows = changed(pipeline({"list": {}, "resize": {"per_host": {"gpu01": 4}}}))
    assert rows[0] == Workers(
        "upload", "pi4", 2, 0, drain=2, grace_s=30, because="no longer in the file"
    )


def test_a_new_stage_without_workers_is_said_all_the_same() -> None:
    changes = changed(
        pipeline(
            {
                "list": {},
                "resize": {"per_host": {"gpu01": 4}},
                "upload": {"per_host": {"pi4": 2}},
                "later": {"processes": 0},
            }
        )
    )
    assert changes == [
        Presence("+", "stage", "later", "no worker"),
        Presence("+", "edge", "upload->later", "room for 10,000 items"),
    ]


def test_a_worker_that_moves_says_from_where() -> None:
    before = planned(pipeline({"a": {"processes": 2}}), hosts=[DESK])
    after = planned(before.pipeline, before, hosts=[DESK, PI])
    assert render(diff(before, after)) == [
        "~ a  desk  2 -> 1  drain 1, at most 30 s, nothing lost",
        "+ a  pi4   0 -> 1  start 1 moved from desk",
    ]


def test_a_host_that_left_drains_nothing() -> None:
    before = planned(pipeline({"a": {"processes": 2}}), hosts=[DESK, PI])
    after = planned(before.pipeline, before, hosts=[DESK])
    assert render(diff(before, after)) == [
        "~ a  desk  1 -> 2  start 1 moved from pi4",
        "- a  pi4   1 -> 0  the host left",
    ]


def test_tables_of_the_file_say_whether_they_wait_for_the_next_up() -> None:
    line = thumbs(
        hosts={"lab": HostGroup(labels={"room": "lab"})},
        reload=Reload.model_validate({"grace": "10s"}),
        server=Server(port=50001),
    )
    assert changed(line) == [
        Setting("[reload]", "grace", "30s", "10s", "in place"),
        Setting("[server]", "port", "unset", "50001", "at the next up"),
        Setting("[hosts.lab]", "labels.room", "unset", "lab", "in place"),
        Setting("[hosts.lab]", "match", "unset", "[]", "in place"),
        Setting("[hosts.lab]", "where", "unset", "[]", "in place"),
    ]


def test_pending_and_warnings_are_told_and_are_no_changes() -> None:
    stuck = planned(pipeline({"a": {"processes": 2, "constraints": ["gpus >= 9"]}}), hosts=[DESK])
    changes = diff(stuck, stuck)
    assert changes == (
        Pending("a", 2, (("desk", (Reason("gpus >= 9", "0"),)),)),
        Warned("a: no host may run it"),
    )
    assert not acts(changes)
    assert render(changes) == [
        "! a: 2 pending. desk: gpus >= 9 (0)",
        "! a: no host may run it",
    ]


def test_a_fingerprint_changes_with_the_release_and_with_what_restarts() -> None:
    stage = Stage(run="app:f", processes=1)
    assert fingerprint(stage) == fingerprint(Stage(run="app:f", per_host=2, max_per_host=1))
    assert fingerprint(stage) != fingerprint(stage, "a91f")
    assert fingerprint(stage) != fingerprint(Stage(run="app:g"))
    assert fingerprint(stage) != fingerprint(Stage(run="app:f", env={"A": "1"}))


@given(pipelines(), host_lists())
def test_a_state_does_not_differ_from_itself(line: Pipeline, hosts: list[Host]) -> None:
    state = planned(line, hosts=hosts)
    assert not acts(diff(state, state))


@given(pipelines(), pipelines(), host_lists())
def test_starts_less_drains_make_up_every_count(
    old: Pipeline, new: Pipeline, hosts: list[Host]
) -> None:
    before = planned(old, hosts=hosts)
    after = planned(new, before, hosts=hosts)
    rows = [change for change in diff(before, after) if isinstance(change, Workers)]
    for row in rows:
        assert row.before + row.start - row.drain == row.after
        assert row.start or row.drain or row.restart
        assert row.after == after.plan.counts[row.host].get(row.stage, 0)
    told = {(row.host, row.stage) for row in rows}
    for name in after.plan.counts:
        for stage in old.stages.keys() | new.stages.keys():
            if (name, stage) not in told:
                assert before.slots[name].get(stage) == after.slots[name].get(stage)
