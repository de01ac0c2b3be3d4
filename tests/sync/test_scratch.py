"""What `check` imports from has what workers will find, and nothing else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pipeline_runner.config.parse import load
from pipeline_runner.sync import scratch
from pipeline_runner.sync.scratch import scratch_copy
from tests.sync import kit

if TYPE_CHECKING:
    from pathlib import Path

FILE = '[pipeline]\nname = "p"\n[stages.a]\nrun = "app:f"\n'
FILES = {
    "pipeline.toml": FILE,
    ".gitignore": "hidden/\n*.log\n",
    "app/__init__.py": "def f(): ...\n",
    "app/data/words.txt": "words",
    "hidden/secret.py": "",
    "big/one/a.bin": "a",
    "big/one/two/b.bin": "b",
    "big/three/c.bin": "c",
    "big/three/c.log": "",
    ".env": "KEY=1",
}
TRAVELS = sorted(FILES.keys() - {"hidden/secret.py", "big/three/c.log", ".env"})


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    kit.write(root, FILES)
    (root / "link").symlink_to("app/data")
    (root / "outside").symlink_to("/etc")
    (root / "empty").mkdir()
    return root


def copied(project: Path) -> Path:
    to = project.with_name("copy")
    scratch_copy(load(project / "pipeline.toml", {}), to)
    return to


def files(root: Path) -> list[str]:
    """Return the files below ``root``, links to folders followed."""
    found = [
        os.path.relpath(f"{folder}/{name}", root)
        for folder, _, names in os.walk(root, followlinks=True)
        for name in names
    ]
    return sorted(path for path in found if not path.startswith("link/"))


def test_a_copy_has_what_travels(project: Path) -> None:
    copy = copied(project)
    assert files(copy) == TRAVELS
    assert (copy / "app/data/words.txt").read_text() == "words"
    assert (copy / "link").readlink().as_posix() == "app/data"
    assert (copy / "link/words.txt").resolve() == project / "app/data/words.txt"
    assert (copy / "empty").is_dir()
    assert not (copy / "outside").is_symlink()


def test_code_in_a_copy_finds_itself_there(project: Path) -> None:
    code = copied(project) / "app/__init__.py"
    assert code.resolve() == code


def test_folders_of_a_large_project_that_hold_no_code_are_one_link(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "MANY_FILES", 3)
    copy = copied(project)
    assert files(copy) == TRAVELS
    assert (copy / "big/one").is_symlink()
    assert not (copy / "big/three").is_symlink(), "something in it does not travel"
    assert not (copy / "app").is_symlink()


def test_nobody_may_write_into_a_copy(project: Path) -> None:
    copy = copied(project)
    modes = {path.stat().st_mode & 0o222 for path in (copy, copy / "app", copy / "app/__init__.py")}
    assert modes == {0}
