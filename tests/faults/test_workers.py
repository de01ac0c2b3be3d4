"""kill -9 of workers, agents and heads while work is under way."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import chain, stage, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.kit import Project

BLOCKING = """\
import multiprocessing
import os
import signal
import subprocess
import sys
import time

from kept import note, pass_gate
from pipeline_runner import context


def numbers():
    yield from range(200)


def waits(number):
    note("began", number, os.getpid(), context().attempt, time.monotonic())
    if number == 50:
        pass_gate("gate")
    return number


def forks(number):
    note("began", number, os.getpid(), context().attempt, time.monotonic())
    if number == 50 and not os.path.exists(os.environ["RUNNER_OUTPUT"] + "/gate"):
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(3600,))
        child.start()
        note("child", child.pid)
        pass_gate("gate")
    return number


def forks_raw(number):
    # A child that no hook of Python's sees: it keeps every descriptor, the head's socket too.
    note("began", number, os.getpid(), context().attempt, time.monotonic())
    if number == 50 and not os.path.exists(os.environ["RUNNER_OUTPUT"] + "/gate"):
        import ctypes
        libc = ctypes.CDLL(None)
        pid = libc.fork()
        if pid == 0:
            libc.sleep(3600)
            libc._exit(0)
        note("child", pid)
        pass_gate("gate")
    return number


def spawns_detached(number):
    note("began", number, os.getpid(), context().attempt, time.monotonic())
    if number == 50 and not os.path.exists(os.environ["RUNNER_OUTPUT"] + "/gate"):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
        note("child", child.pid)
        pass_gate("gate")
    return number
"""


def write(project: Project, name: str, settings: str = "") -> None:
    document = stage("numbers", "functions:numbers") + stage("keep", "kept:keep")
    document += stage(name, f"functions:{name}", settings) + chain("numbers", name, "keep")
    project.write(BLOCKING, document)


def stuck(project: Project) -> int | None:
    """Return the pid of the worker that waits at item 50."""
    found = [note[2] for note in project.notes() if note[:2] == ("began", 50)]
    return found[-1] if found else None


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("name", ["waits", "forks", "forks_raw", "spawns_detached"])
def test_a_killed_worker_loses_nothing_and_leaves_no_child(project: Project, name: str) -> None:
    write(project, name)
    run = project.start()
    pid = until(lambda: stuck(project))
    if name != "waits":
        until(lambda: [note for note in project.notes() if note[0] == "child"])
    project.open_gate()
    os.kill(pid, signal.SIGKILL)
    ended = run.wait(within_s=15)  # its items come back at once, with or without an end of file
    children = [note[1] for note in project.notes() if note[0] == "child"]
    assert all(gone(child) for child in children)
    assert sorted(project.kept()) == list(range(200))
    assert ended.code == 0, ended.err
    assert ended.edge(f"numbers->{name}")["settled"] == 200
    assert ended.edge(f"{name}->keep")["settled"] == 200


def test_a_killed_workers_prefetched_items_are_not_charged(project: Project) -> None:
    write(project, "waits", "retry = { attempts = 2 }")
    run = project.start()
    pid = until(lambda: stuck(project))
    os.kill(pid, signal.SIGKILL)
    again = until(lambda: (now := stuck(project)) != pid and now)
    os.kill(again, signal.SIGKILL)
    project.open_gate()
    ended = run.wait()
    attempts = {note[1]: note[3] for note in project.notes() if note[0] == "began"}
    assert all(attempt == 1 for number, attempt in attempts.items() if number != 50)
    assert sorted([*project.kept(), *(letter.payload() for letter in project.letters())]) == list(
        range(200)
    )
    assert ended.stage("waits")["failed"] <= 2


@pytest.mark.parametrize("name", ["waits", "forks", "spawns_detached"])
def test_a_killed_agent_takes_its_children_along_within_a_second_and_loses_nothing(
    project: Project, name: str, record_property: Callable[[str, object], None]
) -> None:
    write(project, name)
    run = project.start("--ui", "plain")
    until(lambda: stuck(project))
    if name != "waits":
        until(lambda: [note for note in project.notes() if note[0] == "child"])
    old = set(run.workers())
    old |= {note[1] for note in project.notes() if note[0] == "child"}
    agent = run.agent()
    killed = time.monotonic()
    os.kill(agent, signal.SIGKILL)
    until(lambda: all(gone(pid) for pid in old), f"{old} are gone")
    gone_after_s = time.monotonic() - killed
    record_property("gone after s", gone_after_s)
    assert gone_after_s < 1
    project.open_gate()
    ended = run.wait()
    assert ended.code == 0, ended.err
    assert "cannot be placed" not in ended.err, "it is a moment's affair"
    again = next(n for n in project.notes() if n[:2] == ("began", 50) and n[2] not in old)
    record_property("taken again after s", again[4] - killed)
    assert sorted(project.kept()) == list(range(200))
    record_property("N", len(project.kept()))
    assert ended.edge(f"{name}->keep")["settled"] == 200


@pytest.mark.parametrize("name", ["waits", "forks", "forks_raw"])
def test_a_killed_head_leaves_no_process_behind(project: Project, name: str) -> None:
    write(project, name)
    run = project.start()
    until(lambda: stuck(project))
    if name != "waits":
        until(lambda: [note for note in project.notes() if note[0] == "child"])
    os.kill(run.pid, signal.SIGKILL)
    run.popen.wait()
    until(lambda: not run.processes(), "every process gone", within_s=5)
    assert run.processes() == []


def test_after_a_killed_head_the_next_run_takes_the_folder_over(project: Project) -> None:
    write(project, "waits")
    run = project.start()
    until(lambda: stuck(project))
    os.kill(run.pid, signal.SIGKILL)
    run.popen.wait()
    until(lambda: not run.processes(), "every process gone", within_s=5)
    (project.root / "kept").unlink()
    project.open_gate()
    ended = project.up()
    assert ended.code == 0, ended.err
    assert sorted(project.kept()) == list(range(200))
