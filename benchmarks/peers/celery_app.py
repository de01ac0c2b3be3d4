"""The Celery application: three tasks, each served by a worker of its own."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery  # type: ignore[import-untyped, unused-ignore]

from benchmarks.peers.station import Station

app = Celery("bench", broker=os.environ.get("BENCH_BROKER", "memory://"))
app.conf.update(
    accept_content=["pickle"],
    task_ignore_result=True,
    task_serializer="pickle",
    worker_hijack_root_logger=False,
)

_stations: dict[str, Station] = {}


@app.task(name="work")  # type: ignore[untyped-decorator, unused-ignore]
def work(parcel: Any, names: list[str], batch: int, marks: dict[str, str]) -> None:
    """Be a stage: work on the parcel and send what came of it to the next stage's queue."""
    folder = marks["BENCH_MARKS"]
    if (station := _stations.get(folder)) is None:
        os.environ.update(marks)
        _stations.clear()  # what is left of an earlier run
        station = _stations[folder] = Station(names[0])
    result = station.work(parcel, batch)
    if len(names) > 1:
        work.apply_async((result, names[1:], batch, marks), queue=f"stage-{4 - len(names)}")
