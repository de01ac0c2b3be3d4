from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_runner.cli.init import pipeline_name, project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILES = {"pipeline.toml", "functions.py", ".gitignore", "pipeline.schema.json"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_init_makes_a_project_that_passes_its_own_check(
    runner: Callable[..., Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = runner("init", "hello")
    assert ended.code == 0
    assert {path.name for path in (folder / "hello").iterdir()} == FILES
    assert ended.err.endswith("Now: cd hello && runner up\n")
    monkeypatch.chdir(folder / "hello")
    assert runner("check").code == 0


def test_init_without_a_folder_uses_this_one(runner: Callable[..., Any], folder: Path) -> None:
    ended = runner("init")
    assert {path.name for path in folder.iterdir()} == FILES
    assert ended.err.endswith("Now: runner up\n")


def test_init_never_overwrites_and_says_what_is_there(
    runner: Callable[..., Any], folder: Path
) -> None:
    (folder / "functions.py").write_text("mine\n")
    ended = runner("init")
    assert ended.code == 2
    assert "this folder has functions.py already: nothing was written" in ended.err
    assert [path.name for path in folder.iterdir()] == ["functions.py"]
    assert (folder / "functions.py").read_text() == "mine\n"


def test_init_leaves_an_ignore_file_as_it_is(runner: Callable[..., Any], folder: Path) -> None:
    (folder / ".gitignore").write_text("mine\n")
    ended = runner("init")
    assert ended.code == 0
    assert (folder / ".gitignore").read_text() == "mine\n"
    assert "add the line .runner/ to it" in ended.err


def test_the_functions_of_a_new_project_draw_a_picture(tmp_path: Path) -> None:
    (tmp_path / "functions.py").write_text(project("hello")["functions.py"])
    code = (
        "import functions as f; f.HEIGHT = 5; f.WIDTH = 9; p = f.Picture();"
        "[p(f.paint(row)) for row in reversed(list(f.rows()))]; p.close()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert [len(line) for line in lines] == [9] * 5
    assert "@" in lines[2]
    assert "@" not in lines[0]


def test_the_first_line_of_a_new_file_finds_the_schema_beside_it() -> None:
    files = project("hello")
    assert files["pipeline.toml"].startswith("#:schema ./pipeline.schema.json\n")
    assert "pipeline.schema.json" in files


@pytest.mark.parametrize(
    ("folder_name", "name"),
    [
        ("hello", "hello"),
        ("My Photos!", "my-photos"),
        ("été", "t"),
        ("___", "hello"),
        ("", "hello"),
    ],
)
def test_a_folder_becomes_a_name_a_pipeline_may_have(folder_name: str, name: str) -> None:
    assert pipeline_name(folder_name) == name
