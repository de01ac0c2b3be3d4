"""The machines that the other tests here run on are what they are taken for."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import until
from tests.hosts import lan as lans
from tests.hosts.lan import remove_leftovers
from tests.hosts.namespaces import NoNamespaces, pids_in
from tests.hosts.tap import TCP, tap

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hosts.lan import Host, Lan

PORT = 50000


def ear(host: Host) -> socket.socket:
    heard = host.socket(socket.AF_INET, socket.SOCK_DGRAM)
    heard.bind(("", PORT))
    heard.settimeout(5)
    return heard


def call(host: Host, words: bytes) -> None:
    with host.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        caller.bind((host.address, 0))
        caller.sendto(words, ("10.77.0.255", PORT))


def test_a_broadcast_reaches_every_host_from_the_address_of_its_sender(
    network: Callable[..., Lan],
) -> None:
    lan = network("desk", "pi", "rig")
    ears = [ear(lan[name]) for name in ("pi", "rig")]
    call(lan["desk"], b"who is there")
    heard = [(words, address[0]) for words, address in (one.recvfrom(99) for one in ears)]
    for one in ears:
        one.close()
    assert heard == [(b"who is there", lan["desk"].address)] * 2


def test_a_cut_host_hears_nothing_and_a_connection_lasts_through_the_cut(
    network: Callable[..., Lan],
) -> None:
    lan = network("desk", "pi")
    desk, pi = lan["desk"], lan["pi"]
    with desk.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((desk.address, PORT))
        listener.listen()
        with pi.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
            client.settimeout(10)
            client.connect((desk.address, PORT))
            served, _address = listener.accept()
            with served, ear(pi) as heard:
                pi.cut()
                served.sendall(b"held back")
                call(desk, b"lost")
                heard.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    heard.recv(99)
                pi.mend()
                assert client.recv(99) == b"held back"


def test_a_reset_ends_the_connections_of_one_host_at_both_ends(
    network: Callable[..., Lan],
) -> None:
    lan = network("desk", "pi", "rig")
    with lan["desk"].socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((lan["desk"].address, PORT))
        listener.listen()
        ends = []
        for name in ("pi", "rig"):
            client = lan[name].socket(socket.AF_INET, socket.SOCK_STREAM)
            client.connect((lan["desk"].address, PORT))
            ends.append((client, listener.accept()[0]))
    assert lan["pi"].reset() == 1
    for end in ends[0]:
        end.settimeout(5)
        with end, pytest.raises(ConnectionError):
            end.recv(1)
    with ends[1][0] as client, ends[1][1] as served:
        client.sendall(b"whole")
        assert served.recv(9) == b"whole"


def test_a_second_network_joins_only_the_hosts_that_are_on_it(network: Callable[..., Lan]) -> None:
    lan = network("desk", "pi", "rig")
    desk, rig = lan.add_network("desk", "rig")
    lan["rig"].cut()
    with lan["rig"].socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((rig, PORT))
        listener.listen()
        with lan["desk"].socket(socket.AF_INET, socket.SOCK_STREAM) as client:
            client.connect((rig, PORT))
            assert client.getsockname()[0] == desk
        with (
            lan["pi"].socket(socket.AF_INET, socket.SOCK_STREAM) as stranger,
            pytest.raises(OSError, match="unreachable"),
        ):
            stranger.connect((rig, PORT))


def test_a_host_has_its_name_its_home_and_only_its_own_interfaces(
    network: Callable[..., Lan],
) -> None:
    lan = network("desk", "pi")
    look = "import os, socket; print(socket.gethostname(), os.environ['XDG_CACHE_HOME'], "
    look += "sorted(name for _index, name in socket.if_nameindex()), 'RUNNER_LOCAL' in os.environ)"
    for name in ("desk", "pi"):
        said = lan[name].run(sys.executable, "-c", look)
        assert said.stdout == f"{name} {lan[name].home}/cache ['eth0', 'lo'] False\n", said.stderr
    assert socket.gethostname() not in ("desk", "pi")


def test_the_pid_of_a_command_is_the_programs_and_power_off_ends_all(
    network: Callable[..., Lan],
) -> None:
    pi = network("pi")["pi"]
    forks = "import os, time; os.fork(); time.sleep(3600)"
    process = subprocess.Popen(pi.command(sys.executable, "-c", forks))
    until(lambda: len(pi.pids()) == 2, "both run")
    assert process.pid in pi.pids()
    pi.power_off()
    assert process.wait(5) == -signal.SIGKILL
    assert pi.pids() == []


def test_the_switch_hears_what_two_hosts_say_to_each_other_and_who_said_it(
    network: Callable[..., Lan],
) -> None:
    lan = network("desk", "pi")
    desk, pi = lan["desk"], lan["pi"]
    with tap(lan) as heard:
        with desk.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            listener.bind((desk.address, PORT))
            listener.listen()
            with pi.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
                client.connect((desk.address, PORT))
                served, _address = listener.accept()
                with served:
                    client.sendall(b"overheard")
                    assert served.recv(9) == b"overheard"
        call(desk, b"to all")
    talk = heard.between(desk.address, pi.address, TCP)
    assert [each.source for each in talk if each.data == b"overheard"] == [pi.address]
    assert [each.data for each in heard.udp_from(desk.address, PORT)] == [b"to all"]


def test_hosts_of_a_killed_run_are_removed_and_those_of_a_living_one_stay(
    network: Callable[..., Lan],
) -> None:
    lan = network("desk")
    program = (
        "import subprocess, sys; from tests.hosts.lan import lan\n"
        "with lan('orphan') as made:\n"
        "    subprocess.Popen(made['orphan'].command('sleep', '3600'), stdout=2)\n"
        "    print(made.switch, made['orphan'].namespace, made.folder, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    killed = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert killed.stdout is not None
    switch, orphan, folder = killed.stdout.readline().split()
    until(lambda: pids_in(orphan), "it has a process")
    killed.kill()
    killed.communicate()
    remove_leftovers()
    left = {path.name for path in Path("/run/netns").iterdir()}
    assert switch not in left
    assert orphan not in left
    assert lan.switch in left
    assert lan["desk"].namespace in left
    assert not Path(folder).exists()


def test_without_the_right_to_it_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(NoNamespaces, match="only root can make"), lans.lan("desk"):
        pass
