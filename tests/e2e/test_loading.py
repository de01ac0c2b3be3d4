"""What is told of workers that cannot take work yet: their code loads, or no host has a place."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.e2e.kit import RUNNER, chain, stage, until

if TYPE_CHECKING:
    from tests.e2e.kit import Project

SLOW = """\
from kept import keep, pass_gate

pass_gate("load")  # as a large library takes its time


def numbers():
    yield from range(10)
    pass_gate("gate")
"""


def test_a_worker_that_imports_its_code_is_loading(project: Project) -> None:
    project.write(
        SLOW,
        stage("numbers", "functions:numbers")
        + stage("keep", "functions:keep")
        + chain("numbers", "keep"),
    )
    run = project.start("--no-import")
    until(lambda: run.stage("numbers").get("loading") == 1, "its worker is there")
    facts = run.look()
    assert facts["state"] == "starting"
    numbers = run.stage("numbers")
    assert (numbers["state"], numbers["running"], numbers["desired"]) == ("loading", 0, 1)
    assert [w["state"] for host in facts["hosts"] for w in host["workers"]] == ["loading"] * 2
    assert "loading" in project.runner("ps", "-v").stdout
    project.open_gate("load")
    until(lambda: run.stage("numbers").get("running") == 1, "its code is loaded")
    assert run.look()["state"] == "running"
    assert run.stage("numbers")["loading"] == 0
    project.open_gate()
    assert run.wait().code == 0


def test_a_check_whose_imports_take_long_says_what_it_does(project: Project) -> None:
    project.write(SLOW, stage("numbers", "functions:numbers"))
    with subprocess.Popen(
        [RUNNER, "check"], cwd=project.root, stderr=subprocess.PIPE, text=True
    ) as check:
        assert check.stderr is not None
        assert check.stderr.readline() == "importing functions ...\n"
        project.open_gate("load")
        assert "pipeline.toml is fine" in check.stderr.read()
    assert check.returncode == 0


def test_why_says_what_keeps_a_stage_from_working(project: Project) -> None:
    broken = "class Keep:\n    def __init__(self):\n        raise RuntimeError('no licence')\n"
    project.write(
        f"def numbers():\n    yield 1\n\n\n{broken}\n    def __call__(self, item):\n        pass\n",
        stage("numbers", "functions:numbers")
        + stage("keep", "functions:Keep")
        + chain("numbers", "keep"),
    )
    run = project.start("--no-import")
    until(lambda: run.stage("keep").get("state") == "failing", "its worker cannot start")
    said = project.runner("why", "keep").stdout
    assert said.splitlines()[:2] == [
        "keep: 1 of 1 worker has a place",
        "it is failing: RuntimeError: no licence",
    ]
    run.end()


def test_a_worker_without_a_place_counts_as_wanted_and_the_screen_says_so(project: Project) -> None:
    project.write(
        "from kept import keep\n\n\ndef numbers():\n    yield from range(10)\n",
        stage("numbers", "functions:numbers")
        + stage("keep", "functions:keep", "constraints = ['host == \"elsewhere\"']")
        + chain("numbers", "keep"),
    )
    run = project.start("--no-import")
    until(lambda: run.stage("numbers").get("state") == "finished", "everything is queued")
    keep = run.stage("keep")
    assert (keep["state"], keep["running"], keep["desired"]) == ("waiting", 0, 1)
    said = project.runner("ps").stdout
    assert "0/1" in said
    assert "keep is waiting: no host has a place for it" in said
    run.end()
