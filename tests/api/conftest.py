from __future__ import annotations

import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import chain, marked, stage, until

if TYPE_CHECKING:
    from collections.abc import Iterator

FUNCTIONS = """\
from pipeline_runner import context


def generate():
    yield from range(1, 4)


def square(number):
    return number * number


def subtract(number):
    return number - 1


def show(number):
    return number
"""


class Folder:
    """A project in a folder of its own, and its pipeline file."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.file = root / "pipeline.toml"

    def write(self, functions: str, *stages: str, settings: str = "", edges: str = "") -> Path:
        """Write ``functions.py``, and a file in which it is a chain of ``stages``."""
        (self.root / "functions.py").write_text(functions)
        tables = [stage(name, f"functions:{name}") for name in stages]
        header = f'[pipeline]\nname = "p"\ndurability = "memory"\n{settings}\n'
        self.file.write_text(header + "".join(tables) + (edges or chain(*stages)))
        return self.file

    def numbers(self) -> Path:
        """Write a pipeline of four stages that ends with numbers."""
        return self.write(FUNCTIONS, "generate", "square", "subtract", "show")


@contextmanager
def apart() -> Iterator[Folder]:
    """Give a folder whose modules are forgotten afterwards, and sys.path left as it was."""
    path = list(sys.path)
    with tempfile.TemporaryDirectory(prefix="r-") as name:
        root = Path(name).resolve()
        try:
            yield Folder(root)
        finally:
            sys.path[:] = path
            for module, found in list(sys.modules.items()):
                if str(getattr(found, "__file__", None) or "").startswith(f"{root}/"):
                    del sys.modules[module]


@pytest.fixture
def folder() -> Iterator[Folder]:
    with apart() as folder:
        yield folder


@pytest.fixture
def project(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    """A folder for whole runs: no process of theirs may be left."""
    mark = folder.root.name
    monkeypatch.setenv("RUN_UNDER_TEST", mark)
    yield folder
    until(lambda: not marked(mark), "every process gone", within_s=5)
