"""An example for each rule of counts and placement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline_runner.config.model import HostGroup
from pipeline_runner.plan.assign import Plan, assign
from pipeline_runner.plan.constraints import Reason
from tests.plan.strategies import host, pipeline

if TYPE_CHECKING:
    from pipeline_runner.plan.hosts import Host

DESK = host("desk", head=True)
PI = host("pi4", arch="aarch64", memory=1024**3)
RIG = host("rig-7", cores=8, gpus=2)
HOSTS = [DESK, PI, RIG]


def place(
    keys: dict[str, Any],
    hosts: list[Host],
    current: dict[str, dict[str, int]] | None = None,
    groups: dict[str, HostGroup] | None = None,
) -> Plan:
    """Plan one map stage `work` between a source and a sink that need no worker."""
    stages: dict[str, dict[str, Any]] = {
        "in": {"processes": 0},
        "work": keys,
        "out": {"processes": 0},
    }
    return assign(pipeline(stages, hosts=groups), hosts, current or {})


def counts(plan: Plan, stage: str = "work") -> dict[str, int]:
    return {host: stages[stage] for host, stages in plan.counts.items() if stage in stages}


# 1. Constraints and groups say who is eligible.


def test_only_hosts_that_hold_every_constraint_are_eligible() -> None:
    plan = place({"constraints": ["memory >= 8GiB", "gpus >= 1"]}, HOSTS)
    assert counts(plan) == {"rig-7": 1}
    assert plan.reasons["work"] == {
        "desk": (Reason("gpus >= 1", "0"),),
        "pi4": (Reason("memory >= 8GiB", "1.0GiB"), Reason("gpus >= 1", "0")),
    }


def test_labels_of_a_group_count_in_constraints() -> None:
    groups = {"lab": HostGroup(match=("rig-*",), labels={"room": "lab"})}
    assert counts(place({"constraints": ["label.room == lab"]}, HOSTS, groups=groups)) == {
        "rig-7": 1
    }


# 2. per_host.


@pytest.mark.parametrize(
    ("per_host", "expected"),
    [
        (2, {"desk": 2, "pi4": 2, "rig-7": 2}),
        ("cores-1", {"desk": 3, "pi4": 3, "rig-7": 7}),
        ("gpus", {"rig-7": 2}),
        ({"rig-7": 3}, {"rig-7": 3}),
        ({"rig-7": 3, "@gpu": 5, "rig-*": 6, "*": 1}, {"desk": 1, "pi4": 1, "rig-7": 3}),
        ({"@gpu": "gpus", "rig-*": 6, "*": 0}, {"rig-7": 2}),
        ({"rig-*": 6, "*": "cores/2"}, {"desk": 2, "pi4": 2, "rig-7": 6}),
    ],
)
def test_per_host_goes_exact_name_then_group_then_glob_then_star(
    per_host: object, expected: dict[str, int]
) -> None:
    groups = {"gpu": HostGroup(where=("gpus >= 1",))}
    assert counts(place({"per_host": per_host}, HOSTS, groups=groups)) == expected


def test_equally_close_entries_that_disagree_are_named_both() -> None:
    plan = place({"per_host": {"rig-*": 2, "*-7": 3, "desk": 1}}, HOSTS)
    assert counts(plan) == {"desk": 1}
    clash = 'per_host."*-7" = 3 and per_host."rig-*" = 2'
    assert plan.reasons["work"]["rig-7"] == (Reason(clash, "both fit this host and disagree"),)
    assert f"work: {clash} fit the same host" in plan.warnings


def test_equally_close_entries_that_agree_are_fine() -> None:
    plan = place({"per_host": {"rig-*": 2, "*-7": "gpus"}}, HOSTS)
    assert counts(plan) == {"rig-7": 2}
    assert plan.warnings == ()


def test_a_host_without_an_entry_gets_none_and_is_told_so() -> None:
    plan = place({"per_host": {"desk": 1}}, [DESK, PI])
    assert plan.reasons["work"] == {"pi4": (Reason("per_host", "no entry for this host"),)}


# 3. Totals.


def test_processes_is_the_total_over_the_eligible_hosts() -> None:
    plan = place({"processes": 4, "constraints": ["arch == x86_64"]}, HOSTS)
    assert counts(plan) == {"desk": 1, "rig-7": 3}


def test_processes_caps_per_host() -> None:
    plan = place({"processes": 3, "per_host": 2}, HOSTS)
    assert sum(counts(plan).values()) == 3
    assert max(counts(plan).values()) <= 2
    assert plan.pending == {}


def test_autoscale_starts_at_its_min_and_follows_the_totals_it_is_given() -> None:
    line = pipeline({"a": {}, "work": {"autoscale": {"min": 2, "max": 5}}, "b": {}})
    wanted = [
        assign(line, [RIG], {}, totals=totals).total("work")
        for totals in ({}, {"work": 4}, {"work": 9}, {"work": 0})
    ]
    assert wanted == [2, 4, 5, 2]


# 4. Caps, affinity, spread, load, name.


def test_max_per_host_caps_a_total_and_the_rest_is_pending() -> None:
    plan = place({"processes": 5, "max_per_host": 2}, [DESK, RIG])
    assert counts(plan) == {"desk": 2, "rig-7": 2}
    assert plan.pending == {"work": 1}
    assert plan.reasons["work"] == {
        "desk": (Reason("max_per_host = 2", "runs 2"),),
        "rig-7": (Reason("max_per_host = 2", "runs 2"),),
    }


def test_max_per_host_caps_per_host() -> None:
    plan = place({"per_host": "cores", "max_per_host": 3}, [DESK, RIG])
    assert counts(plan) == {"desk": 3, "rig-7": 3}
    assert plan.pending == {}


def test_affinity_prefers_and_never_blocks() -> None:
    keys = {"processes": 3, "max_per_host": 2, "affinity": [{"if": "host == pi4", "weight": 9}]}
    assert counts(place(keys, [DESK, PI])) == {"desk": 1, "pi4": 2}


def test_a_negative_affinity_avoids() -> None:
    keys = {"processes": 2, "affinity": [{"if": "host == desk", "weight": -1}]}
    assert counts(place(keys, [DESK, PI])) == {"pi4": 2}


def test_spread_host_gives_each_host_its_share_of_the_cores() -> None:
    assert counts(place({"processes": 6}, [DESK, RIG])) == {"desk": 2, "rig-7": 4}


def test_spread_host_uses_every_host_before_it_doubles_up() -> None:
    assert counts(place({"processes": 3}, HOSTS)) == {"desk": 1, "pi4": 1, "rig-7": 1}


def test_spread_pack_fills_the_cores_of_one_host_before_the_next() -> None:
    plan = place({"processes": 9, "spread": "pack"}, [DESK, RIG])
    assert counts(plan) == {"desk": 1, "rig-7": 8}


def test_a_worker_goes_to_the_least_loaded_host() -> None:
    line = pipeline(
        {
            "a": {"processes": 0},
            "busy": {"per_host": {"rig-7": 6}},
            "work": {"processes": 1},
            "z": {"processes": 0},
        }
    )
    assert counts(assign(line, [DESK, RIG], {})) == {"desk": 1}


def test_workers_that_have_no_choice_count_as_load_before_they_are_placed() -> None:
    fixed = {"per_host": {"rig-7": 6, "desk": 1}}
    line = pipeline({"a": {"processes": 1}, "fixed": fixed, "z": {"processes": 0}})
    assert counts(assign(line, [DESK, RIG], {}), "a") == {"desk": 1}


def test_equal_hosts_are_taken_by_name() -> None:
    assert counts(place({"processes": 1}, [host("b"), host("a"), host("c")])) == {"a": 1}


def test_max_procs_caps_the_workers_of_all_stages_on_a_host() -> None:
    line = pipeline({name: {"processes": 1} for name in "abcd"})
    plan = assign(line, [host("small", max_procs=3)], {})
    assert sum(plan.counts["small"].values()) == 3
    ((stage, missing),) = plan.pending.items()
    assert missing == 1
    assert plan.reasons[stage] == {"small": (Reason("--max-procs 3", "runs 3"),)}


def test_every_stage_has_one_worker_before_any_has_two() -> None:
    line = pipeline({"a": {}, "b": {"processes": 9}, "c": {"processes": 9}, "d": {}})
    plan = assign(line, [host("small", max_procs=4)], {})
    assert plan.counts["small"] == {"a": 1, "b": 1, "c": 1, "d": 1}


def test_a_stage_with_few_hosts_takes_its_seat_first() -> None:
    drawn = {"processes": 1, "affinity": [{"if": "host == small", "weight": 50}]}
    line = pipeline({"a": drawn, "b": {"processes": 1, "constraints": ["host == small"]}})
    plan = assign(line, [host("small", cores=64, max_procs=1), host("big")], {})
    assert plan.counts == {"big": {"a": 1}, "small": {"b": 1}}


# 5. What runs stays.


def test_what_runs_stays_where_it_is() -> None:
    current = {"desk": {"work": 3}, "pi4": {}, "rig-7": {"work": 1}}
    assert counts(place({"processes": 4}, HOSTS, current)) == {"desk": 3, "rig-7": 1}


def test_more_workers_start_without_moving_the_others() -> None:
    current = {"desk": {"work": 3}, "pi4": {}, "rig-7": {"work": 1}}
    assert counts(place({"processes": 6}, HOSTS, current)) == {"desk": 3, "pi4": 1, "rig-7": 2}


def test_fewer_workers_stop_where_there_are_most() -> None:
    current = {"desk": {"work": 4}, "pi4": {"work": 1}, "rig-7": {"work": 4}}
    assert counts(place({"processes": 6}, HOSTS, current)) == {"desk": 2, "pi4": 1, "rig-7": 3}


def test_fewer_workers_stop_first_where_affinity_is_least() -> None:
    keys = {"processes": 2, "affinity": [{"if": "host == desk", "weight": 10}]}
    assert counts(place(keys, HOSTS, {"desk": {"work": 2}, "pi4": {"work": 1}, "rig-7": {}})) == {
        "desk": 2
    }


@pytest.mark.parametrize(
    ("running", "left"),
    [
        ({"desk": 2, "rig-7": 8}, {"desk": 1, "rig-7": 8}),
        ({"desk": 6, "rig-7": 4}, {"desk": 5, "rig-7": 4}),
    ],
)
def test_fewer_packed_workers_stop_where_cores_are_short_and_then_where_they_are_few(
    running: dict[str, int], left: dict[str, int]
) -> None:
    current = {host: {"work": n} for host, n in running.items()}
    assert counts(place({"processes": 9, "spread": "pack"}, [DESK, RIG], current)) == left


def test_workers_leave_a_host_whose_constraint_breaks() -> None:
    current = {"desk": {"work": 1}, "pi4": {"work": 2}, "rig-7": {"work": 1}}
    plan = place({"processes": 4, "constraints": ["arch == x86_64"]}, HOSTS, current)
    assert counts(plan) == {"desk": 1, "rig-7": 3}


def test_a_host_that_joins_takes_over_until_none_exceeds_another_by_more_than_one() -> None:
    plan = place({"processes": 7}, [DESK, PI], {"desk": {"work": 7}})
    assert counts(plan) == {"desk": 4, "pi4": 3}


def test_a_bigger_host_that_joins_takes_its_share_of_the_cores() -> None:
    plan = place({"processes": 6}, [DESK, RIG], {"desk": {"work": 6}})
    assert counts(plan) == {"desk": 2, "rig-7": 4}


def test_a_host_that_joins_takes_single_workers_too_but_the_source_and_the_sink_stay() -> None:
    line = pipeline({name: {"processes": 1} for name in ("list", "decode", "resize", "store")})
    current = {"desk": {"list": 1, "decode": 1, "resize": 1, "store": 1}}
    plan = assign(line, [DESK, PI], current)
    assert plan.counts == {"desk": {"list": 1, "store": 1}, "pi4": {"decode": 1, "resize": 1}}


def test_a_source_is_not_moved_for_the_load_alone() -> None:
    line = pipeline({"list": {"processes": 1}, "work": {"per_host": 2}, "store": {"processes": 1}})
    plan = assign(line, [DESK, PI], {"desk": {"list": 1, "work": 2, "store": 1}})
    assert plan.counts == {"desk": {"list": 1, "work": 2, "store": 1}, "pi4": {"work": 2}}


def test_a_stage_is_balanced_even_where_the_loads_are_equal() -> None:
    line = pipeline(
        {"a": {"processes": 0}, "fixed": {"per_host": {"pi4": 4}}, "work": {"processes": 4}},
        edges=[("a", "fixed"), ("fixed", "work"), ("work", "a")],
    )
    plan = assign(line, [DESK, PI], {"desk": {"work": 4}})
    assert counts(plan) == {"desk": 2, "pi4": 2}


def test_a_balanced_stage_stays_so_even_where_the_loads_are_not_equal() -> None:
    line = pipeline(
        {"a": {"processes": 0}, "fixed": {"per_host": {"desk": 6}}, "work": {"processes": 2}},
        edges=[("a", "fixed"), ("fixed", "work"), ("work", "a")],
    )
    plan = assign(line, [DESK, PI], {"desk": {"work": 2, "fixed": 6}})
    assert counts(plan) == {"desk": 1, "pi4": 1}


def test_a_seat_that_a_move_frees_goes_to_who_waited_for_it() -> None:
    small, big = host("small", max_procs=2), host("big")
    line = pipeline({"a": {"processes": 2}, "b": {"constraints": ["host == small"]}})
    current = {"small": {"a": 2}}
    assert assign(line, [small], current).pending == {"b": 1}
    plan = assign(line, [small, big], current)
    assert plan.counts == {"big": {"a": 1}, "small": {"a": 1, "b": 1}}


def test_nothing_moves_between_hosts_that_ran_before_a_join() -> None:
    current = {"desk": {"work": 6}, "rig-7": {}}
    plan = place({"processes": 6}, HOSTS, current)
    assert counts(plan) == {"desk": 3, "pi4": 3}


def test_a_packed_stage_does_not_move_to_a_host_that_joins() -> None:
    plan = place({"processes": 4, "spread": "pack"}, [DESK, PI], {"desk": {"work": 4}})
    assert counts(plan) == {"desk": 4}


def test_workers_do_not_move_to_a_host_that_joins_with_less_affinity() -> None:
    keys = {"processes": 4, "affinity": [{"if": "host == desk", "weight": 10}]}
    assert counts(place(keys, [DESK, PI], {"desk": {"work": 4}})) == {"desk": 4}


def test_the_share_of_a_lost_host_moves_and_nothing_else() -> None:
    current = {"desk": {"work": 2}, "pi4": {"work": 2}, "rig-7": {"work": 2}}
    assert counts(place({"processes": 6}, [DESK, PI], current)) == {"desk": 3, "pi4": 3}


# 6. What does not fit stays pending.


def test_a_stage_that_fits_nowhere_is_pending_with_every_failed_rule() -> None:
    plan = place({"processes": 2, "constraints": ["gpus >= 4"]}, HOSTS)
    assert plan.pending == {"work": 2}
    assert plan.reasons["work"] == {
        "desk": (Reason("gpus >= 4", "0"),),
        "pi4": (Reason("gpus >= 4", "0"),),
        "rig-7": (Reason("gpus >= 4", "2"),),
    }
    assert "work: no host may run it" in plan.warnings


def test_without_hosts_every_total_is_pending() -> None:
    plan = place({"processes": 2}, [])
    assert (plan.counts, plan.pending, plan.warnings) == ({}, {"work": 2}, ())


# 7. Defaults.


def test_a_source_has_one_worker_a_sink_one_at_the_head_and_others_one_on_each_host() -> None:
    line = pipeline({"list": {}, "decode": {}, "store": {}})
    plan = assign(line, [host("a"), host("b"), host("head", head=True)], {})
    assert plan.total("list") == 1
    assert counts(plan, "decode") == {"a": 1, "b": 1, "head": 1}
    assert counts(plan, "store") == {"head": 1}


def test_a_sink_with_an_affinity_of_its_own_is_not_drawn_to_the_head() -> None:
    line = pipeline({"list": {}, "store": {"affinity": [{"if": "host == a", "weight": 1}]}})
    plan = assign(line, [host("a"), host("head", head=True)], {})
    assert counts(plan, "store") == {"a": 1}


def test_a_sink_of_several_workers_is_spread_like_any_stage() -> None:
    line = pipeline({"list": {"processes": 0}, "store": {"processes": 2}})
    plan = assign(line, [host("a"), host("head", head=True)], {})
    assert counts(plan, "store") == {"a": 1, "head": 1}


def test_more_workers_than_cores_is_a_warning() -> None:
    assert place({"per_host": 5}, [DESK]).warnings == ("desk: 5 workers on 4 cores",)


def test_one_worker_of_a_source_or_a_sink_does_not_crowd_a_host() -> None:
    stages = {"list": {}, "work": {"per_host": 4}, "store": {}}
    assert assign(pipeline(stages), [DESK], {}).warnings == ()
    stages["work"]["per_host"] = 5
    told = assign(pipeline(stages), [DESK], {}).warnings
    assert told == ("desk: 5 workers on 4 cores, beside 2 that mostly wait",)
    stages["store"]["processes"] = 3
    told = assign(pipeline(stages), [DESK], {}).warnings
    assert told == ("desk: 8 workers on 4 cores, beside 1 that mostly waits",)
