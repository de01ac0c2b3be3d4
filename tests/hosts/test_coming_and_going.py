"""Hosts that drain, leave, wait for the next run, and find a head that was away or has moved."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import chain, stage, until
from tests.hosts.site import RUNNER, Site, site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.kit import Ended, Run
    from tests.hosts.lan import Lan

ITEMS = 40
DOCUMENT = (
    stage("numbers", "functions:held_back")
    + stage("work", "functions:work", "per_host = 1")
    + stage("keep", "functions:keep")
    + chain("numbers", "work", "keep")
)


@pytest.fixture
def ours(network: Callable[..., Lan]) -> Iterator[Site]:
    """Two machines beside a head whose queues are in a journal."""
    with site(network("desk", "pi", "rig"), "desk") as made:
        made.write(DOCUMENT, items=ITEMS)
        file = made.project.root / "pipeline.toml"
        file.write_text(file.read_text().replace('durability = "memory"', 'durability = "fsync"'))
        yield made


def works_on(ours: Site, *hosts: str) -> None:
    until(
        lambda: all(ours.workers().get(host, {}).get("work") for host in hosts),
        f"{hosts} work",
    )


def kill(run: Run) -> None:
    """End a head as a power cut does, and its own agent with it."""
    agent = run.agent()
    os.kill(run.pid, signal.SIGKILL)
    os.kill(agent, signal.SIGKILL)
    run.popen.communicate()


def assert_all_came_out_and_nothing_ran_twice(ours: Site) -> Ended:
    ours.open_gate("fast")
    ours.open_gate("end")
    ended = ours.run.wait()
    assert ended.code == 0, ended.err
    assert sorted(ours.kept().values()) == list(range(ITEMS))
    assert {n: len(begun) for n, begun in ours.begun().items()} == dict.fromkeys(range(ITEMS), 1)
    return ended


def test_a_host_that_is_drained_finishes_what_it_holds_and_leaves(ours: Site) -> None:
    ours.up()
    pi, _rig = ours.join(ours.lan["pi"]), ours.join(ours.lan["rig"])
    works_on(ours, "desk", "pi", "rig")
    ours.open_gate("all-here")
    until(lambda: any(host == "pi" for _n, host, _at in ours.notes("worked")), "pi has worked")
    asked = ours.begin(ours.lan["rig"], RUNNER, "drain", "pi", "--pipeline", ours.project.name)
    assert asked.ended() == 0, asked.said
    assert pi.ended() == 0
    assert "the head has released this host" in pi.said
    assert not ours.state("pi")
    assert_all_came_out_and_nothing_ran_twice(ours)


def test_ctrl_c_on_a_host_finishes_what_it_holds_and_leaves(ours: Site) -> None:
    ours.up()
    pi = ours.join(ours.lan["pi"])
    works_on(ours, "desk", "pi")
    ours.open_gate("all-here")
    until(lambda: any(host == "pi" for _n, host, _at in ours.notes("worked")), "pi has worked")
    pi.popen.send_signal(signal.SIGINT)
    assert pi.ended() == 0
    until(lambda: not ours.state("pi"), "the head has forgotten it")
    assert_all_came_out_and_nothing_ran_twice(ours)


def test_while_a_killed_head_comes_back_nothing_moves_and_nothing_runs_twice(ours: Site) -> None:
    ours.up()
    pi, rig = ours.join(ours.lan["pi"]), ours.join(ours.lan["rig"])
    works_on(ours, "desk", "pi", "rig")
    ours.open_gate("shut-pi")
    ours.open_gate("shut-rig")
    ours.open_gate("all-here")
    until(lambda: {host for _n, host, *_ in ours.notes("work")} >= {"pi", "rig"}, "both hold items")
    before = {
        host["name"]: [worker["pid"] for worker in host["workers"]]
        for host in ours.run.look()["hosts"]
    }
    kill(ours.run)
    for joined in (pi, rig):
        until(lambda said=joined: "cut" in said.said, "it has noticed")
    ours.open_gate("open-pi")  # an item that is done while there is no head
    until(lambda: any(host == "pi" for _n, host, _at in ours.notes("worked")), "pi is through")
    ours.up()
    works_on(ours, "desk", "pi", "rig")
    ours.open_gate("open-rig")
    after = {
        host["name"]: [worker["pid"] for worker in host["workers"]]
        for host in ours.run.look()["hosts"]
    }
    assert after["pi"] == before["pi"]
    assert after["rig"] == before["rig"]
    ours.open_gate("fast")
    ours.open_gate("end")
    ended = ours.run.wait()
    assert ended.code == 0, ended.err
    assert sorted(ours.kept().values()) == list(range(ITEMS))
    held = [begun for begun in ours.begun().values() if begun[0][0] != "desk"]
    assert all(len(begun) == 1 for begun in held), "only what died with the head ran again"


def test_a_head_that_comes_back_at_another_port_is_found_by_hosts_and_their_workers(
    ours: Site,
) -> None:
    ours.up()
    pi = ours.join(ours.lan["pi"])
    works_on(ours, "desk", "pi")
    ours.open_gate("shut-pi")
    ours.open_gate("all-here")
    until(lambda: any(host == "pi" for _n, host, *_ in ours.notes("work")), "pi holds an item")
    kill(ours.run)
    (ours.project.state / "port").unlink(missing_ok=True)
    listens = "import socket, time; s = socket.create_server(('', 50000)); time.sleep(600)"
    taker = ours.begin(ours.lan["desk"], "python3", "-c", listens)
    until(lambda: "LISTEN" in ours.head.run("ss", "-l", "-n", "--tcp").stdout, "the port is taken")
    ours.up()
    until(lambda: pi.said.count("found") == 2, "it has found the head again")
    ours.open_gate("open-pi")
    ours.open_gate("fast")
    ours.open_gate("end")
    ended = ours.run.wait()
    assert ended.code == 0, ended.err
    assert sorted(ours.kept().values()) == list(range(ITEMS))
    held = [begun for begun in ours.begun().values() if begun[0][0] == "pi"]
    assert all(len(begun) == 1 for begun in held)
    taker.popen.kill()


def test_after_a_run_a_host_waits_for_the_next_and_one_that_came_once_leaves(ours: Site) -> None:
    ours.open_gate("fast")
    ours.up()
    stays, leaves = ours.join(ours.lan["pi"]), ours.join(ours.lan["rig"], "--once")
    works_on(ours, "pi", "rig")
    ours.open_gate("all-here")
    ours.open_gate("end")
    assert ours.run.wait().code == 0
    assert leaves.ended() == 0
    until(lambda: "waits" in stays.said, "it says that it waits")
    ours.up()
    until(lambda: stays.said.count("work x1") == 2, "it works for the next run too")
    assert ours.run.wait().code == 0


def test_a_run_is_asked_about_and_ended_from_a_machine_that_joined(ours: Site) -> None:
    ours.up()
    pi = ours.join(ours.lan["pi"])
    works_on(ours, "desk", "pi")
    ours.open_gate("all-here")
    looked = ours.begin(ours.lan["pi"], RUNNER, "ps", "--hosts")
    assert looked.ended() == 0, looked.said
    assert "pi " in looked.said
    assert "desk*" in looked.said
    why = ours.begin(ours.lan["pi"], RUNNER, "why", "work")
    assert why.ended() == 0, why.said
    assert "work: 2 of 2 workers have a place" in why.said
    stopped = ours.begin(ours.lan["pi"], RUNNER, "down")
    assert stopped.ended() == 0, stopped.said
    assert ours.run.wait().code == 0
    until(lambda: "the run was stopped" in pi.said, "the host has heard of it")


def test_workers_end_with_a_head_that_kept_all_in_memory(ours: Site) -> None:
    file = ours.project.root / "pipeline.toml"
    file.write_text(file.read_text().replace('durability = "fsync"', 'durability = "memory"'))
    ours.up()
    pi, once = ours.join(ours.lan["pi"]), ours.join(ours.lan["rig"], "--once")
    works_on(ours, "desk", "pi", "rig")
    ours.open_gate("shut-pi")
    ours.open_gate("all-here")
    until(lambda: any(host == "pi" for _n, host, *_ in ours.notes("work")), "pi holds an item")
    workers = [
        worker["pid"]
        for host in ours.run.look()["hosts"]
        if host["name"] == "pi"
        for worker in host["workers"]
    ]
    assert workers
    os.kill(ours.run.pid, signal.SIGKILL)
    ours.run.popen.communicate()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "their end")
    assert once.ended() == 3, "there is no head any more"
    assert pi.popen.poll() is None, "the other waits for another run"


def test_a_second_agent_of_one_name_gets_a_number(ours: Site) -> None:
    ours.up("--ui", "plain")
    ours.join(ours.lan["pi"], "--name", "box")
    works_on(ours, "box")
    ours.join(ours.lan["rig"], "--name", "box")
    works_on(ours, "box", "box-2")
    ours.open_gate("all-here")
    ended = assert_all_came_out_and_nothing_ran_twice(ours)
    # The kernel under both is one, and so is the machine.
    assert "that box has already: both are on one machine" in ended.err
