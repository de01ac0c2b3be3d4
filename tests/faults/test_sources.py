"""kill -9 of a source, twenty times in one run: every value once, whatever kind it is."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import chain, stage, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.kit import Ended, Project, Run

KINDS = ("generator", "async_generator", "cursor", "partitioned")
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


@pytest.fixture(params=KINDS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def write(project: Project, name: str) -> None:
    settings = 'retry = { attempts = 1000, backoff = "1ms" }\n'
    document = stage(
        "source", f"functions:{name}", settings + "processes = 2" * (name == "partitioned")
    )
    document += stage("plus", "functions:plus") + stage("keep", "kept:keep")
    functions = FUNCTIONS + "\n\ndef plus(number):\n    return number + 1\n"
    project.write(functions, document + chain("source", "plus", "keep"))


def another(project: Project, run: Run, killed: set[int]) -> int:
    """Return a source that is at work: one that only starts would end with its head."""
    return int(
        until(
            lambda: [p for p in run.workers("source") if p not in killed and _started(project, p)]
        )[0]
    )


def kill_a_source(project: Project, run: Run, killed: set[int]) -> None:
    """Kill a source at work: it has started, and values went out since the last kill."""
    emitted = run.stage("source").get("out", 0)
    victims = until(
        lambda: [p for p in run.workers("source") if p not in killed and _started(project, p)]
    )
    until(lambda: run.stage("source").get("out", 0) > emitted)
    killed.add(victims[0])
    try:
        os.kill(victims[0], signal.SIGKILL)
    except ProcessLookupError:  # it had ended since it was seen: another one, then
        killed.remove(victims[0])
        kill_a_source(project, run, killed)


def assert_every_value_once(project: Project, ended: Ended) -> None:
    assert ended.code == 0, ended.err
    assert sorted(project.kept()) == list(range(1, N + 1))


def assert_counted_once(ended: Ended) -> None:
    assert ended.stage("source")["out"] == N
    assert ended.edge("source->plus")["settled"] == ended.edge("plus->keep")["settled"] == N


def test_a_source_killed_20_times_emits_every_value_once(
    project: Project, name: str, record_property: Callable[[str, object], None]
) -> None:
    write(project, name)
    run = project.start()
    killed: set[int] = set()
    while len(killed) < KILLS:
        kill_a_source(project, run, killed)
    ended = run.wait(within_s=60)
    assert_every_value_once(project, ended)
    assert_counted_once(ended)
    record_property("N of each", len(project.kept()))
    record_property("kills of each", len(killed))


@pytest.mark.slow
def test_a_source_and_its_head_killed_in_turn_emit_every_value_once(
    project: Project, name: str, record_property: Callable[[str, object], None]
) -> None:
    write(project, name)
    file = project.root / "pipeline.toml"
    file.write_text(file.read_text().replace('durability = "memory"', 'durability = "fsync"'))
    killed: set[int] = set()
    headless = heads = 0
    run = project.start("--no-import")
    while len(killed) < KILLS:
        kill_a_source(project, run, killed)
        if len(killed) % 4 == 3:
            orphan = another(project, run, killed)
            run.signal(signal.SIGKILL)
            run.popen.communicate()
            heads += 1
            killed.add(orphan)
            os.kill(orphan, signal.SIGKILL)
            headless += 1
            run = project.start("--no-import")
    assert_every_value_once(project, run.wait(within_s=60))
    record_property("N of each", len(project.kept()))
    record_property("kills of each", len(killed))
    record_property("of its head", heads)
    record_property("while there was no head", headless)


def _started(project: Project, pid: int) -> bool:
    return ("started", pid) in project.notes()
