"""What `runner up` says in lines, while the run goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.kit import chain, stage

if TYPE_CHECKING:
    from tests.e2e.kit import Project, Run

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
