from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.examples.conftest import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.examples.conftest import Example

NAMES = sorted(path.parent.name for path in REPOSITORY.glob("examples/*/pipeline.toml"))


def test_the_examples_are_those_the_readme_tells_of() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert NAMES == ["numbers", "three_machines", "thumbnails", "wordcount"]
    assert all(f"examples/{name}" in readme for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_check_finds_neither_an_error_nor_a_warning(
    example: Callable[[str], Example], name: str
) -> None:
    checked = example(name).runner("check")
    assert checked.code == 0, checked
    assert "every function imports" in checked.err
    assert "error" not in checked.out
    assert "warning" not in checked.out


@pytest.mark.parametrize("name", NAMES)
def test_the_first_line_finds_the_schema_and_the_file_keeps_to_it(
    example: Callable[[str], Example], name: str
) -> None:
    file = example(name).folder / "pipeline.toml"
    first, _, _ = file.read_text(encoding="utf-8").partition("\n")
    assert (file.parent / first.removeprefix("#:schema ")).is_file()
    tombi = Path(sysconfig.get_path("scripts"), "tombi")
    linted = subprocess.run(
        [tombi, "lint", "--offline", file], capture_output=True, text=True, timeout=60
    )
    assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.mark.parametrize("name", NAMES)
def test_it_also_runs_in_one_process(example: Callable[[str], Example], name: str) -> None:
    copy = example(name)
    before = copy.files()
    ended = copy.runner("debug", "--limit", "1")
    assert ended.code == 0, ended
    assert ended.err.splitlines()[-1].endswith(": 1 item")
    assert copy.files() == before
