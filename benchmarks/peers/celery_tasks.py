"""Celery over Redis: a task an item and a stage, each stage a worker that serves its queue."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers.redis_queue import redis_server
from benchmarks.peers.server import server
from benchmarks.peers.station import Driven, source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.measure import Flow

_ROOT = Path(__file__).parents[2]


def drive(address: str, flow: Flow, batch: int) -> None:
    """Send a task for every parcel."""
    os.environ["BENCH_BROKER"] = address
    from benchmarks.peers.celery_app import app, work  # it reads its broker once

    marks = {
        name: value
        for name, value in os.environ.items()
        if name in ("BENCH_ITEMS", "BENCH_MARKS", "BENCH_SIZE")
    }
    names = list(flow.names[1:])
    for parcel in source(flow, batch):
        work.apply_async((parcel, names, batch, marks), queue="stage-0")
    app.close()


def _says_ready(log: Path) -> bool:
    return b" ready." in log.read_bytes()


@contextmanager
def peers(folder: Path) -> Iterator[list[Driven]]:
    """Start Redis and three workers, and give the peers that use them."""
    with redis_server(folder) as path, ExitStack() as running:
        address = f"redis+socket://{path}"
        env = {
            "BENCH_BROKER": address,
            "C_FORCE_ROOT": "1",  # pickles are what it warns about, and these are our own
            "PYTHONPATH": str(_ROOT),
        }
        for i in range(3):
            own = folder / f"stage-{i}"
            own.mkdir()
            worker = [
                *(sys.executable, "-m", "celery", "-A", "benchmarks.peers.celery_app", "worker"),
                *("-Q", own.name, "-n", own.name, "--pool", "solo", "--loglevel", "INFO"),
                *("--without-gossip", "--without-mingle", "--without-heartbeat"),
            ]
            said = partial(_says_ready, own / f"{Path(sys.executable).name}.log")
            running.enter_context(server(worker, own, said, env))
        yield [
            Driven("celery", address, drive, items=300),
            Driven("celery-lists", address, drive, items=300_000, batch=1_000),
        ]
