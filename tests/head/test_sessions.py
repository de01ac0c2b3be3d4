"""What user code starts in sessions of its own: it lives on, unless a run is stopped at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import RUNNER, chain, stage, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.kit import Project

FUNCTIONS = """\
import os
import subprocess

from kept import note, pass_gate


def numbers():
    yield from range(3)


def starts(number):
    if number == 0:
        child = subprocess.Popen(["sleep", "3600"], start_new_session=True)
        note("started", child.pid)
        # A daemon: two forks, a session of its own, and nothing of our environment.
        reads, writes = os.pipe()
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.write(writes, str(os.getpid()).encode())
                null = os.open(os.devnull, os.O_RDWR)
                for fd in range(3):
                    os.dup2(null, fd)
                os.execve("/bin/sleep", ["sleep", "3600"], {})
            os._exit(0)
        os.wait()
        note("started", int(os.read(reads, 32)))
        pass_gate("gate")
    return number


def orphans(number):
    # The sleep outlives the shell that started it: somebody is to reap it.
    said = subprocess.run(["sh", "-c", "sleep 0.01 >&- & echo $!"], capture_output=True, check=True)
    note("orphan", int(said.stdout))
    return number
"""
DOCUMENT = stage("numbers", "functions:numbers") + stage("keep", "kept:keep")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def started(project: Project) -> list[int]:
    return [note[1] for note in project.notes() if note[0] == "started"]


@pytest.fixture(autouse=True)
def _end_what_was_started(project: Project) -> Iterator[None]:
    yield
    for pid in filter(alive, started(project)):
        os.kill(pid, signal.SIGKILL)


def write(project: Project, name: str) -> None:
    document = DOCUMENT + stage(name, f"functions:{name}") + chain("numbers", name, "keep")
    project.write(FUNCTIONS, document)


def test_a_second_stop_ends_what_user_code_put_into_sessions_of_its_own(project: Project) -> None:
    write(project, "starts")
    run = project.start("--local")
    until(lambda: len(started(project)) == 2)
    assert all(map(alive, started(project)))
    run.signal(signal.SIGINT)
    until(lambda: run.look().get("state") == "draining")
    until(lambda: run.popen.poll() is not None or run.signal(signal.SIGINT))
    assert run.wait().code == 130
    until(lambda: not any(map(alive, started(project))))


def test_what_left_its_workers_session_outlives_a_run_that_ends(project: Project) -> None:
    write(project, "starts")
    run = project.start("--local")
    until(lambda: len(started(project)) == 2)
    project.open_gate()
    assert run.wait().code == 0
    assert all(map(alive, started(project)))


def test_an_agent_reaps_what_user_code_orphans(project: Project) -> None:
    write(project, "orphans")
    (project.root / "pipeline.toml").write_text(
        (project.root / "pipeline.toml").read_text().replace("functions:numbers", "more:numbers")
    )
    (project.root / "more.py").write_text(
        "from kept import pass_gate\n\n\ndef numbers():\n"
        "    yield from range(3)\n    pass_gate('gate')\n"
    )
    run = project.start("--local")
    until(lambda: len(project.kept()) == 3)
    orphans = [note[1] for note in project.notes() if note[0] == "orphan"]
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in orphans))
    project.open_gate()
    assert run.wait().code == 0


AS_INIT = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
FIRST = """\
import os
import signal
import sys
import time
from pipeline_runner.cli.init_process import leave_to_child

assert os.getpid() == 1
leave_to_child()
assert os.getppid() == 1
if os.fork() == 0:
    if os.fork() == 0:
        os._exit(0)
    os._exit(0)
os.wait()
while any(name.isdigit() and int(name) > os.getpid() for name in os.listdir("/proc")):
    time.sleep(0.01)  # until the first process has reaped its grandchild's child
signal.signal(signal.SIGTERM, lambda number, frame: os._exit(7))
os.kill(1, signal.SIGTERM)  # handed on by the first process
time.sleep(3600)
"""


@pytest.fixture
def as_init() -> list[str]:
    if subprocess.run([*AS_INIT, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespace of processes can be made here")
    return AS_INIT


def test_the_first_process_of_a_container_reaps_and_hands_on_signals(as_init: list[str]) -> None:
    command = [*as_init, sys.executable, "-c", FIRST]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 7, ended.stderr


def test_a_run_as_the_first_process_ends_as_any_other(project: Project, as_init: list[str]) -> None:
    write(project, "orphans")
    ended = project.start("--local", program=(*as_init, RUNNER)).wait()
    assert ended.code == 0, ended.err
    assert sorted(project.kept()) == [0, 1, 2]
    checked = subprocess.run(
        [*as_init, RUNNER, "check", "-f", "absent.toml"],
        cwd=project.root,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert checked.returncode == 2
