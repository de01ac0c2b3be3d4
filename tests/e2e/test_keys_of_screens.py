"""The live screens at a terminal with a shell: keys, ^Z and `fg`, another size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import MARK, Run, chain, marked, stage, until
from tests.e2e.shell import Shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.kit import Project

FUNCTIONS = """\
from kept import keep, pass_gate


def numbers():
    yield from range(10)
    pass_gate("gate")
"""


@pytest.fixture
def waits(project: Project) -> Project:
    """A pipeline that goes on until its gate opens."""
    project.write(
        FUNCTIONS,
        stage("numbers", "functions:numbers")
        + stage("keep", "functions:keep")
        + chain("numbers", "keep"),
    )
    return project


@pytest.fixture
def shell(waits: Project) -> Iterator[Shell]:
    found = Shell(waits.root, {MARK: f"shell-{waits.root.name}"})
    yield found
    waits.open_gate()
    found.end()
    until(lambda: not marked(f"shell-{waits.root.name}"), "nothing is left of it")


@pytest.fixture
def going(waits: Project) -> Run:
    run = waits.start("--no-import")
    until(lambda: run.stage("keep").get("in") == 10, "ten items are through")
    return run


def test_q_quits_top_and_the_run_goes_on(shell: Shell, waits: Project, going: Run) -> None:
    shell.types("runner top; echo ended with $?\n")
    assert "q quits" in shell.sees("numbers")
    assert not shell.echoes
    shell.types("q")
    assert "detached: p runs on" in shell.sees("ended with 0")
    assert shell.echoes
    assert going.look()["state"] == "running"
    waits.open_gate()
    assert going.wait().code == 0


def test_q_in_up_ends_nothing_and_says_what_does(shell: Shell, waits: Project) -> None:
    shell.types("runner up --no-import --local; echo ended with $?\n")
    shell.sees("1/1")
    shell.types("xxq")
    assert "xx" not in shell.sees("Ctrl-C stops this run")
    waits.open_gate()
    shell.sees("ended with 0")
    assert shell.echoes


@pytest.mark.parametrize("verb", ["up --no-import --local", "top"])
def test_a_screen_that_was_stopped_is_drawn_anew(
    shell: Shell, waits: Project, verb: str, request: pytest.FixtureRequest
) -> None:
    if verb == "top":
        request.getfixturevalue("going")
    shell.types(f"runner {verb}; echo ended with $?\n")
    shell.sees("1/1")
    assert not shell.echoes
    shell.types("\x1a")
    shell.sees("Stopped")
    assert shell.shown.rpartition("\x1b[?25")[2].startswith("h"), "the cursor is back"
    shell.types("stty -a\n")
    assert " echo " in shell.sees(" icanon")
    shell.types("fg\n")
    assert "STAGE" in shell.sees("numbers"), "the whole block, not what changed in it"
    assert not shell.echoes
    waits.open_gate()
    shell.sees("p finished after")
    until(lambda: shell.echoes, "the shell has its terminal back")


def test_a_run_in_the_background_leaves_the_terminal_to_the_shell(
    shell: Shell, waits: Project
) -> None:
    shell.types("runner up --no-import --local\n")
    shell.sees("1/1")
    shell.types("\x1a")
    shell.sees("Stopped")
    shell.types("bg\n")
    shell.sees("&")
    shell.types("echo still $((40 + 2)) here\n")
    shell.sees("still 42 here")
    waits.open_gate()
    told = shell.sees("p finished after")
    assert "WORKERS" not in told, "no block was drawn over what is typed"


def test_a_screen_follows_the_size_of_its_terminal(
    shell: Shell, waits: Project, going: Run
) -> None:
    shell.types("runner top\n")
    assert "P50" in shell.sees("numbers")
    shell.types(" ")  # what is drawn from here on counts
    shell.resize(50, 20)

    def table() -> str:
        return shell.sees("STAGE").rpartition("STAGE")[2]

    until(lambda: "DEAD\n" in table() and "P50" not in table(), "columns give way")
    assert all(len(line) <= 50 for line in table().splitlines())
    shell.types("q")
    shell.sees("detached")
    waits.open_gate()
    assert going.wait().code == 0
