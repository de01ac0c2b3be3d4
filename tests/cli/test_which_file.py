"""Which pipeline file a command means: named before or after its verb, by its folder, or above."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_runner.cli import options

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def deep(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the project, two below its file; it is where the command runs."""
    folder = project / "app" / "images"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def test_the_file_may_be_named_before_the_verb(
    runner: Callable[..., Any], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "pipeline.toml").rename(project / "x.toml")
    for words in (["check"], ["queue", "ls"], ["plan"]):
        before = runner("-f", "x.toml", *words)
        after = runner(*words, "-f", "x.toml")
        assert (before.code, before.out, before.err) == (after.code, after.out, after.err)
    assert runner("-f", "x.toml", "check").code == 0
    assert "two files are named" in runner("-f", "x.toml", "check", "y.toml").err
    ended = runner("-f", "x.toml", "init")
    assert (ended.code, ended.err.splitlines()[0]) == (2, "error: init takes no pipeline file")


def test_a_folder_means_its_pipeline_file(
    runner: Callable[..., Any], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.parent)
    for words in (["check", project.name], ["check", "-f", project.name]):
        ended = runner(*words)
        assert ended.code == 0, ended.err
        assert f"Run it: runner up {project.name}/pipeline.toml" in ended.err
    (project / "pipeline.toml").rename(project / "other.toml")
    ended = runner("check", project.name)
    assert (ended.code, ended.err) == (
        2,
        f"error: there is no {project.name}/pipeline.toml\nhint: this folder has other.toml\n",
    )


def test_the_file_is_looked_for_in_the_folders_above(
    runner: Callable[..., Any], deep: Path
) -> None:
    ended = runner("check")
    assert ended.code == 0, ended.err
    assert ended.err.startswith("../../pipeline.toml is fine")
    assert "Run it: runner up\n" in ended.err, "no -f is needed to mean it again"
    assert runner("plan").code == 0
    assert "no head runs" in runner("queue", "ls").err
    assert runner("debug", "--limit", "1").code == 0


def test_the_nearest_file_counts(runner: Callable[..., Any], deep: Path) -> None:
    (deep.parent / "pipeline.toml").write_text("[pipeline]\n")
    assert " --> ../pipeline.toml:" in runner("check").out


def test_folders_below_that_have_one_are_named(
    runner: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    above = tmp_path / "above"
    for name in ("my songs", "words"):
        (above / name).mkdir(parents=True)
        (above / name / "pipeline.toml").write_text("[pipeline]\n")
    monkeypatch.chdir(above)
    ended = runner("ps")
    assert (ended.code, ended.err.splitlines()) == (
        2,
        [
            "error: there is no pipeline.toml",
            "hint: folders below that have one: my songs, words; name it: -f 'my songs'",
        ],
    )


def test_a_file_of_another_user_is_not_found_from_below(
    runner: Callable[..., Any], deep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options.os, "getuid", lambda: os.geteuid() + 1)
    ended = runner("check")
    assert (ended.code, ended.err.splitlines()[0]) == (2, "error: there is no pipeline.toml")


def test_the_package_is_the_command_and_a_projects_modules_shadow_nothing(project: Path) -> None:
    (project / "queue.py").write_text("raise SystemExit('shadowed')\n")
    (project / "click.py").write_text("raise SystemExit('shadowed')\n")
    done = subprocess.run(
        [sys.executable, "-m", "pipeline_runner", "check", "--no-import"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "pipeline.toml is fine" in done.stderr
