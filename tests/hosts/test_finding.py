"""How a machine finds a head on real networks: over which it asks, and what it is told if not."""

from __future__ import annotations

import json
import shutil
import signal
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.kit import RUNNER, chain, stage, until
from tests.hosts.site import Site, site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.hosts.lan import Host, Lan

DOCUMENT = (
    stage("numbers", "functions:held_back")
    + stage("work", "functions:work", "per_host = 1")
    + stage("keep", "functions:keep")
    + chain("numbers", "work", "keep")
)


@pytest.fixture
def sites(network: Callable[..., Lan]) -> Iterator[Callable[..., Site]]:
    with ExitStack() as made:

        def make(lan: Lan, head: str, settings: str = "") -> Site:
            one = made.enter_context(site(lan, head))
            one.write(DOCUMENT + settings, items=20)
            one.open_gate("fast")
            return one

        yield make


def doctor(host: Host) -> dict[str, list[dict[str, Any]]]:
    """Return what `runner doctor` says on a host, by name."""
    said: dict[str, list[dict[str, Any]]] = {}
    for finding in json.loads(host.run(RUNNER, "doctor", "--json").stdout):
        said.setdefault(finding["name"], []).append(finding)
    return said


def test_a_host_asks_on_every_network_that_it_has(
    network: Callable[..., Lan], sites: Callable[..., Site]
) -> None:
    lan = network("desk", "pi", "lab")
    desk, pi = lan.add_network("desk", "pi")
    ours = sites(lan, "desk", f'[server]\nbind = "{desk}"\n')
    ours.up()
    joined = ours.join(lan["pi"])
    until(lambda: ours.workers().get("pi"), "it is found on the second network")
    assert f"p at {desk}:" in joined.said
    # Nobody on the first one hears of it, for it does not serve there.
    alone = ours.join(lan["lab"], "--once")
    assert alone.ended() == 3
    assert f"no head answered in 3 s on eth0 {lan['lab'].address}" in alone.said
    assert pi not in alone.said


def test_a_head_on_two_networks_is_found_on_both(
    network: Callable[..., Lan], sites: Callable[..., Site]
) -> None:
    lan = network("desk", "pi", "lab")
    (desk, _pi) = lan.add_network("desk", "pi")
    lan["pi"].cut()  # of the first network; the second one is left
    ours = sites(lan, "desk")
    ours.up()
    near, far = ours.join(lan["lab"]), ours.join(lan["pi"])
    until(lambda: {"pi", "lab"} <= ours.workers().keys(), "both join")
    assert f"p at {lan['desk'].address}:" in near.said
    assert f"p at {desk}:" in far.said


def test_a_network_without_a_cable_is_named_with_the_reason(
    network: Callable[..., Lan], sites: Callable[..., Site]
) -> None:
    lan = network("desk", "pi")
    ours = sites(lan, "desk")
    lan["pi"].cut()
    alone = ours.join(lan["pi"], "--once")
    assert alone.ended() == 3
    assert "on this machine, and it has no network to ask on" in alone.said
    assert "eth0: nothing is connected to it" in alone.said
    (finding,) = doctor(lan["pi"])["network"]
    assert finding["state"] == "warn"


def test_doctor_sees_the_networks_and_the_head_on_them(
    network: Callable[..., Lan], sites: Callable[..., Site]
) -> None:
    lan = network("desk", "pi")
    ours = sites(lan, "desk")
    ours.up()
    ours.give_key(lan["pi"])
    said = doctor(lan["pi"])
    assert said["network"][0]["text"] == f"eth0 {lan['pi'].address}, broadcasts go to 10.77.0.255"
    (heads,) = said["heads"]
    assert heads["text"].startswith(f"p at {lan['desk'].address}:")
    assert heads["text"].endswith("(desk)")
    assert ours.key not in json.dumps(said)


def test_a_program_that_keeps_the_port_to_itself_costs_only_the_finding(
    network: Callable[..., Lan], sites: Callable[..., Site]
) -> None:
    lan = network("desk", "pi")
    ours = sites(lan, "desk")
    with lan["desk"].socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("", 50000))
        (finding,) = doctor(lan["desk"])["discovery"]
        assert finding["state"] == "warn"
        assert "another program has it" in finding["text"]
        ours.up()
        port = ours.head.run("ss", "-H", "-l", "-n", "--tcp").stdout.split()[3].rpartition(":")[2]
        ours.join(lan["pi"], f"{lan['desk'].address}:{port}")
        until(lambda: ours.workers().get("pi"), "it joins by address all the same")


def test_a_waiting_host_joins_a_head_that_has_another_certificate_by_now(
    network: Callable[..., Lan], sites: Callable[..., Site]
) -> None:
    lan = network("desk", "pi")
    ours = sites(lan, "desk")
    ours.up()
    joined = ours.join(lan["pi"])
    until(lambda: ours.workers().get("pi"), "it works")
    ours.run.signal(signal.SIGTERM)
    ours.run.wait()
    until(lambda: "waits" in joined.said, "it waits for the next run")
    shutil.rmtree(ours.project.state)  # as people do, to begin anew
    ours.up()
    assert until(lambda: ours.workers().get("pi"), "it is found by the signed offer of the new one")
