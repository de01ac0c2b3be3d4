from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.plan.slots import slots

Counts = dict[str, dict[str, int]]
Indexes = dict[str, dict[str, tuple[int, ...]]]

hosts = st.sampled_from(["desk", "gpu01", "pi4"])
stages = st.sampled_from(["list", "resize"])
counts_of_hosts = st.dictionaries(hosts, st.dictionaries(stages, st.integers(0, 5)))
indexes_of_hosts = st.dictionaries(
    hosts, st.dictionaries(stages, st.lists(st.integers(0, 9), max_size=6).map(tuple))
)


def test_each_worker_of_a_stage_has_an_index_of_its_own_over_all_hosts() -> None:
    assert slots({"pi4": {"resize": 1}, "desk": {"list": 1, "resize": 2}}, {}) == {
        "desk": {"list": (0,), "resize": (0, 1)},
        "pi4": {"resize": (2,)},
    }


def test_a_host_keeps_the_indexes_it_runs() -> None:
    current: Indexes = {"desk": {"resize": (2, 3)}, "pi4": {"resize": (0, 1)}}
    assert slots({"desk": {"resize": 3}, "pi4": {"resize": 2}}, current) == {
        "desk": {"resize": (2, 3, 4)},
        "pi4": {"resize": (0, 1)},
    }


def test_a_stage_that_shrinks_gives_up_its_highest_indexes() -> None:
    assert slots({"desk": {"resize": 2}}, {"desk": {"resize": (0, 1, 2, 3)}}) == {
        "desk": {"resize": (0, 1)}
    }


def test_a_lost_hosts_indexes_go_to_the_hosts_that_take_its_share() -> None:
    current: Indexes = {"desk": {"resize": (0,)}, "gone": {"resize": (1,)}, "pi4": {"resize": (2,)}}
    assert slots({"desk": {"resize": 1}, "pi4": {"resize": 2}}, current) == {
        "desk": {"resize": (0,)},
        "pi4": {"resize": (1, 2)},
    }


@given(counts_of_hosts, indexes_of_hosts)
def test_indexes_are_distinct_contiguous_and_as_many_as_planned(
    counts: Counts, current: Indexes
) -> None:
    found = slots(counts, current)
    assert found.keys() == counts.keys()
    for stage in ("list", "resize"):
        every = [index for host in found.values() for index in host.get(stage, ())]
        assert sorted(every) == list(range(len(every)))
        for host, share in counts.items():
            assert len(found[host].get(stage, ())) == share.get(stage, 0)


@given(counts_of_hosts, counts_of_hosts)
def test_every_running_worker_that_may_stay_keeps_its_index(before: Counts, after: Counts) -> None:
    current = slots(before, {})
    found = slots(after, current)
    assert slots(before, current) == current
    for stage in ("list", "resize"):
        n = sum(share.get(stage, 0) for share in after.values())
        for host, share in after.items():
            running = {index for index in current.get(host, {}).get(stage, ()) if index < n}
            kept = running & set(found[host].get(stage, ()))
            assert len(kept) == min(len(running), share.get(stage, 0))
