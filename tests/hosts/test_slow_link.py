"""A host at the end of a slow link: slow is not dead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import chain, stage, until
from tests.hosts.site import FUNCTIONS, site
from tests.hosts.slow_link import slow_link

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hosts.lan import Lan

LARGE, SMALL = 1_500_000, 30  # bytes of one item, which takes longer than a host may be silent
BLOBS = f"""

def blobs():
    pass_gate("all-here")
    yield from (bytes(number) for number in range({SMALL}))
    yield bytes({LARGE})


def size(blob):
    note("size", len(blob))
    return len(blob)
"""


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_megabit_a_second_and_two_seconds_late_is_no_death(
    network: Callable[..., Lan], record_property: Callable[[str, object], None]
) -> None:
    lan = network("desk", "pi")
    with site(lan, "desk") as up:
        document = stage("blobs", "functions:blobs") + stage("keep", "functions:keep")
        document += stage("size", "functions:size", 'constraints = ["host == pi"]')
        up.write(document + chain("blobs", "size", "keep"), functions=FUNCTIONS + BLOBS)
        run = up.up()
        port = int((up.project.state / "port").read_text())
        with slow_link(lan["pi"], (up.head.address, port), bits_per_s=1e6, late_s=2.0) as link:
            up.join(lan["pi"], f"127.0.0.1:{link.port}")
            until(lambda: up.workers().get("pi"), "its worker is here", within_s=90)
            before = link.passed
            up.open_gate("all-here")
            ended = run.wait(within_s=90)
            carried = link.passed - before
    assert ended.code == 0, ended.err
    wanted = [*range(SMALL), LARGE]
    assert sorted(up.kept().values()) == wanted
    assert sorted(size for size, _when in up.notes("size")) == wanted, "each ran once"
    assert "not heard" not in ended.err
    assert carried > LARGE
    times = [when for _size, when in up.notes("size")]
    waited = max(times) - min(times)
    assert waited > 10, "the large one took longer than a silent host has"
    record_property("bytes carried", carried)
    record_property("seconds that one item took", round(waited, 1))
