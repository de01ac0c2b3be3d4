"""help(pipeline_runner) teaches: every public name is there, and every example in it works."""

from __future__ import annotations

import doctest
import os
import pydoc
import re
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

import pipeline_runner
from pipeline_runner import testing

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL | doctest.NORMALIZE_WHITESPACE
# A file that an example shows: its name, a double colon, and its lines, indented further.
SHOWN = re.compile(r"``([\w.]+)``::\n\n((?:(?: {4,}[^\n]*)?\n)+)")


def documented() -> dict[str, Any]:
    """Return what has a docstring of its own, by name: the package, and what it offers."""
    names = {name: getattr(pipeline_runner, name) for name in pipeline_runner.__all__}
    return {"pipeline_runner": pipeline_runner, **names, "run_inline": testing.run_inline}


EXAMPLES = [name for name, each in documented().items() if ">>> " in (each.__doc__ or "")]


def test_every_name_of_the_door_has_an_example() -> None:
    without = {*documented()} - {*EXAMPLES}
    assert without == {"Context", "InvalidPipeline", "RunnerError"}  # context() shows the first


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_work(name: str, tmp_path: Path) -> None:
    """Run them in an interpreter of their own, in a folder with the files that they show."""
    text = textwrap.dedent(
        "\n" + " " * 4 * (name != "pipeline_runner") + documented()[name].__doc__
    )
    for file, lines in SHOWN.findall(text):
        (tmp_path / file).write_text(textwrap.dedent(lines))
    done = subprocess.run(
        [sys.executable, "-c", "from tests.api.test_help import run; run()", name],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.fullmatch(r"ran [1-9]\d* examples\n", done.stdout), done.stdout


def run() -> None:
    """Run the examples of one docstring in this process."""
    name = sys.argv[1]
    names: dict[str, Any] = {**documented()}
    test = doctest.DocTestParser().get_doctest(
        documented()[name].__doc__, names, name, filename=None, lineno=None
    )
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    runner.run(test)
    if runner.failures:
        sys.exit(1)
    print(f"ran {runner.tries} examples")


def test_help_shows_every_public_name_and_loads_it() -> None:
    page = pydoc.plain(pydoc.render_doc(pipeline_runner))
    missing = [name for name in pipeline_runner.__all__ if name not in page]
    assert missing == []
    assert "class Pipeline" in page
    assert "context() ->" in page
    assert "yielded or returned" in page


def test_completion_knows_the_public_names_before_they_are_loaded() -> None:
    code = "import sys, pipeline_runner as p; print(sorted({*p.__all__} - {*dir(p)}), *sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    missing, *loaded = said.stdout.split()
    assert missing == "[]"
    assert "pipeline_runner.api" not in loaded
