"""Peers with servers of their own, at a tiny size, where they are installed."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import psutil
import pytest

from benchmarks.families import FAMILIES
from benchmarks.measure import BLOBS, TrialError, expected_total
from benchmarks.ours import Ours
from benchmarks.peers.mp_queue import QUEUES
from benchmarks.peers.server import free_ports, listens, server

if TYPE_CHECKING:
    from pathlib import Path

SMALL_BLOBS = replace(BLOBS, size_bytes=5_000)
# These take seconds to start; `python -m benchmarks.report` runs them.
HEAVY = {"rabbitmq", "celery", "dask", "ray"}
HERE = [name for name in FAMILIES if name not in HEAVY | {"local"} and not FAMILIES[name].missing()]


@pytest.mark.parametrize("name", HERE)
def test_each_installed_family_gives_the_exact_total_and_ends_its_servers(
    name: str, tmp_path: Path
) -> None:
    before = set(psutil.Process().children(recursive=True))

    with FAMILIES[name].open(tmp_path) as peers:
        totals = {peer.name: peer.run(40).total for peer in peers}

    assert set(totals.values()) == {expected_total(40)}
    left = set(psutil.Process().children(recursive=True)) - before
    assert not [each for each in left if "server" in each.name()]


@pytest.mark.parametrize("runner", [Ours(flow=SMALL_BLOBS), replace(QUEUES[0], flow=SMALL_BLOBS)])
def test_blobs_arrive_whole_and_their_headers_add_up(runner: Ours) -> None:
    assert runner.run(50).total == expected_total(50)


def test_a_server_that_ends_at_once_gives_the_last_it_said(tmp_path: Path) -> None:
    dying = ["sh", "-c", "echo no such port; exit 3"]

    with (
        pytest.raises(TrialError, match="no such port"),
        server(dying, tmp_path, lambda: False),
    ):
        pytest.fail("it was never ready")


def test_a_server_is_ended_with_what_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    nested = ["sh", "-c", "sleep 600 & echo $! > draft; mv draft pids; wait"]

    with server(nested, tmp_path, pids.exists):
        inner = psutil.Process(int(pids.read_text()))

    _, alive = psutil.wait_procs([inner], timeout=10)
    assert not alive


def test_free_ports_are_different_and_nobody_listens_on_them() -> None:
    ports = free_ports(5)

    assert len(set(ports)) == 5
    assert not any(listens(port) for port in ports)
    with socket.create_server(("127.0.0.1", ports[0])):
        assert listens(ports[0])
