"""Fixtures that give a project, and prove that its runs left nothing behind."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.kit import Project, until

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def fresh_project() -> Iterator[Project]:
    """Give a project in a folder of its own; afterwards no process of its runs may be left."""
    with tempfile.TemporaryDirectory(prefix="r-") as folder:
        project = Project(Path(folder))
        try:
            yield project
            for run in project.runs:
                if run.popen.returncode is not None:
                    until(lambda run=run: not run.processes(), "every process gone", within_s=5)
        finally:
            for run in project.runs:
                run.end()
