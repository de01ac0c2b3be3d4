"""The head is killed, over and over, and nothing is lost or comes out twice."""

from __future__ import annotations

import os
import random
import signal
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import marked, until
from tests.faults.durable import epoch, kept_exactly, start, write

if TYPE_CHECKING:
    from tests.e2e.kit import Project, Run


def progress(project: Project, run: Run, more: int) -> bool:
    """Wait until ``more`` items have come out; whether the run still goes on then."""
    before = len(project.notes())
    until(
        lambda: len(project.notes()) >= before + more or run.popen.poll() is not None,
        "items come out",
    )
    return run.popen.poll() is None


def kill(run: Run) -> None:
    run.signal(signal.SIGKILL)
    run.popen.communicate()


@pytest.mark.slow
def test_25_kills_of_the_head_lose_nothing_and_double_nothing(project: Project) -> None:
    items, kills = 25_000, 25
    write(project, "counted", items, pause_s=0.05)
    for number in range(kills):
        run = start(project)
        assert epoch(project) == number + 1
        assert progress(project, run, 200)
        kill(run)
    project.open_gate("fast")
    run = start(project)
    assert epoch(project) == kills + 1
    ended = run.wait()
    assert ended.code == 0, ended.err
    kept_exactly(project, items)


@pytest.mark.slow
def test_a_source_with_cursors_is_exact_through_kills_of_the_head(project: Project) -> None:
    items = 20_000
    write(project, "marked", items, pause_s=0.03)
    for _ in range(8):
        run = start(project)
        assert progress(project, run, 300)
        kill(run)
    project.open_gate("fast")
    assert start(project).wait().code == 0
    kept_exactly(project, items)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_heads_and_workers_killed_together_lose_nothing(project: Project, seed: int) -> None:
    items, chance = 20_000, random.Random(seed)
    write(project, "counted", items, pause_s=0.03)
    for _ in range(8):
        run = start(project)
        for _ in range(chance.randrange(1, 4)):
            workers = until(run.workers, "workers")
            os.kill(chance.choice(workers), signal.SIGKILL)
            assert progress(project, run, chance.randrange(20, 100))
        if chance.random() < 0.3:
            os.kill(run.agent() or run.pid, signal.SIGKILL)
        kill(run)
    project.open_gate("fast")
    ended = start(project).wait()
    assert ended.code == 0, ended.err
    kept_exactly(project, items)


def test_workers_outlive_a_killed_head_and_keep_what_they_hold(project: Project) -> None:
    items = 20_000
    write(project, "counted", items, pause_s=0.02)
    first = start(project)
    assert progress(project, first, 200)
    agent, workers = first.agent(), set(first.workers())
    kill(first)
    second = start(project)
    assert progress(project, second, 200)
    assert set(second.workers()) == workers  # no agent, and no worker, was started anew
    assert agent in marked(first.mark)
    assert second.agent() == 0
    project.open_gate("fast")
    assert second.wait().code == 0
    kept_exactly(project, items)
    assert len(project.notes()) == items  # and none ran twice
