"""Dask distributed: a task an item and a stage, each stage on a worker of its own."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distributed import Client

from benchmarks.peers.server import free_ports, listens, server
from benchmarks.peers.station import Driven, Station, source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.measure import Flow

_ROOT = Path(__file__).parents[2]
_stations: dict[str, Station] = {}


def prepare(names: tuple[str, ...], marks: dict[str, str]) -> None:
    """Set a worker up for one run."""
    os.environ.update(marks)
    _stations.clear()
    _stations.update((name, Station(name)) for name in names)


def work(name: str, batch: int, parcel: Any) -> Any:
    """Be the task of a stage."""
    return _stations[name].work(parcel, batch)


def drive(address: str, flow: Flow, batch: int) -> None:
    """Submit every parcel to the first stage, and each result to the next."""
    marks = {name: value for name, value in os.environ.items() if name.startswith("BENCH_")}
    with Client(address, set_as_default=False) as client:  # type: ignore[no-untyped-call, unused-ignore]
        names = flow.names[1:]
        places = dict(zip(names, ("stage-0", "stage-1", "stage-2"), strict=True))
        for name, place in places.items():
            client.run(prepare, (name,), marks, workers=[_address(client, place)])
        tasks = {name: partial(work, name, batch) for name in names}
        under_way = []
        for parcel in source(flow, batch):
            future: Any = parcel
            for name, task in tasks.items():
                future = client.submit(task, future, workers=[places[name]], pure=False)
            under_way.append(future)
        client.gather(under_way)


def _address(client: Client, place: str) -> str:
    workers: dict[str, Any] = client.scheduler_info(n_workers=-1)["workers"]
    return next(address for address, facts in workers.items() if facts["name"] == place)


@contextmanager
def peers(folder: Path) -> Iterator[list[Driven]]:
    """Start a scheduler and three workers, and give the peers that use them."""
    (port,) = free_ports(1)
    dask = [sys.executable, "-m", "dask"]
    env = {
        "PYTHONPATH": os.pathsep.join((str(_ROOT), os.environ.get("PYTHONPATH", ""))),
        "DASK_DISTRIBUTED__WORKER__DAEMON": "False",
    }
    address = f"tcp://127.0.0.1:{port}"
    local = ["--host", "127.0.0.1", "--no-dashboard"]
    with ExitStack() as running:
        scheduler = [*dask, "scheduler", "--port", str(port), *local]
        running.enter_context(server(scheduler, folder, lambda: listens(port), env))
        for i in range(3):
            own = folder / f"stage-{i}"
            own.mkdir()
            worker = [
                *(*dask, "worker", address, "--name", own.name, *local),
                *("--no-nanny", "--nthreads", "1", "--memory-limit", "0"),
                *("--local-directory", str(own)),
            ]
            running.enter_context(server(worker, own, lambda: True, env))
        with Client(address, set_as_default=False) as client:  # type: ignore[no-untyped-call, unused-ignore]
            client.wait_for_workers(3, timeout=60)
        yield [
            Driven("dask", address, drive, items=300),
            Driven("dask-lists", address, drive, items=300_000, batch=1_000),
        ]
