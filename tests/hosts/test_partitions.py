"""A source that divides its work by ``index`` of ``count``, and hosts that join later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.kit import chain, stage, until
from tests.hosts.site import FUNCTIONS, site

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hosts.lan import Lan

ITEMS = 40
PART = """
def part():
    here = context()
    *most, last = range(int(os.environ["N"]))[here.index :: here.count]
    note("part", here.index, here.count)
    yield from most
    pass_gate("end")
    yield last
"""
DOCUMENT = (
    stage("numbers", "functions:part", "processes = 2\nmax_per_host = 1")
    + stage("keep", "functions:keep")
    + chain("numbers", "keep")
)


def test_a_partition_waits_for_the_host_that_runs_it_and_nothing_comes_twice(
    network: Callable[..., Lan],
) -> None:
    lan = network("desk", "pi")
    with site(lan, "desk") as ours:
        ours.write(DOCUMENT, items=ITEMS, functions=FUNCTIONS + PART)
        ours.up()
        until(lambda: len(ours.kept()) >= ITEMS // 2 - 1, "the first process gave its share")
        ours.join(lan["pi"])
        until(lambda: len(ours.notes("part")) == 2, "the second process has begun")
        until(lambda: len(ours.notes("keep")) >= ITEMS - 2, "both gave all but their last")
        ours.open_gate("end")
        ended = ours.run.wait()
        assert ended.code == 0, ended.err
        assert sorted(ours.kept().values()) == list(range(ITEMS))
        assert sorted((index, count) for index, count, _at in ours.notes("part")) == [
            (0, 2),
            (1, 2),
        ]
