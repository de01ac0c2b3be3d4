"""kill -9 of a source, twenty times in one run: every value once, whatever kind it is."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import chain, stage, until

if TYPE_CHECKING:
    from tests.e2e.kit import Project

KILLS = 20
N = 1600
FUNCTIONS = """\
import os
import time

from kept import note
from pipeline_runner import At, context

N = 1600


def _pace(number):
    if number // 2 % 10 == 0:
        time.sleep(0.01)


def generator():
    note("started", os.getpid())
    for number in range(N):
        _pace(number)
        yield number


def cursor(cursor):
    note("started", os.getpid())
    for number in range(cursor or 0, N):
        _pace(number)
        yield At(number, number + 1)


async def async_generator():
    note("started", os.getpid())
    for number in range(N):
        _pace(number)
        yield number


def partitioned(cursor):
    note("started", os.getpid())
    start = context().index if cursor is None else cursor
    for number in range(start, N, context().count):
        _pace(number)
        yield At(number, number + context().count)
"""


@pytest.mark.parametrize("name", ["generator", "async_generator", "cursor", "partitioned"])
def test_a_source_killed_20_times_emits_every_value_once(project: Project, name: str) -> None:
    retry = 'retry = { attempts = 1000, backoff = "1ms" }\n'
    document = stage(
        "source", f"functions:{name}", retry + "processes = 2" * (name == "partitioned")
    )
    document += stage("plus", "functions:plus") + stage("keep", "kept:keep")
    functions = FUNCTIONS + "\n\ndef plus(number):\n    return number + 1\n"
    project.write(functions, document + chain("source", "plus", "keep"))
    run = project.start()
    struck = 0
    killed: set[int] = set()
    while struck < KILLS:
        # Each is killed at work: it has started, and values went out since the last kill.
        emitted = run.stage("source").get("out", 0)
        victims = until(
            lambda: [p for p in run.workers("source") if p not in killed and _started(project, p)]
        )
        until(lambda emitted=emitted: run.stage("source").get("out", 0) > emitted)
        killed.add(victims[0])
        os.kill(victims[0], signal.SIGKILL)
        struck += 1
    ended = run.wait(within_s=60)
    assert ended.code == 0, ended.err
    assert sorted(project.kept()) == list(range(1, N + 1))
    assert ended.stage("source")["out"] == N
    assert ended.edge("source->plus")["settled"] == ended.edge("plus->keep")["settled"] == N


def _started(project: Project, pid: int) -> bool:
    return ("started", pid) in project.notes()
