"""The commands as a person types them, with real processes behind them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import until

if TYPE_CHECKING:
    from pathlib import Path

ENTRY = "import sys; from pipeline_runner.cli import main; sys.exit(main())"
ENDLESS = """
import time

def generate():
    number = 0
    while True:
        time.sleep(0.01)
        yield number
        number += 1


def square(number):
    return number * number


def collect(number):
    pass
"""


def typed(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", ENTRY, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    assert typed(tmp_path, "init", "hello").returncode == 0
    return tmp_path / "hello"


def test_a_new_project_runs_to_its_end_and_shows_its_picture(hello: Path) -> None:
    functions = hello / "functions.py"
    functions.write_text(
        functions.read_text().replace("WIDTH, HEIGHT = 64, 28", "WIDTH, HEIGHT = 18, 8")
    )
    ended = typed(hello, "up", "--json")
    assert ended.returncode == 0, ended.stderr
    picture = [line for line in ended.stderr.splitlines() if line.startswith("picture[0] ")]
    assert len(picture) == 8
    assert "@" in "".join(picture)
    assert "hello finished after" in ended.stderr
    facts = json.loads(ended.stdout)
    assert facts["state"] == "finished"
    assert {stage["name"]: stage["in"] for stage in facts["stages"]}["picture"] == 8


def test_an_item_that_fails_can_be_looked_at_after_the_run(project: Path) -> None:
    file = project / "pipeline.toml"
    file.write_text(file.read_text() + "[defaults]\nretry = { attempts = 1 }\n")
    functions = project / "functions.py"
    functions.write_text(
        functions.read_text().replace("return number * number", "return 1 / (number - 3)")
    )
    ended = typed(project, "up")
    assert ended.returncode == 1, ended.stderr
    assert "1 dead letter is kept" in ended.stderr
    [letter] = json.loads(typed(project, "errors", "list", "--json").stdout)
    shown = typed(project, "errors", "show", str(letter["letter"])).stdout
    assert "ZeroDivisionError" in shown
    assert "return 1 / (number - 3)" in shown
    assert "payload\n  3\n" in shown


def test_a_detached_run_is_seen_explained_and_stopped(project: Path) -> None:
    (project / "functions.py").write_text(ENDLESS)
    started = typed(project, "up", "-d")
    assert started.returncode == 0, started.stderr
    try:
        assert json.loads(typed(project, "ps", "--json").stdout)["name"] == "squares"
        why = until(lambda: typed(project, "why", "square").stdout, "a host has joined")
        assert "square: 2 of 2 workers have a place" in why
        again = typed(project, "up", "-d")
        assert again.returncode == 0
        assert "squares runs already" in again.stderr
    finally:
        stopped = typed(project, "down")
    assert stopped.returncode == 0, stopped.stderr
    assert stopped.stderr.endswith("stopped\n")
    assert typed(project, "ps").returncode == 3
    assert "squares stopped after" in (project / ".runner/squares/logs/up.log").read_text()
