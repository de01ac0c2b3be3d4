"""A dead letter's item, run again at the terminal, with a debugger where it fails."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import RUNNER, chain, stage

if TYPE_CHECKING:
    from tests.e2e.kit import Project

FUNCTIONS = """\
import json
import os
from dataclasses import dataclass


@dataclass
class Page:
    text: str


def pages():
    yield Page("1")
    yield Page("{")


def read(page):
    parsed = json.loads(os.environ.get("CURE", "") or page.text)
    return parsed


def keep(value):
    pass
"""


@pytest.fixture
def failed(project: Project) -> Project:
    project.write(
        FUNCTIONS,
        stage("pages", "functions:pages")
        + stage("read", "functions:read", "retry = { attempts = 1 }")
        + stage("keep", "functions:keep")
        + chain("pages", "read", "keep"),
    )
    assert project.up("--no-import").code == 1
    return project


def debugged(project: Project, typed: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [RUNNER, "errors", "show", "1", "--pdb"],
        cwd=project.root,
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_debugger_stands_in_the_users_frame_and_not_in_the_library(failed: Project) -> None:
    ended = debugged(failed, "p page\np 'in ' + __name__\nq\n")
    assert ended.returncode == 1
    assert "Page(text='{')" in ended.stdout
    assert "'in functions'" in ended.stdout
    assert "JSONDecodeError" in ended.stderr
    assert "pipeline_runner" not in ended.stderr, "the traceback begins where the user's code does"
    assert not (failed.root / "__pycache__").exists()


def test_the_debugger_leaves_when_there_is_nothing_more_to_read(failed: Project) -> None:
    ended = debugged(failed, "")
    assert ended.returncode == 1
    assert ended.stderr.rstrip().splitlines()[-1].startswith("json.decoder.JSONDecodeError")


def test_an_item_that_goes_through_by_now_is_said_to_be_worth_a_retry(failed: Project) -> None:
    file = failed.root / "pipeline.toml"
    file.write_text(file.read_text().replace("attempts = 1 }", 'attempts = 1 }\nenv.CURE = "7"'))
    ended = debugged(failed, "")
    assert ended.returncode == 0
    assert ended.stdout == "7\n"
    assert ended.stderr == "read takes it here.  Retry it: runner errors retry 1\n"


def test_a_stage_that_is_gone_is_told_with_those_there_are(failed: Project) -> None:
    file = failed.root / "pipeline.toml"
    file.write_text(file.read_text().replace('"read"', '"parse"').replace(".read]", ".parse]"))
    ended = debugged(failed, "")
    assert ended.returncode == 1
    assert ended.stderr == (
        "error: the file has no stage read\nhint: its stages: pages, parse, keep\n"
    )


def test_show_prints_a_value_of_the_projects_own_class(failed: Project) -> None:
    assert "Page(text='{')" in failed.runner("errors", "show", "1").stdout
