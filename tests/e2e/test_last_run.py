"""How the last run ended, told when nobody runs any more; and what it left, told to the next."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import chain, stage, until
from tests.e2e.test_letters import write

if TYPE_CHECKING:
    from tests.e2e.kit import Project

BLOCKS = """\
from kept import keep, note, pass_gate


def numbers():
    yield from range(4)


def hold(number):
    note("hold", number)
    pass_gate("gate")
    keep(number)
"""


def test_ps_tells_how_the_last_run_ended_and_still_that_none_is_there(project: Project) -> None:
    write(project, 4, late=False)
    none = project.runner("ps")
    assert (none.returncode, none.stdout) == (3, "")
    assert project.up("--no-import").code == 1
    ended = project.runner("ps")
    assert ended.returncode == 3
    assert "ago, with exit code 1\n" in ended.stdout
    assert "p finished after" in ended.stdout
    assert "2 dead letters are kept" in ended.stdout
    assert "runner errors retry --all" in ended.stdout
    assert ended.stderr.startswith("error: no head runs this pipeline here\n")
    facts = json.loads(project.runner("ps", "--json").stdout)
    assert (facts["state"], facts["exit_code"], facts["dead_letters"]) == ("finished", 1, 2)
    (project.root / "mended").touch()
    assert project.up("--no-import").code == 0
    assert json.loads(project.runner("ps", "--json").stdout)["exit_code"] == 0


def test_ps_paces_a_run_that_went_on_by_what_it_did_itself(project: Project) -> None:
    write(project, 4, late=False)
    assert project.up("--no-import").code == 1
    (project.root / "mended").touch()
    assert project.runner("errors", "retry", "--all").returncode == 0
    ended = project.up("--no-import")
    assert ended.code == 0
    told = project.runner("ps").stdout
    rows = {row[0].strip("└▶"): row[1:] for line in told.splitlines() if (row := line.split())}
    assert rows["numbers"][:6] == ["-", "4", "0", "0", "-", "-"], "all of it was over before"
    facts = {
        one["name"]: one for one in json.loads(project.runner("ps", "--json").stdout)["stages"]
    }
    assert [facts[name]["earlier"] for name in ("numbers", "square", "keep")] == [4, 2, 2]
    assert all(one["done_s"] is not None for one in facts.values())


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (signal.SIGINT, "with exit code 130"),
        (signal.SIGKILL, "the last run was killed, or its machine was; 4 items queued"),
    ],
)
def test_ps_tells_what_a_run_that_was_stopped_or_killed_has_left(
    project: Project, number: signal.Signals, says: str
) -> None:
    document = stage("numbers", "functions:numbers") + stage("hold", "functions:hold")
    project.write(BLOCKS, document + chain("numbers", "hold") + '[reload]\ngrace = "0.1s"\n')
    file = project.root / "pipeline.toml"
    file.write_text(file.read_text().replace('"memory"', '"fsync"'))
    run = project.start("--no-import")
    until(lambda: project.notes() and run.stage("numbers").get("out") == 4, "an item in work")
    run.signal(number)
    run.popen.communicate()
    run.end()
    told = project.runner("ps").stdout
    assert says in told
    assert "`runner up` goes on" in told


def test_who_runs_again_by_habit_is_told_of_the_letters_and_can_still_retry_them(
    project: Project,
) -> None:
    write(project, 4, late=False)
    first = project.up("--no-import", "--ui", "plain")
    assert first.code == 1
    assert "once what failed is mended: runner errors retry --all" in first.err
    again = project.up("--no-import", "--ui", "plain")
    assert again.code == 1
    line = next(each for each in again.err.splitlines() if "of earlier runs" in each)
    assert "2 dead letters of earlier runs are kept, and this run does not try them again" in line
    assert "runner errors retry --all" in line
    listed = json.loads(project.runner("errors", "list", "--json").stdout)
    assert [each["letter"] for each in listed] == [1, 2, 3, 4], "each has a number of its own"
    assert len({each["run"] for each in listed}) == 2
    assert "2 of them are of earlier runs" in project.runner("errors", "list").stderr
    (project.root / "mended").touch()
    facts = json.loads(project.runner("errors", "retry", "--all", "--json").stdout)
    assert facts == {"retried": [1, 2, 3, 4], "refused": {}, "running": False}
    assert project.letters() == []
    assert project.up("--no-import").code == 0
    assert sorted(note[2] for note in project.notes() if note[0] == "keep") == [
        *(0, 0, 1, 1, 4, 4, 9, 9)
    ], "what failed in the first run and in the second came out now"


@pytest.mark.parametrize("durability", ["memory", "fsync"])
def test_letters_of_an_earlier_run_go_to_the_queues_of_one_that_runs(
    project: Project, durability: str
) -> None:
    write(project, 4, durability=durability, late=False)
    assert project.up("--no-import").code == 1
    (project.root / "mended").touch()
    write(project, 4, durability=durability)
    run = project.start("--no-import")
    until(lambda: run.stage("keep").get("state") == "finished", "the stages end")
    facts = json.loads(project.runner("errors", "retry", "1", "--json").stdout)
    assert facts == {"retried": [1], "refused": {}, "running": True}
    assert project.runner("errors", "drop", "2", "--yes").returncode == 0
    until(lambda: run.stage("keep").get("in") == 5, "it comes out")
    assert project.letters() == []
    project.open_gate("gate")
    assert run.wait().code == 0
    assert [letter.letter for letter in project.letters()] == []
