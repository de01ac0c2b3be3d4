"""Looking into queues and emptying one: with a head, and with only its journal."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.kit import chain, stage, until

if TYPE_CHECKING:
    from tests.e2e.kit import Project, Run

FUNCTIONS = """\
from dataclasses import dataclass

from kept import keep, pass_gate


@dataclass
class Word:
    text: str


def words():
    for number in range(40):
        yield Word(f"w{number}")


def hold(word):
    pass_gate("gate")
    return word.text
"""
EDGE = "words->hold"


@pytest.fixture
def full(project: Project) -> Run:
    """A run that goes on with a queue nobody empties before the gate opens."""
    stages = stage("words", "functions:words") + stage("hold", "functions:hold")
    project.write(
        FUNCTIONS,
        stages + stage("keep", "functions:keep") + chain("words", "hold", "keep"),
    )
    file = project.root / "pipeline.toml"
    file.write_text(file.read_text().replace('"memory"', '"fsync"'))
    run = project.start("--no-import")
    until(lambda: run.stage("words").get("state") == "finished", "everything is queued")
    return run


def facts(project: Project, *arguments: str) -> Any:
    ended = project.runner("queue", *arguments, "--json")
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_ls_and_peek_say_what_is_queued_and_take_nothing(project: Project, full: Run) -> None:
    edges = {each["name"]: each for each in facts(project, "ls")}
    queued, leased = edges[EDGE]["queued"], edges[EDGE]["leased"]
    assert queued + leased == 40
    assert leased >= 1
    assert edges[EDGE]["size_bytes"] > 0
    assert edges["hold->keep"]["oldest_s"] is None

    def age_s() -> float:
        return next(float(e["oldest_s"]) for e in facts(project, "ls") if e["name"] == EDGE)

    until(lambda: age_s() > edges[EDGE]["oldest_s"], "they grow old")
    assert "OLDEST" in project.runner("queue", "ls").stdout
    items = facts(project, "peek", EDGE, "-n", "3")
    first = leased
    assert [each["value"] for each in items] == [f"Word(text='w{first + i}')" for i in range(3)]
    assert all(f":{EDGE}:" in each["item_id"] for each in items)
    text = project.runner("queue", "peek", EDGE, "-n", "3")
    assert f"Word(text='w{first}')" in text.stdout
    assert text.stderr == f"and {queued - 3:,} more\n"
    project.open_gate()
    assert full.wait().code == 0
    assert len(project.kept()) == 40


def test_a_queue_of_another_name_is_told_with_those_there_are(project: Project, full: Run) -> None:
    for verb in (("peek",), ("purge", "--yes")):
        ended = project.runner("queue", *verb, "wrods", "hold")
        assert ended.returncode == 2
        assert ended.stderr == (
            "error: there is no queue wrods->hold\nhint: did you mean `words hold`?\n"
            f"queues: {EDGE}, hold->keep\n"
        )


def test_an_edge_is_named_by_its_two_stages_too(project: Project, full: Run) -> None:
    by_name = facts(project, "peek", EDGE)
    assert len(by_name) == 10
    assert facts(project, "peek", "words", "hold") == by_name
    full.signal(signal.SIGKILL)
    full.popen.communicate()
    full.end()
    assert facts(project, "peek", "hold", "keep") == [], "it is there, and empty"
    assert facts(project, "purge", "words", "hold", "--yes")["purged"] == 40


def test_purge_empties_a_queue_and_leaves_what_is_in_work(project: Project, full: Run) -> None:
    ended = project.runner("queue", "purge", EDGE)
    assert ended.returncode == 2
    assert "add --yes" in ended.stderr
    gone = facts(project, "purge", EDGE, "--yes")
    assert gone["purged"] + gone["leased"] == 40
    assert facts(project, "peek", EDGE) == []
    project.open_gate()
    assert full.wait().code == 0
    assert len(project.kept()) == gone["leased"]


def test_the_journal_of_a_killed_head_can_be_read_and_emptied(project: Project, full: Run) -> None:
    full.signal(signal.SIGKILL)
    full.popen.communicate()
    full.end()
    before = (project.state / "journal").read_bytes()
    assert [each["name"] for each in facts(project, "ls")] == [EDGE]
    assert facts(project, "peek", EDGE, "-n", "1")[0]["value"] == "Word(text='w0')"
    assert "no head runs" in project.runner("queue", "ls").stderr
    assert (project.state / "journal").read_bytes() == before
    assert facts(project, "purge", EDGE, "--yes")["purged"] == 40
    assert facts(project, "ls") == []
    assert project.up("--no-import").code == 0
    assert project.kept() == []


def test_without_a_head_and_a_journal_there_is_nothing_to_look_at(project: Project) -> None:
    project.write(FUNCTIONS, stage("words", "functions:words"))
    ended = project.runner("queue", "ls")
    assert ended.returncode == 3
    assert ended.stderr == "error: no head runs this pipeline here\nhint: start it: runner up\n"
