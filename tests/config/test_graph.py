from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.config.graph import components, cycles, reachable

NAMES = "abcdef"
arrows = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=12)


def test_what_is_reachable_includes_the_starts_themselves() -> None:
    assert reachable(["a"], [("a", "b"), ("b", "c"), ("d", "a")]) == {"a", "b", "c"}
    assert reachable([], [("a", "b")]) == set()


def test_components_come_upstream_first_in_file_order() -> None:
    assert components("zab", [("z", "b"), ("a", "b")]) == (("z",), ("a",), ("b",))
    assert components("cba", [("a", "b"), ("b", "c")]) == (("a",), ("b",), ("c",))
    loop = [("a", "c"), ("c", "b"), ("b", "c"), ("b", "d")]
    assert components("dcba", loop) == (("a",), ("c", "b"), ("d",))


def test_a_stage_that_feeds_itself_is_a_cycle() -> None:
    assert cycles("ab", [("a", "b"), ("b", "b")]) == (("b",),)
    assert cycles("ab", [("a", "b")]) == ()


@given(arrows)
def test_a_component_is_those_that_reach_each_other(arrows: list[tuple[str, str]]) -> None:
    found = components(NAMES, arrows)
    assert sorted(name for group in found for name in group) == list(NAMES)
    home = {name: at for at, group in enumerate(found) for name in group}
    for one in NAMES:
        for other in NAMES:
            mutual = other in reachable([one], arrows) and one in reachable([other], arrows)
            assert (home[one] == home[other]) == mutual


@given(arrows)
def test_no_arrow_leads_back_to_an_earlier_component(arrows: list[tuple[str, str]]) -> None:
    home = {name: at for at, group in enumerate(components(NAMES, arrows)) for name in group}
    assert all(home[from_] <= home[to] for from_, to in arrows)
