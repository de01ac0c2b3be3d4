"""Who is here: what silence, a return, a second agent and a drain mean."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pipeline_runner.cluster.membership import SILENT_S, STALLED_S, Arrival, Membership


def looked_at(membership: Membership, until: float, step_s: float = 0.25) -> list[str]:
    """Look every quarter of a second up to ``until``, as a head does; return who was silent."""
    now = membership._looked
    while (now := now + step_s) <= until:
        silent = membership.silent(now)
        if silent:
            return list(silent)
    return []


def test_a_host_is_lost_after_ten_seconds_without_a_word_and_not_before() -> None:
    membership = Membership(0.0)
    membership.arrive("pi", "a", "m", 0.0)
    assert looked_at(membership, SILENT_S - 0.1) == []
    assert looked_at(membership, SILENT_S + 0.3) == ["pi"]


def test_a_word_from_anybody_on_it_keeps_a_host() -> None:
    membership = Membership(0.0)
    membership.arrive("pi", "a", "m", 0.0)
    membership.hear("pi", 7.0)
    membership.hear("pi", 3.0)  # an older one, told later
    assert looked_at(membership, 16.9) == []
    assert looked_at(membership, 17.3) == ["pi"]


def test_a_broken_connection_frees_nothing_and_its_agent_returns_to_its_place() -> None:
    membership = Membership(0.0)
    membership.arrive("pi", "a", "m", 0.0)
    assert not membership.cut("pi")
    assert looked_at(membership, 9.0) == []
    assert membership.arrive("pi", "a", "m", 9.0) == Arrival("pi", "returns")
    assert looked_at(membership, 18.0) == []


def test_an_agent_that_was_lost_joins_like_a_new_one() -> None:
    membership = Membership(0.0)
    membership.arrive("pi", "a", "m", 0.0)
    assert looked_at(membership, 11.0) == ["pi"]
    membership.leave("pi")
    assert membership.arrive("pi", "a", "m", 12.0) == Arrival("pi", "joins")


def test_a_second_agent_of_the_same_name_gets_a_number() -> None:
    membership = Membership(0.0)
    assert membership.arrive("pi", "a", "m1", 0.0).name == "pi"
    assert membership.arrive("pi", "b", "m2", 0.0).name == "pi-2"
    assert membership.arrive("pi", "c", "m1", 0.0).name == "pi-3", "it runs beside the first"
    membership.cut("pi-2")
    assert membership.arrive("pi-2", "b", "m2", 1.0) == Arrival("pi-2", "returns")


def test_a_second_agent_of_one_machine_is_told_from_one_of_the_same_name() -> None:
    membership = Membership(0.0)
    assert membership.arrive("desk", "a", "m1", 0.0, local=True).beside == ""
    assert membership.arrive("desk", "b", "m1", 0.0) == Arrival("desk-2", "joins", "desk")
    assert membership.arrive("desk", "c", "m2", 0.0) == Arrival("desk-3", "joins")
    assert membership.arrive("desk", "b", "m1", 1.0) == Arrival("desk-2", "returns")
    assert membership.arrive("pi", "d", "", 0.0).beside == ""
    assert membership.arrive("pi", "e", "", 0.0) == Arrival("pi-2", "joins")


def test_an_agent_started_again_on_the_same_machine_takes_the_place_of_the_dead_one() -> None:
    membership = Membership(0.0)
    membership.arrive("pi", "a", "m", 0.0)
    membership.cut("pi")
    assert membership.arrive("pi", "b", "m", 1.0) == Arrival("pi", "replaces")
    assert membership.arrive("pi", "a", "m", 2.0).name == "pi-2", "should it live all the same"


def test_a_machine_that_is_not_known_takes_no_other_ones_place() -> None:
    membership = Membership(0.0)
    membership.arrive("pi", "a", "", 0.0)
    membership.cut("pi")
    assert membership.arrive("pi", "b", "", 1.0) == Arrival("pi-2", "joins")


def test_the_end_of_the_heads_own_agent_is_its_hosts_end() -> None:
    membership = Membership(0.0)
    membership.arrive("desk", "a", "m", 0.0, local=True)
    assert looked_at(membership, 60.0) == [], (
        "it is a child, and may be stopped as long as it likes"
    )
    assert membership.cut("desk")
    assert "desk" not in membership


def test_a_host_that_was_asked_to_go_is_gone_with_its_connection() -> None:
    membership = Membership(0.0)
    membership.arrive("pi", "a", "m", 0.0)
    assert membership.drain("pi")
    assert not membership.drain("pi"), "that is no news"
    assert not membership.cut("pi"), "its workers still hold items"
    assert membership.arrive("pi", "a", "m", 1.0) == Arrival("pi", "returns")
    assert membership["pi"].draining
    assert membership.cut("pi", idle=True)
    assert "pi" not in membership


def test_a_host_that_is_to_go_is_so_still_when_it_was_lost_in_between() -> None:
    membership = Membership(0.0)
    membership.arrive("pi", "a", "m", 0.0)
    membership.drain("pi")
    assert looked_at(membership, 11.0) == ["pi"]
    membership.leave("pi")
    membership.arrive("pi", "a", "m", 12.0)
    assert membership["pi"].draining
    membership.arrive("pi", "b", "m", 13.0)
    assert not membership["pi-2"].draining, "another agent has come to work"


def test_a_restarted_head_waits_ten_seconds_for_the_hosts_it_knew() -> None:
    membership = Membership(100.0)
    membership.expect("pi", "a", "m", 100.0, local=False)
    membership.expect("gpu", "b", "n", 100.0, local=False)
    assert membership.arrive("pi", "a", "m", 101.0) == Arrival("pi", "returns")
    membership.hear("pi", 109.0)
    assert looked_at(membership, 110.3) == ["gpu"]


def test_a_head_that_was_stopped_itself_takes_nobody_for_lost() -> None:
    membership = Membership(0.0)
    membership.arrive("pi", "a", "m", 0.0)
    assert looked_at(membership, 1.0) == []
    assert membership.silent(61.0) == (), "a minute in which it could hear nobody"
    assert looked_at(membership, 69.0) == []
    assert looked_at(membership, 71.0) == ["pi"]


# Not to the last bit: a sum of steps is rounded, and would look like a head that stalled.
STEPS = st.floats(0.01, STALLED_S - 0.01)


@given(st.lists(STEPS, max_size=80), st.floats(0.0, 5.0))
def test_who_speaks_at_least_every_few_seconds_is_never_lost(
    steps: list[float], every_s: float
) -> None:
    membership, now, spoke = Membership(0.0), 0.0, 0.0
    membership.arrive("pi", "a", "m", 0.0)
    for step in steps:
        now += step
        if now - spoke >= every_s:
            membership.hear("pi", now)
            spoke = now
        assert membership.silent(now) == ()


class Coming(RuleBasedStateMachine):
    """Agents come, go, are cut and return in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.membership = Membership(0.0)
        self.now = 0.0
        self.names: dict[str, str] = {}  # of living agents
        self.heard: dict[str, float] = {}  # by name

    @rule(agent=st.sampled_from("abcde"), wanted=st.sampled_from(["pi", "pi-2", "desk"]))
    def arrive(self, agent: str, wanted: str) -> None:
        known = self.names.get(agent)
        arrival = self.membership.arrive(known or wanted, agent, f"m-{agent}", self.now)
        if known is not None:
            assert arrival == Arrival(known, "returns"), "nothing of it has moved"
        else:
            assert arrival.coming == "joins"
            assert arrival.name not in self.names.values()
        self.names[agent] = arrival.name
        self.heard[arrival.name] = self.now

    @precondition(lambda self: self.names)
    @rule(data=st.data())
    def cut(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.names.values())))
        assert not self.membership.cut(name)

    @precondition(lambda self: self.names)
    @rule(data=st.data())
    def hear(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.names.values())))
        self.membership.hear(name, self.now)
        self.heard[name] = self.now

    @rule(step=STEPS)
    def pass_time(self, step: float) -> None:
        self.now += step
        for name in self.membership.silent(self.now):
            assert self.now - self.heard[name] >= SILENT_S
            self.membership.leave(name)
            self.names = {a: n for a, n in self.names.items() if n != name}
        for name in self.names.values():
            assert self.now - self.heard[name] < SILENT_S

    @invariant()
    def every_agent_has_a_name_of_its_own(self) -> None:
        assert len(set(self.names.values())) == len(self.names)
        assert all(name in self.membership for name in self.names.values())


TestComing = Coming.TestCase
