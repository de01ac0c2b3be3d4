"""Pipelines beside each other on one machine know nothing of each other."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import chain, stage, until
from tests.e2e.projects import fresh_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.kit import Project

MAIN = "import sys; from pipeline_runner.cli import main; sys.exit(main())"
PATH = os.pathsep.join(filter(None, sys.path))
FUNCTIONS = """\
import os

from kept import note, pass_gate


def numbers():
    pass_gate("gate")
    yield from range({first}, {first} + 500)


def same(number):
    return number, os.getuid()
"""


def write(project: Project, first: int) -> None:
    document = stage("numbers", "functions:numbers") + stage("keep", "kept:keep")
    document += stage("same", "functions:same", "processes = 2")
    project.write(FUNCTIONS.format(first=first), document + chain("numbers", "same", "keep"))


@pytest.fixture
def other() -> Iterator[Project]:
    with fresh_project() as project:
        yield project


def test_two_pipelines_of_one_name_run_side_by_side(project: Project, other: Project) -> None:
    write(project, 0)
    write(other, 1000)
    one, two = project.start(), other.start()
    until(lambda: len(one.workers()) == len(two.workers()) == 4)
    assert not set(one.workers()) & set(two.workers())
    two.signal(2)
    assert two.wait().code == 0
    project.open_gate()
    ended = one.wait()
    assert ended.code == 0, ended.err
    assert sorted(value[0] for value in project.kept()) == list(range(500))


@pytest.mark.skipif(os.getuid() != 0, reason="only root can run one as somebody else")
def test_roots_pipeline_and_another_users_run_side_by_side(
    project: Project, other: Project
) -> None:
    nobody = pwd.getpwnam("nobody")
    become = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    python = _python_for(become)
    if python is None:
        pytest.skip("nobody can run no Python of this version here")
    write(project, 0)
    write(other, 1000)
    for path in (other.root, *other.root.iterdir()):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    one = project.start()
    two = other.start(
        program=[*become, python, "-c", MAIN],
        environment={
            "HOME": "/nonexistent",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        },
    )
    until(lambda: len(one.workers()) == len(two.workers()) == 4)
    project.open_gate()
    other.open_gate()
    for run, folder, first, user in ((one, project, 0, 0), (two, other, 1000, nobody.pw_uid)):
        ended = run.wait()
        assert ended.code == 0, ended.err
        assert sorted(folder.kept()) == [(number, user) for number in range(first, first + 500)]
    assert {path.stat().st_uid for path in other.state.rglob("*")} == {nobody.pw_uid}
    assert other.state.stat().st_mode & 0o777 == 0o700


def _python_for(become: list[str]) -> str | None:
    """Return an interpreter as ours that another user can run: ours may be root's alone."""
    look = (
        "import os, sys, msgspec, pipeline_runner;"
        "print(sys.version_info[:2], os.access(sys.executable, os.X_OK))"
    )
    for python in (sys.executable, "/usr/bin/python3"):
        done = subprocess.run(
            [*become, python, "-c", look],
            env={**os.environ, "PYTHONPATH": PATH},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.stdout.strip() == f"{sys.version_info[:2]} True":
            return python
    return None


def test_a_folder_with_a_long_path_runs_and_leaves_nothing_in_tmp(project: Project) -> None:
    root = project.root / ("long" * 30)
    root.mkdir()
    (project.root / "tmp").mkdir()
    deep = type(project)(root)
    write(deep, 0)
    deep.open_gate()
    run = deep.start(environment={"TMPDIR": str(project.root / "tmp")})
    ended = run.wait()
    assert ended.code == 0, ended.err
    assert len(deep.kept()) == 500
    assert list((project.root / "tmp").iterdir()) == []
