"""Whatever user code does at its start, in its close() or in an exit of its own: the run ends."""

from __future__ import annotations

import signal
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import chain, stage, until
from tests.e2e.projects import fresh_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.kit import Ended, Project

FUNCTIONS = """\
import atexit
import os
import threading

from kept import note
from pipeline_runner import context


def numbers():
    yield from range(4)


def nothing():
    yield from ()


class Base:
    def __call__(self, number):
        return number


class HangsInClose(Base):
    def close(self):
        threading.Event().wait()


class DiesInClose(Base):
    def close(self):
        note("closes", context().finished)
        os._exit(1)


class HangsAtExit(Base):
    def __init__(self):
        atexit.register(threading.Event().wait)


class Raises(Base):
    def __init__(self):
        raise ValueError("no such model")


class LoadsForEver(Base):
    def __init__(self):
        threading.Event().wait()


class GivesOneThenRaises:
    def __init__(self):
        self.given = False

    def __call__(self):
        note("asked")
        if self.given:
            raise LookupError("no more of them")
        self.given = True
        return "the one"


def leaves_as_drained(number):
    os._exit(0)


def leaves_as_finished(number):
    os._exit(64)
"""
GRACE = '[reload]\ngrace = "1s"\n'
RETRY = 'retry = { attempts = 2, backoff = "10ms" }\n'
CLASSES = {
    "hangs": ("HangsInClose", "numbers"),
    "dies": ("DiesInClose", "numbers"),
    "at_exit": ("HangsAtExit", "numbers"),
    "raises": ("Raises", "nothing"),
    "loads": ("LoadsForEver", "nothing"),
}


@pytest.fixture(scope="module")
def ended() -> Iterator[tuple[Project, Ended]]:
    document = "".join(stage(name, f"functions:{name}") for name in ("numbers", "nothing"))
    document += stage("keep", "kept:keep")
    for name, (of_class, source) in CLASSES.items():
        document += stage(name, f"functions:{of_class}") + chain(source, name, "keep")
    document += stage("one", "functions:GivesOneThenRaises", RETRY) + chain("one", "keep")
    with fresh_project() as project:
        project.write(FUNCTIONS, document + GRACE)
        yield project, project.up("--local", "--ui", "plain")


def test_a_finished_run_ends_whatever_close_does(ended: tuple[Project, Ended]) -> None:
    project, end = ended
    assert Counter(project.kept()) == {**dict.fromkeys(range(4), 3), "the one": 1}
    overstayed = [line for line in end.err.splitlines() if "ran longer than the grace" in line]
    assert {line.split("[0]")[0].split()[-1] for line in overstayed} == {"hangs", "at_exit"}
    assert all("its close(), or what it registered for its exit" in line for line in overstayed)


def test_a_close_that_ends_its_process_is_told_and_not_called_again(
    ended: tuple[Project, Ended],
) -> None:
    project, end = ended
    assert [note for note in project.notes() if note[0] == "closes"] == [("closes", True)]
    assert "dies[0] on" in end.err


def test_a_finished_stage_waits_for_no_worker_that_cannot_start(
    ended: tuple[Project, Ended],
) -> None:
    _project, end = ended
    assert "before it took work, next start in 200ms: ValueError: no such model" in end.err
    assert "loads has ended, and its workers are not waited for any longer" in end.err


def test_a_source_that_raises_for_ever_is_a_letter_after_its_attempts(
    ended: tuple[Project, Ended],
) -> None:
    project, end = ended
    letters = [(letter.stage, letter.error, letter.attempts) for letter in project.letters()]
    assert letters == [("one", "LookupError: no more of them", 2)]
    assert len([note for note in project.notes() if note[0] == "asked"]) == 3
    assert end.code == 1


def test_a_stage_that_cannot_start_is_failing_with_its_reason_until_somebody_decides(
    project: Project,
) -> None:
    document = stage("numbers", "functions:numbers") + stage("raises", "functions:Raises")
    project.write(FUNCTIONS, document + chain("numbers", "raises") + GRACE)
    run = project.start("--local")
    until(lambda: run.stage("raises").get("state") == "failing")
    assert run.stage("raises")["reason"] == "ValueError: no such model"
    until(lambda: run.stage("numbers")["state"] == "finished")
    run.signal(signal.SIGINT)
    end = run.wait()
    assert end.edge("numbers->raises")["queued"] == 4


def test_a_stage_that_cannot_start_and_says_stop_ends_the_run_with_its_reason(
    project: Project,
) -> None:
    document = stage("numbers", "functions:numbers")
    document += stage("raises", "functions:Raises", RETRY + 'on_failure = "stop"\n')
    project.write(FUNCTIONS, document + chain("numbers", "raises"))
    end = project.up("--local", "--ui", "plain")
    assert end.code == 1
    assert "raises failed for good and says on_failure = stop: ValueError: no such model" in end.err
    assert "ended 2 times before it took work" in end.err


@pytest.mark.parametrize("name", ["leaves_as_drained", "leaves_as_finished"])
def test_an_exit_code_of_user_code_is_not_taken_for_our_own(project: Project, name: str) -> None:
    document = stage("numbers", "functions:numbers") + stage(name, f"functions:{name}", RETRY)
    project.write(FUNCTIONS, document + chain("numbers", name))
    end = project.up("--local")
    assert end.code == 1, end.err
    code = 0 if name == "leaves_as_drained" else 64
    letters = [(letter.error, letter.attempts) for letter in project.letters()]
    assert letters == [(f"the process died: exit code {code}", 2)] * 4
