from __future__ import annotations

from pipeline_runner.config.model import HostGroup
from pipeline_runner.plan.groups import enrol
from tests.plan.strategies import host


def test_a_member_matches_one_glob_and_every_constraint() -> None:
    groups = {"gpu": HostGroup(match=("rig-*", "gpu*"), where=("gpus >= 1", "cores >= 4"))}
    hosts = [
        host("rig-1", gpus=1),
        host("rig-2"),
        host("desk", gpus=1),
        host("gpu1", gpus=1, cores=2),
        host("gpu2", gpus=2),
    ]
    members = {member.name for member in enrol(groups, hosts) if member.groups}
    assert members == {"rig-1", "gpu2"}


def test_members_get_the_labels_of_their_groups() -> None:
    groups = {"lab": HostGroup(match=("rig-*",), labels={"room": "lab"})}
    desk, rig = enrol(groups, [host("rig-1"), host("desk")])
    assert (desk.host.labels, rig.host.labels) == ({}, {"room": "lab"})
    assert (desk.groups, rig.groups) == (frozenset(), frozenset({"lab"}))


def test_a_hosts_own_label_wins_over_its_groups() -> None:
    groups = {
        "a": HostGroup(match=("*",), labels={"disk": "hdd", "room": "a"}),
        "b": HostGroup(match=("*",), labels={"room": "b"}),
    }
    (member,) = enrol(groups, [host(labels={"disk": "ssd"})])
    assert member.host.labels == {"disk": "ssd", "room": "b"}


def test_a_group_is_not_judged_by_labels_of_another_group() -> None:
    groups = {
        "a": HostGroup(match=("desk",), labels={"room": "lab"}),
        "b": HostGroup(where=("label.room == lab",)),
    }
    (member,) = enrol(groups, [host("desk")])
    assert member.groups == {"a"}
