"""A run goes on where its head left it: after a stop, a kill, and with whoever outlived it."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline_runner.head.address import find
from tests.e2e.kit import Project, chain, stage, until
from tests.faults.durable import kept_exactly, start, write

if TYPE_CHECKING:
    from tests.e2e.kit import Run

# The same command with less patience.
HASTY = """\
import sys

from pipeline_runner.cluster import membership

membership.SILENT_S = 1.0  # before anybody takes it over
from pipeline_runner.head.live import worker_specs as desired

desired.HOLD_S = 1.0
from pipeline_runner.cli import main

sys.exit(main())
"""


def kill(run: Run) -> None:
    run.signal(signal.SIGKILL)
    run.popen.communicate()


def durable(project: Project, functions: str, document: str) -> None:
    """Write a pipeline whose queues are in a journal."""
    project.write(functions, document)
    file = project.root / "pipeline.toml"
    file.write_text(file.read_text().replace('durability = "memory"', 'durability = "fsync"'))


def hastily(project: Project) -> Run:
    """Start a head with less patience, and wait until it answers."""
    (project.root / "hasty.py").write_text(HASTY)
    run = project.start("--no-import", program=(sys.executable, "hasty.py"))
    until(lambda: run.look(), "a head that answers")
    return run


def test_a_stop_keeps_the_backlog_and_the_next_run_goes_on_with_it(project: Project) -> None:
    items = 20_000
    write(project, "counted", items, pause_s=0.02)
    first = start(project)
    until(lambda: len(project.notes()) > 100, "items come out")
    first.signal(signal.SIGINT)
    ended = first.wait()
    assert ended.code == 0, ended.err
    assert ended.snapshot is not None
    assert ended.snapshot["state"] == "stopped"
    assert len(project.notes()) < items
    project.open_gate("fast")
    assert start(project).wait().code == 0
    kept_exactly(project, items)
    assert len(project.notes()) == items  # what was leased had been finished: none ran twice


def test_a_finished_run_leaves_nothing_to_go_on_with(project: Project) -> None:
    write(project, "counted", 50)
    for _ in range(2):
        assert project.up("--no-import").code == 0
        assert not list(project.state.glob("journal*"))
    assert len(project.notes()) == 100


def test_fresh_forgets_what_was_queued(project: Project) -> None:
    write(project, "counted", 20_000, pause_s=0.02)
    first = start(project)
    until(lambda: len(project.notes()) > 100, "items come out")
    kill(first)
    (project.root / "kept").unlink()
    project.open_gate("fast")
    ended = project.up("--no-import", "--fresh", "--yes")
    assert ended.code == 0, ended.err
    kept_exactly(project, 20_000)
    until(lambda: not first.processes(), "the first run's agent is gone")


KINDS = {
    "async": "async def square(number):\n    await asyncio.sleep(0)\n    return number * number",
    "generator": "def square(number):\n    yield number * number",
    "batch": "def square(numbers):\n    return [number * number for number in numbers]",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_workers_of_every_kind_go_on_with_the_next_head(project: Project, kind: str) -> None:
    items = 8_000
    durable(
        project,
        f"""\
import asyncio
import os
import time

from kept import keep


def counted():
    for number in range({items}):
        if number % 16 == 0 and not os.path.exists(os.environ["RUNNER_OUTPUT"] + "/fast"):
            time.sleep(0.02)
        yield number


{KINDS[kind]}
""",
        stage("counted", "functions:counted")
        + stage("square", "functions:square", "batch = { count = 8 }" * (kind == "batch"))
        + stage("keep", "functions:keep")
        + chain("counted", "square", "keep"),
    )
    workers: set[int] = set()
    for _ in range(3):
        run = start(project)
        before = len(project.notes())
        until(lambda: len(project.notes()) > before + 100, "items come out")  # noqa: B023
        assert not workers or set(run.workers()) == workers
        workers = set(run.workers())
        kill(run)
    project.open_gate("fast")
    assert start(project).wait().code == 0
    kept_exactly(project, items)


def test_an_item_that_runs_while_the_head_is_gone_runs_once(project: Project) -> None:
    durable(
        project,
        """\
