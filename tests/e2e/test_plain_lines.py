"""What `runner up` says in lines, while the run goes on."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from tests.e2e.kit import chain, stage

if TYPE_CHECKING:
    from tests.e2e.kit import Project, Run


def test_a_stage_that_fits_nowhere_is_told_once(project: Project) -> None:
    project.write(
        "def numbers():\n    yield from range(3)\n\n\ndef keep(number):\n    pass\n",
        stage("numbers", "functions:numbers")
        + stage("keep", "functions:keep", "constraints = ['host == \"elsewhere\"']")
        + chain("numbers", "keep"),
    )
    run = project.start("--no-import", "--ui", "plain")
    assert run.popen.stderr is not None
    until_end = itertools.takewhile(lambda line: "numbers finished" not in line, run.popen.stderr)
    told = [line.partition(" warning: ")[2] for line in until_end if "keep:" in line]
    assert told == ["keep: no host may run it, and none can join a local run  runner why keep\n"]
    run.end()


FUNCTIONS = """\
def numbers():
    yield from range(1000)


def refuse(number):
    raise ValueError("no")
"""


def line_with(run: Run, words: str) -> str:
    """Return the next line on stderr that has ``words``."""
    assert run.popen.stderr is not None
    return next(line for line in run.popen.stderr if words in line)


def test_the_first_failure_is_told_long_before_the_first_dead_letter(project: Project) -> None:
    project.write(
        FUNCTIONS,
        stage("numbers", "functions:numbers")
        + stage("refuse", "functions:refuse", 'retry = { attempts = 3, backoff = "10m" }')
        + chain("numbers", "refuse"),
    )
    run = project.start("--no-import", "--ui", "plain")
    assert "warning: refuse ValueError: no  (attempt 1 of 3, again in " in line_with(
        run, "refuse V"
    )
    assert run.stage("refuse")["dead"] == 0
