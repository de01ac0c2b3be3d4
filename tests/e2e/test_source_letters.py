"""A source that failed goes on where it was once its dead letter is retried."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import chain, stage, until

if TYPE_CHECKING:
    from tests.e2e.kit import Project

FUNCTIONS = """\
import os

from kept import keep, pass_gate
from pipeline_runner import At, context

OUTPUT = os.environ["RUNNER_OUTPUT"]


def numbers():
    for number in range(10):
        if number == 6 and not os.path.exists(OUTPUT + "/mended"):
            raise OSError("the disk is gone")
        yield number


def marked(cursor):
    for number in range(cursor or 0, 10):
        if number == 6 and not os.path.exists(OUTPUT + "/mended"):
            raise OSError("the disk is gone")
        yield At(number, number + 1)


def shares():
    mine, of = context().index, context().count
    for number in range(10):
        if number % of == mine:
            if number == 7 and not os.path.exists(OUTPUT + "/mended"):
                raise OSError("the disk is gone")
            yield number


def late():
    pass_gate("gate")
    yield from ()
"""
ONE_TRY = "retry = { attempts = 1 }"


def write(project: Project, source: str, more: str = ONE_TRY, *, rest: str = "") -> None:
    document = stage("numbers", f"functions:{source}", more) + stage("keep", "functions:keep")
    project.write(FUNCTIONS, document + chain("numbers", "keep") + rest)
    file = project.root / "pipeline.toml"
    file.write_text(file.read_text().replace('"memory"', '"fsync"'))


@pytest.mark.parametrize(
    ("source", "more"),
    [("numbers", ONE_TRY), ("marked", ONE_TRY), ("shares", ONE_TRY + "\nprocesses = 2")],
)
def test_what_it_gave_already_is_not_given_again(project: Project, source: str, more: str) -> None:
    write(project, source, more)
    assert project.up().code == 1
    (letter,) = project.letters()
    before = project.kept()
    assert 6 <= len(before) < 10
    (project.root / "mended").touch()
    told = project.runner("errors", "retry", "--all")
    assert told.returncode == 0, told.stderr
    assert "numbers goes on where it failed, with the next `runner up" in told.stdout + told.stderr
    assert project.letters() == []
    ended = project.up()
    assert ended.code == 0, ended.err
    kept = project.kept()
    assert sorted(kept) == list(range(10)), "each once, as one item"
    assert kept[: len(before)] == before
    assert letter.is_of_source


def test_one_that_fails_again_is_a_dead_letter_again(project: Project) -> None:
    write(project, "numbers")
    assert project.up().code == 1
    assert project.runner("errors", "retry", "1").returncode == 0
    assert project.up().code == 1
    (letter,) = project.letters()
    assert letter.is_of_source
    assert sorted(project.kept()) == list(range(6))


def test_one_of_a_run_that_another_followed_says_how_to_forget_it(project: Project) -> None:
    write(project, "numbers")
    assert project.up().code == 1
    (project.root / "mended").touch()
    assert project.up().code == 0, "begins anew"
    refused = project.runner("errors", "retry", "1")
    assert refused.returncode == 1
    assert "a later run began numbers anew" in refused.stderr
    assert project.runner("errors", "drop", "--yes", "1").returncode == 0
    assert project.letters() == []


def test_while_its_run_goes_on_it_says_when_to_retry(project: Project) -> None:
    late = stage("late", "functions:late") + stage("last", "functions:keep")
    write(project, "numbers", rest=late + chain("late", "last"))
    run = project.start("--no-import")
    until(lambda: bool(project.letters()), "the source fails")
    told = project.runner("errors", "retry", "--json", "--all")
    assert told.returncode == 1
    (reason,) = json.loads(told.stdout)["refused"].values()
    assert "retry it when that is over" in reason
    project.open_gate()
    assert run.wait().code == 1
    (project.root / "mended").touch()
    assert project.runner("errors", "retry", "--all").returncode == 0
    assert project.up().code == 0
    assert sorted(project.kept()) == list(range(10))