from kept import keep, note, pass_gate


def one():
    yield 1


def long(number):
    note("began", number)
    pass_gate("gate")
    return number
""",
        stage("one", "functions:one")
        + stage("long", "functions:long")
        + stage("keep", "functions:keep")
        + chain("one", "long", "keep"),
    )
    first = start(project)
    until(lambda: project.notes(), "the item runs")
    kill(first)
    second = start(project)
    until(lambda: second.stage("long").get("leased") == 1, "the item is adopted")
    project.open_gate()
    assert second.wait().code == 0
    assert [note[0] for note in project.notes()] == ["began", "keep"]


def test_a_letter_of_before_the_kill_still_counts_at_the_end(project: Project) -> None:
    durable(
        project,
        """\
from kept import keep, pass_gate


def two():
    yield 1
    pass_gate("gate")
    yield 2


def pick(number):
    if number == 1:
        raise ValueError(number)
    return number
""",
        stage("two", "functions:two")
        + stage("pick", "functions:pick", "retry = { attempts = 1 }")
        + stage("keep", "functions:keep")
        + chain("two", "pick", "keep"),
    )
    first = start(project)
    until(project.letters, "a dead letter")
    until(lambda: first.stage("pick").get("dead") == 1, "it is durable")
    kill(first)
    second = start(project)
    assert second.stage("pick")["dead"] == 1
    project.open_gate()
    ended = second.wait()
    assert ended.code == 1
    assert len(project.letters()) == 1
    assert project.kept() == [2]


def test_without_another_head_nobody_waits_for_ever(project: Project) -> None:
    write(project, "counted", 20_000, pause_s=0.02)
    run = hastily(project)
    until(lambda: len(project.notes()) > 100, "items come out")
    kill(run)
    until(lambda: not run.processes(), "agent and workers are gone", within_s=10)
    assert run.processes() == []


def test_an_agent_that_does_not_come_back_is_replaced(project: Project) -> None:
    items = 20_000
    write(project, "counted", items, pause_s=0.02)
    first = hastily(project)
    until(lambda: len(project.notes()) > 100, "items come out")
    stopped = first.agent()
    os.kill(stopped, signal.SIGSTOP)
    kill(first)
    project.open_gate("fast")
    second = hastily(project)
    until(lambda: not first.processes(), "the stopped agent and its workers are gone")
    assert second.wait().code == 0
    kept_exactly(project, items)


@pytest.fixture
def deep(project: Project) -> Project:
    """A project whose path leaves no room for the name of a socket."""
    root = project.root / ("d" * 100)
    root.mkdir()
    return Project(root, runs=project.runs)


def socket_of(project: Project) -> Path:
    return Path(find(project.state)["socket"])


def test_a_head_whose_socket_is_elsewhere_is_found_by_what_outlived_the_last_one(
    deep: Project,
) -> None:
    items = 20_000
    write(deep, "counted", items, pause_s=0.02)
    first = start(deep)
    socket = socket_of(deep)
    assert deep.root not in socket.parents
    until(lambda: len(deep.notes()) > 100, "items come out")
    workers = set(first.workers())
    kill(first)
    second = start(deep)
    assert socket_of(deep) == socket
    until(lambda: set(second.workers()) == workers, "the same workers go on")
    deep.open_gate("fast")
    assert second.wait().code == 0
    kept_exactly(deep, items)
    assert len(deep.notes()) == items, "none ran twice"
    assert not socket.parent.exists()


def test_where_the_folder_of_that_socket_was_cleaned_up_nothing_is_lost(deep: Project) -> None:
    items = 20_000
    write(deep, "counted", items, pause_s=0.02)
    first = hastily(deep)
    socket = socket_of(deep)
    until(lambda: len(deep.notes()) > 100, "items come out")
    kill(first)
    shutil.rmtree(socket.parent)
    second = hastily(deep)
    assert socket_of(deep) != socket
    deep.open_gate("fast")
    assert second.wait().code == 0
    kept_exactly(deep, items)
