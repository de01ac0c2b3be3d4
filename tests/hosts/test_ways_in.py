"""Hosts come by every way there is, and work with the files as they are at each run."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import chain, stage, until
from tests.hosts.site import FUNCTIONS, Site, site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.hosts.lan import Lan

DOCUMENT = (
    stage("numbers", "functions:held_back", 'constraints = ["head == true"]')
    + stage("work", "functions:work", "per_host = 1")
    + stage("keep", "functions:keep")
    + chain("numbers", "work", "keep")
)
N = 40
BY_HAND = """

def by_hand(number):
    from hand import turn

    note("by hand", number, context().host)
    return turn(work(number))
"""
HAND = """
def turn(number):
    return number
"""


@pytest.fixture
def ours(network: Callable[..., Lan]) -> Iterator[Site]:
    with site(network("desk", "pi"), "desk") as made:
        made.write(DOCUMENT, items=N)
        yield made


def works(ours: Site, host: str) -> None:
    """Wait until a host has a running worker."""
    until(lambda: ours.workers().get(host), f"{host} has work")


def finish(ours: Site) -> set[str]:
    """Let the run end in good order; return who worked."""
    ours.open_gate("fast")
    ours.open_gate("all-here")
    ours.open_gate("end")
    ended = ours.run.wait()
    assert ended.code == 0, ended.err
    assert sorted(ours.kept().values()) == list(range(N))
    return {host for begun in ours.begun().values() for host, *_ in begun}


def test_a_host_comes_by_address_where_no_broadcast_goes(ours: Site) -> None:
    ours.up()
    joined = ours.join(ours.lan["pi"], ours.head.address)  # the port is the one it always has
    works(ours, "pi")
    assert f"found  p at {ours.head.address}:50000" in joined.said
    assert finish(ours) == {"desk", "pi"}


@pytest.mark.parametrize("way", ["by broadcast", "by address"])
def test_a_host_that_is_there_first_can_wait_for_its_head(ours: Site, way: str) -> None:
    address = [ours.head.address] if way == "by address" else []
    joined = ours.join(ours.lan["pi"], "--wait", *address)
    until(lambda: "goes on asking" in joined.said, "it says that it waits")
    assert joined.said.startswith("waits  no head answer")
    ours.up()
    works(ours, "pi")
    assert finish(ours) == {"desk", "pi"}
    assert joined.said.count("goes on asking") == 1


def test_a_host_that_waits_for_a_head_can_be_stopped(ours: Site) -> None:
    joined = ours.join(ours.lan["pi"], "--wait")
    until(lambda: "goes on asking" in joined.said, "it says that it waits")
    joined.popen.send_signal(signal.SIGINT)
    assert joined.ended(5) == 130
    assert "Traceback" not in joined.said


def test_a_host_of_the_heads_second_network_finds_it_there(ours: Site) -> None:
    second, _pi = ours.lan.add_network("desk", "pi")
    ours.lan["pi"].cut()
    ours.up()
    joined = ours.join(ours.lan["pi"])
    works(ours, "pi")
    assert f"found  p at {second}:" in joined.said
    assert finish(ours) == {"desk", "pi"}


@pytest.mark.slow
def test_a_head_whose_address_changed_is_found_again_and_so_by_the_workers(ours: Site) -> None:
    ours.open_gate("shut-pi")
    ours.up()
    joined = ours.join(ours.lan["pi"])
    works(ours, "pi")
    ours.open_gate("all-here")
    until(lambda: "pi" in {begun[0][0] for begun in ours.begun().values()}, "it holds an item")
    address = ours.lan.move("desk")
    until(lambda: f"at {address}:50000" in joined.said, "it has found the head again")
    ours.open_gate("open-pi")
    assert finish(ours) == {"desk", "pi"}


def test_a_host_that_waited_works_in_the_next_run_with_the_files_of_then(ours: Site) -> None:
    ours.up()
    joined = ours.join(ours.lan["pi"])
    works(ours, "pi")
    finish(ours)
    until(lambda: "waits" in joined.said, "it waits for another run")
    document = DOCUMENT.replace("functions:work", "functions:by_hand")
    ours.write(document, items=N, functions=FUNCTIONS + BY_HAND, more={"hand": HAND})
    ours.up()
    works(ours, "pi")
    finish(ours)
    assert {host for _number, host, _when in ours.notes("by hand")} == {"desk", "pi"}
