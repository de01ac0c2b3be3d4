"""Ray: an actor a stage, a method call an item, results passed on as references."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import ray

from benchmarks.peers.server import free_ports, listens, server
from benchmarks.peers.station import Driven, Station, source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.measure import Flow

_ROOT = Path(__file__).parents[2]


def drive(address: str, flow: Flow, batch: int) -> None:
    """Call the first stage's actor with every parcel, and each next one with the result."""
    marks = {name: value for name, value in os.environ.items() if name.startswith("BENCH_")}
    marks["PYTHONPATH"] = str(_ROOT)
    ray.init(
        address, log_to_driver=False, logging_level=logging.ERROR, runtime_env={"env_vars": marks}
    )
    actor: Any = ray.remote(num_cpus=0.5)(Station)
    actors = [actor.remote(name) for name in flow.names[1:]]
    under_way = []
    for parcel in source(flow, batch):
        reference: Any = parcel
        for each in actors:
            reference = each.work.remote(reference, batch)
        under_way.append(reference)
    ray.get(under_way)
    ray.shutdown()


@contextmanager
def peers(_folder: Path) -> Iterator[list[Driven]]:
    """Start a head node and give the peers that use it."""
    # Its sockets stand deep inside, and a socket's path is at most 107 characters.
    with TemporaryDirectory(prefix="ray-") as short:
        (port,) = free_ports(1)
        command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
            *("--node-ip-address", "127.0.0.1", "--port", str(port), "--num-cpus", "4"),
            *("--include-dashboard", "false", "--disable-usage-stats", "--temp-dir", short),
        ]
        env = {"PYTHONPATH": str(_ROOT)}
        with server(command, Path(short), lambda: listens(port), env):
            address = f"127.0.0.1:{port}"
            yield [
                Driven("ray", address, drive, items=600),
                Driven("ray-lists", address, drive, items=500_000, batch=1_000),
            ]
