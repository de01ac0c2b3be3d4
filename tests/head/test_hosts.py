"""The hosts of a run: what they are given, and what a later head takes over of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.errors import ProtocolError
from pipeline_runner.head.hosts.roster import Hosts, host_of
from pipeline_runner.head.hosts.survivors import LeftBehind, Survivors
from tests.plan.strategies import host, host_lists, pipeline, pipelines

if TYPE_CHECKING:
    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.plan.hosts import Host

LINE = pipeline({"list": {"processes": 1}, "work": {"per_host": 2}, "store": {"processes": 1}})
NOBODY: Any = object()  # a connection that nothing is said on


def known(name: str, *, local: bool = False, agent: str = "a1") -> dict[str, Any]:
    return {name: {"agent": agent, "machine": "m", "local": local}}


def of(*members: Host, line: Pipeline = LINE) -> Hosts:
    hosts = Hosts(line)
    for member in members:
        hosts.join(NOBODY, member, 0.0)
    return hosts


def note(hosts: Hosts, knows: dict[str, Any]) -> dict[str, Any]:
    """Return what a head notes, as its file gives it back."""
    noted: dict[str, Any] = json.loads(json.dumps({**hosts.remembered(), "known": knows}))
    return noted


def test_a_host_that_is_cut_off_keeps_its_place_and_one_that_left_gives_it_up() -> None:
    hosts = of(host("desk", head=True), host("pi"))
    before = dict(hosts.slots)
    hosts.away("pi")
    hosts.replan()
    assert hosts.slots == before
    assert hosts.reports()[1].state == "away"
    hosts.leave("pi")
    assert hosts.slots == {"desk": {"list": (0,), "work": (0, 1), "store": (0,)}}


def test_a_host_that_returns_gives_back_its_older_connection_and_moves_nothing() -> None:
    hosts = of(host("desk", head=True), host("pi"))
    before, newer = dict(hosts.slots), object()
    assert hosts.back(newer, host("pi")) is NOBODY  # type: ignore[arg-type]
    assert hosts.members["pi"].connection is newer
    assert hosts.slots == before


def test_a_host_keeps_what_it_lacks_while_it_is_away_and_under_a_later_head() -> None:
    hosts = of(host("desk", head=True), host("pi"))
    hosts.lacks("pi", {"work": "it has no module numpy: pip install numpy==2.1"})
    assert hosts.slots.get("pi", {}) == {}
    hosts.away("pi")
    hosts.back(NOBODY, host("pi"))
    hosts.replan()
    assert hosts.slots.get("pi", {}) == {}
    later = Hosts(LINE)
    later.recall(note(hosts, known("pi")), 0.0)
    assert later.members["pi"].host.lacks.keys() == {"work"}
    hosts.join(NOBODY, host("pi"), 0.0)  # anew: it may have it by now
    assert set(hosts.slots["pi"]) == {"work"}


def test_a_host_gets_no_work_before_it_is_judged_and_none_once_it_drains() -> None:
    hosts = of(host("desk", head=True))
    hosts.join(NOBODY, host("pi"), 0.0, unfit=("its files are on their way",))
    assert hosts.slots.get("pi", {}) == {}
    assert hosts.reports()[1].state == "syncing"
    hosts.judge("pi", ())
    assert set(hosts.slots["pi"]) == {"work"}
    assert hosts.reports()[1].state == "up"
    hosts.drain("pi")
    assert hosts.slots.get("pi", {}) == {}
    assert hosts.reports()[1].state == "draining"


def test_while_a_head_waits_for_those_it_knew_nobody_new_is_given_anything() -> None:
    earlier = of(host("desk", head=True), host("pi"))
    hosts = Hosts(LINE)
    hosts.frozen = True
    hosts.recall(note(earlier, {}), 0.0)
    hosts.join(NOBODY, host("gpu"), 0.0)
    assert {name: slots for name, slots in hosts.slots.items() if slots} == earlier.slots
    hosts.frozen = False
    hosts.replan()
    assert hosts.slots["gpu"]["work"] == (4, 5)
    assert hosts.slots["pi"] == earlier.slots["pi"]


@given(pipelines(), host_lists(min_size=1))
def test_what_is_noted_of_hosts_comes_back_as_it_was(line: Pipeline, members: list[Host]) -> None:
    earlier = of(*members, line=line)
    later = Hosts(line)
    later.recall(note(earlier, {}), 0.0)
    assert [m.host for m in later.members.values()] == [m.host for m in earlier.members.values()]
    assert all(member.connection is None for member in later.members.values())
    assert later.slots == earlier.slots
    later.replan()
    assert later.slots == earlier.slots, "the same plan follows"


def test_stages_that_the_file_has_no_more_are_not_recalled() -> None:
    noted = note(of(host("desk", head=True)), {})
    later = Hosts(pipeline({"list": {"processes": 1}, "store": {"processes": 1}}))
    later.recall(noted, 0.0)
    assert later.slots == {"desk": {"list": (0,), "store": (0,)}}


def test_our_own_agent_is_awaited_only_if_it_lives_and_its_host_recalled_in_any_case() -> None:
    hosts = of(host("desk", head=True), host("pi"))
    noted = note(hosts, known("desk", local=True) | known("pi"))
    dead = LeftBehind.of(noted, None, here="desk", works=True)
    assert set(dead.awaited) == {"pi"}
    assert set(dead.hosts["hosts"]) == {"desk", "pi"}
    alive = LeftBehind.of(noted, 42, here="desk", works=True)
    assert set(alive.awaited) == {"desk", "pi"}
    idle = LeftBehind.of(noted, None, here="desk", works=False)
    assert set(idle.hosts["hosts"]) == {"pi"}, "no worker is to run here"


def test_an_agent_of_ours_that_began_under_another_host_name_is_still_ours() -> None:
    noted = note(of(host("old", head=True)), known("old", local=True))
    assert set(LeftBehind.of(noted, 42, here="new", works=True).awaited) == {"old"}


@pytest.mark.parametrize(
    "noted",
    [
        {},
        {"known": {}},
        {"known": {"pi": {}}},
        {"known": [1], "hosts": {}},
        {"known": {"pi": None}},
    ],
)
def test_a_note_that_makes_no_sense_is_no_note(noted: dict[str, Any]) -> None:
    left = LeftBehind.of(noted, 42, here="desk", works=True)
    assert set(left.awaited) == {"desk"}
    assert not left.hosts["hosts"]


@given(st.permutations(["desk", "pi", "w1", "w2"]))
def test_all_are_heard_once_every_host_is_back_and_every_worker_has_said_what_it_holds(
    order: list[str],
) -> None:
    survivors, workers = Survivors(["desk", "pi"]), {"desk": ("w1",), "pi": ("w2",)}
    for place, who in enumerate(order):
        assert not survivors.all_heard, order[:place]
        if who in workers:
            survivors.host_joined(who, workers[who])
        else:
            survivors.worker_done(who)
    assert survivors.all_heard


@pytest.mark.parametrize(
    "wrong",
    [{"cores": 0}, {"cores": "many"}, {"labels": [1]}, {"name": "a/b"}, {"name": ""}],
)
def test_a_host_that_tells_nonsense_of_itself_is_refused(wrong: dict[str, Any]) -> None:
    facts = {"name": "pi", "os": "linux", "arch": "arm64", "python": "3.11.4", "memory": 2**30}
    right = facts | {"cores": 4, "labels": {"room": "lab"}, "max_procs": None, "head": False}
    assert host_of(right | {"what a later version tells": 1}).labels == {"room": "lab"}
    with pytest.raises(ProtocolError):
        host_of(right | wrong)


def test_a_host_that_is_given_up_takes_its_workers_with_it() -> None:
    survivors = Survivors(["pi"])
    survivors.give_up("pi")
    assert survivors.all_heard
