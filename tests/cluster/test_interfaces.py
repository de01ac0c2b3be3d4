"""Which interfaces a broadcast can leave by."""

from __future__ import annotations

import socket
import sys

import pytest

from pipeline_runner.cluster import interfaces
from pipeline_runner.cluster.interfaces import Address, Interface, Links, Skipped, choose, scan

UP, BROADCAST, RUNNING = 0x1, 0x2, 0x40
FINE = UP | BROADCAST | RUNNING
LO = Address("lo", "127.0.0.1", "255.0.0.0", "0.0.0.0", UP | RUNNING | 0x8)
LOOPBACK = Interface("lo", "127.0.0.1", "127.255.255.255")


def test_each_address_of_an_interface_that_is_up_is_used_and_loopback_comes_last() -> None:
    found = choose(
        [
            LO,
            Address("eth0", "10.0.0.5", "255.255.255.0", "10.0.0.255", FINE),
            Address("eth0", "10.9.0.5", "255.255.0.0", "", FINE),
        ],
        local=False,
    )
    assert found == Links(
        (
            Interface("eth0", "10.0.0.5", "10.0.0.255"),
            Interface("eth0", "10.9.0.5", "10.9.255.255"),
            LOOPBACK,
        )
    )


@pytest.mark.parametrize(
    ("mask", "flags", "why"),
    [
        ("255.255.255.0", BROADCAST, "down"),
        ("255.255.0.0", UP | BROADCAST, "nothing is connected to it"),
        ("255.255.255.0", UP | RUNNING, "point to point, no broadcast"),
        ("255.255.255.255", FINE, "point to point, no broadcast"),
        ("255.255.255.254", FINE, "point to point, no broadcast"),
    ],
)
def test_an_interface_that_cannot_broadcast_is_skipped_with_the_reason(
    mask: str, flags: int, why: str
) -> None:
    found = choose([LO, Address("docker0", "172.17.0.1", mask, "", flags)], local=False)
    assert found == Links((LOOPBACK,), (Skipped("docker0", why),))


def test_an_interface_without_an_address_is_told_of() -> None:
    found = choose([LO], ["wlan0", "lo"], local=False)
    assert found.skipped == (Skipped("wlan0", "no IPv4 address"),)


def test_a_local_run_has_loopback_alone() -> None:
    fine = Address("eth0", "10.0.0.5", "255.255.255.0", "10.0.0.255", FINE)
    assert choose([LO, fine], local=True) == Links(
        (LOOPBACK,), (Skipped("eth0", "RUNNER_LOCAL is set"),)
    )


def test_this_machine_s_loopback_is_found_and_no_test_leaves_it() -> None:
    assert scan().usable == (LOOPBACK,)


@pytest.mark.skipif(sys.platform != "linux", reason="compares what Linux and psutil tell")
def test_the_kernel_and_psutil_tell_the_same() -> None:
    asked = {(each.name, each.address, each.mask) for each in interfaces._ask_linux()}
    assert ("lo", "127.0.0.1", "255.0.0.0") in asked
    assert asked == {(each.name, each.address, each.mask) for each in interfaces._ask_psutil()}
    assert {name for name, _address, _mask in asked} <= {n for _i, n in socket.if_nameindex()}
