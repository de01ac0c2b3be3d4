"""A second command line looks at a run that another one runs."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import RUNNER, chain, stage, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.kit import Project, Run

FUNCTIONS = """\
from kept import keep, pass_gate


def numbers():
    yield from range(4)
    pass_gate("gate")
    yield 4


def say(number):
    print("number", number)
    if number == 3:
        raise ValueError("three")
    return number
"""


@pytest.fixture
def going(project: Project) -> Run:
    """A run that goes on until its gate opens."""
    project.write(
        FUNCTIONS,
        stage("numbers", "functions:numbers")
        + stage("say", "functions:say", "retry = { attempts = 1 }")
        + stage("keep", "functions:keep")
        + chain("numbers", "say", "keep"),
    )
    run = project.start("--no-import")
    until(lambda: run.stage("say").get("dead") == 1, "four items are through")
    return run


class Viewer:
    """A command line beside the run, its words in a file."""

    def __init__(self, project: Project, *arguments: str) -> None:
        self._words = project.root / "words"
        with self._words.open("w") as words:
            self.popen = subprocess.Popen(
                [RUNNER, *arguments],
                cwd=project.root,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=words,
                text=True,
            )

    @property
    def said(self) -> str:
        return self._words.read_text()

    def ended(self) -> tuple[int, str]:
        out, _none = self.popen.communicate(timeout=30)
        return self.popen.returncode, out


@pytest.fixture
def viewers() -> Iterator[list[Viewer]]:
    started: list[Viewer] = []
    yield started
    for viewer in started:
        viewer.popen.kill()
        viewer.popen.communicate()


def view(project: Project, viewers: list[Viewer], *arguments: str) -> Viewer:
    viewer = Viewer(project, *arguments)
    viewers.append(viewer)
    return viewer


def watches(viewer: Viewer) -> None:
    """Wait until a snapshot has come: the first line of a screen of lines."""
    until(lambda: "p  up " in viewer.said, "the viewer shows the run")


@pytest.mark.parametrize("verb", ["up", "top"])
def test_it_shows_the_run_and_exits_as_the_run_does(
    project: Project, going: Run, viewers: list[Viewer], verb: str
) -> None:
    viewer = view(project, viewers, verb, "--json")
    watches(viewer)
    project.open_gate()
    code, out = viewer.ended()
    ended = going.wait()
    assert (code, ended.code) == (1, 1)
    assert json.loads(out)["dead_letters"] == 1
    assert json.loads(out)["state"] == "finished"
    said = viewer.said
    assert said.startswith(
        f"p runs already, by pid {going.pid}: this only watches"
        if verb == "up"
        else f"watches p, run by pid {going.pid}"
    )
    assert said.index("events so far:") < said.index("say[0] number 2")
    assert said.index("say[0] number 2") < said.index("p  up ") < said.index("say[0] number 4")
    assert "p finished after" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_only_detaches_and_says_so(
    project: Project, going: Run, viewers: list[Viewer], number: signal.Signals
) -> None:
    viewer = view(project, viewers, "up")
    watches(viewer)
    viewer.popen.send_signal(number)
    assert viewer.ended()[0] == 0
    assert viewer.said.endswith(
        "detached: p runs on.  look again: runner top  stop it: runner down\n"
    )
    assert going.look()["state"] == "running"
    project.open_gate()
    assert going.wait().code == 1


def test_a_file_that_was_changed_is_said_to_count_later(
    project: Project, going: Run, viewers: list[Viewer]
) -> None:
    file = project.root / "pipeline.toml"
    file.write_text(file.read_text() + "# changed\n")
    viewer = view(project, viewers, "up")
    watches(viewer)
    assert "pipeline.toml is not what runs: what changed in it counts at the next start" in (
        viewer.said
    )


def test_a_watched_run_that_is_stopped_does_not_offer_ctrl_c(
    project: Project, viewers: list[Viewer]
) -> None:
    project.write(
        "from kept import pass_gate\n\n\ndef one():\n    yield 1\n\n\n"
        'def hold(number):\n    pass_gate("gate")\n',
        stage("one", "functions:one") + stage("hold", "functions:hold") + chain("one", "hold"),
    )
    run = project.start("--no-import")
    until(lambda: run.stage("hold").get("leased"), "the item is in work")
    viewer = view(project, viewers, "top")
    watches(viewer)
    run.signal(signal.SIGTERM)
    until(lambda: "Stopping: waits for hold (1 in work" in viewer.said, "it tells of the stop")
    project.open_gate()
    assert viewer.ended()[0] == run.wait().code


def test_a_head_that_is_killed_is_told(project: Project, going: Run, viewers: list[Viewer]) -> None:
    viewer = view(project, viewers, "top")
    watches(viewer)
    going.signal(signal.SIGKILL)
    assert viewer.ended()[0] == 3
    assert "error: the head ended without a word" in viewer.said


def test_up_in_the_background_or_anew_leaves_a_run_alone(project: Project, going: Run) -> None:
    again = project.runner("up", "-d")
    assert again.returncode == 0
    assert again.stderr.startswith(f"p runs already, by pid {going.pid}\n")
    anew = project.runner("up", "--fresh", "--yes")
    assert anew.returncode == 2
    assert "stop it first: runner down" in anew.stderr
    assert going.look()["state"] == "running"
