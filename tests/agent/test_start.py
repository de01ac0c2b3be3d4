"""Workers that die before they can take work: said, tried again with patience, forgotten."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import chain, stage, until

if TYPE_CHECKING:
    from tests.e2e.kit import Project

NUMBERS = """\
def numbers():
    yield from range(20)
"""
IMPORTS = """\
import os

if not os.path.exists(os.environ["RUNNER_OUTPUT"] + "/gate"):
    raise ImportError("libmagic is not here")


def work(number):
    return number
"""
BUILDS = """\
import os


class work:
    def __init__(self):
        if not os.path.exists(os.environ["RUNNER_OUTPUT"] + "/gate"):
            raise RuntimeError("libmagic is not here")

    def __call__(self, number):
        return number
"""
EXITS = """\
import os
import sys

if not os.path.exists(os.environ["RUNNER_OUTPUT"] + "/gate"):
    sys.exit("libmagic is not here")


def work(number):
    return number
"""
DIES = """\
import os

if not os.path.exists(os.environ["RUNNER_OUTPUT"] + "/gate"):
    os._exit(7)


def work(number):
    return number
"""


def write(project: Project, module: str) -> None:
    document = stage("numbers", "functions:numbers") + stage("keep", "kept:keep")
    document += stage("work", "late:work") + chain("numbers", "work", "keep")
    project.write(NUMBERS, document, more={"late": module})


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (IMPORTS, "ImportError: libmagic is not here"),
        (BUILDS, "RuntimeError: libmagic is not here"),
        (EXITS, "libmagic is not here"),
        (DIES, "exit code 7"),
    ],
    ids=["imports", "builds", "exits", "dies"],
)
def test_a_worker_that_cannot_start_says_why_and_starts_once_it_can(
    project: Project, module: str, reason: str
) -> None:
    write(project, module)
    run = project.start("--no-import", "--ui", "plain")
    failing = until(lambda: (now := run.stage("work")).get("state") == "failing" and now)
    assert reason in failing["reason"]
    assert failing["failed"] == 0, "no item is charged for it"
    project.open_gate()
    ended = run.wait(within_s=20)
    assert ended.code == 0, ended.err
    assert sorted(project.kept()) == list(range(20))
    assert ended.stage("work")["state"] == "finished"
    assert ended.stage("work")["reason"] == "", "what is mended is forgotten"
    assert reason in ended.err, "and it was said on the screen"


def test_workers_that_cannot_start_do_not_keep_a_run_from_stopping(project: Project) -> None:
    write(project, IMPORTS)
    run = project.start("--no-import")
    until(lambda: run.stage("work").get("state") == "failing")
    assert project.runner("down", "--now", "--yes").returncode == 0
    ended = run.wait(within_s=20)
    assert ended.code == 128 + signal.SIGTERM
    assert not run.processes()


def test_starts_that_fail_are_tried_ever_less_often(project: Project) -> None:
    starts = 'os.environ["RUNNER_OUTPUT"] + "/starts"'
    module = f'import os\n\nwith open({starts}, "a") as file:\n    file.write(".")\nos._exit(7)\n'
    write(project, module)
    run = project.start("--no-import")
    starts = project.root / "starts"
    until(lambda: starts.exists() and len(starts.read_text()) >= 3)
    until(lambda: run.stage("work").get("state") == "failing", "it is said")
    # 0.2 s, 0.4 s, 0.8 s, ... after each: a busy loop would have made dozens of the age it has.
    age_s = run.look()["up_s"]
    assert len(starts.read_text()) <= age_s / 0.2 + 1
    run.end()
