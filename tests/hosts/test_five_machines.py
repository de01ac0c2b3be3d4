"""A head and four that joined it, no address typed: every count as the file says, nothing lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import chain, stage, until
from tests.hosts.site import FUNCTIONS, Site, site

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator

    from tests.hosts.lan import Lan

N = 8_000
RIGS = """
[hosts.rigs]
match = ["rig-*"]
labels = { fast = "yes" }
"""
STAGES = ("numbers", "work", "square", "root", "bare", "keep")
DOCUMENT = (
    RIGS
    + stage("numbers", "functions:held_back", 'constraints = ["head == true"]')
    + stage("work", "functions:work", 'per_host = { pi = 3, "@rigs" = "cores", "n*" = 2, "*" = 1 }')
    + stage("square", "functions:square", "processes = 5\nmax_per_host = 2")
    + stage("root", "functions:root", 'constraints = ["label.disk == ssd"]\nper_host = 2')
    + stage("bare", "functions:bare", 'constraints = ["label.fast == yes"]\nper_host = "cores+1"')
    + stage("keep", "functions:keep")
    + chain(*STAGES)
)
MORE = """

def root(number):
    return round(number ** 0.5)


def bare(number):
    return number
"""
FIXED = {  # what the file leaves no choice about; `square` goes where there is most room
    "desk": {"numbers": 1, "work": 1, "keep": 1},
    "pi": {"work": 3},
    "rig-1": {"work": 2, "bare": 3},
    "rig-2": {"work": 1, "bare": 2},
    "nas": {"work": 2, "root": 2},
}


@pytest.fixture
def five(network: Callable[..., Lan]) -> Iterator[Site]:
    lan = network("desk", "pi", "rig-1", "rig-2", "nas")
    with site(lan, "desk") as made:
        functions = FUNCTIONS + MORE
        made.write(DOCUMENT, items=N, functions=functions, env='PACE = "0.05"\n')
        made.up(cores="0,1")
        made.join(lan["pi"], cores="0")
        made.join(lan["rig-1"], cores="0,1")
        made.join(lan["rig-2"], cores="1")
        until(lambda: {"pi", "rig-1", "rig-2"} <= busy(made), "three have work")
        # Last, so that its four seats are for those who have no other.
        made.join(lan["nas"], "--label", "disk=ssd", "--max-procs", "4")
        yield made


def busy(made: Site) -> set[str]:
    return {host for host, workers in made.workers().items() if workers}


def without(counts: dict[str, Counter[str]], stage: str) -> dict[str, dict[str, int]]:
    return {host: {s: n for s, n in each.items() if s != stage} for host, each in counts.items()}


@pytest.mark.slow
def test_counts_are_exact_and_nothing_is_lost_while_one_dies_and_one_is_cut_off(
    five: Site, record_property: Callable[[str, object], None]
) -> None:
    until(lambda: without(five.workers(), "square") == FIXED, "counts as written", within_s=60)
    until(lambda: sum(each["square"] for each in five.workers().values()) == 5, "five squares")
    squares = {host: each["square"] for host, each in five.workers().items()}
    assert max(squares.values()) == 2, squares
    assert squares["nas"] == 0, "it has its four processes"

    five.open_gate("all-here")
    until(lambda: len(five.kept()) > 500, "work is under way")
    assert {begun[0][0] for begun in five.begun().values()} == set(FIXED)
    five.lan["rig-2"].power_off()
    until(lambda: len(five.kept()) > 1_000, "the others go on")
    five.lan["pi"].cut()
    until(lambda: not five.workers().get("pi"), "the head gives it up")
    five.lan["pi"].mend()
    four = {host: counts for host, counts in FIXED.items() if host != "rig-2"}
    until(lambda: without(five.workers(), "square") == four, "it is back", within_s=60)

    five.open_gate("fast")
    five.open_gate("end")
    ended = five.run.wait(within_s=90)
    assert ended.code == 0, ended.err
    assert sorted(five.kept().values()) == list(range(N))
    edges = {edge["name"]: edge["settled"] for edge in (ended.snapshot or {})["edges"]}
    assert set(edges.values()) == {N}, edges
    again = sum(len(beginnings) - 1 for beginnings in five.begun().values())
    assert 0 < again < N / 10, "what the two held ran again, and nothing else"
    for name, figure in {"hosts": 5, "N": N, "lost": 0, "duplicates": 0, "re-runs": again}.items():
        record_property(name, figure)
