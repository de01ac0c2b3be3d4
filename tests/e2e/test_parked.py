"""A backlog whose edge the file has no more: parked, named everywhere, and never deleted."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.kit import chain, stage, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.kit import Ended, Project

FUNCTIONS = """\
from kept import keep, note, pass_gate


def numbers():
    note("source")
    yield from range(40)


def late():
    pass_gate("late")
    yield from ()


def hold(number):
    pass_gate("gate")
    keep(number)
"""
EDGE = "numbers->hold"


def write(project: Project, *stages: str) -> None:
    """Write a file of these stages alone."""
    sinks = {"keep": "numbers", "last": "late", "hold": "numbers"}
    run = {"keep": "functions:keep", "last": "functions:keep"}
    document = "".join(stage(name, run.get(name, f"functions:{name}")) for name in stages)
    document += "".join(chain(sinks[name], name) for name in stages if name in sinks)
    project.write(FUNCTIONS, document.replace('to = "hold"\n', 'to = "hold"\ncapacity = 1000\n'))
    file = project.root / "pipeline.toml"
    file.write_text(file.read_text().replace('"memory"', '"fsync"'))


@pytest.fixture
def parked(project: Project) -> Project:
    """What a killed head left on an edge, and a file that has the edge no more."""
    write(project, "numbers", "keep", "hold")
    run = project.start("--no-import")
    until(lambda: run.stage("keep").get("state") == "finished", "all is queued for hold")
    run.signal(signal.SIGKILL)
    run.popen.communicate()
    run.end()
    write(project, "numbers", "keep")
    return project


def backlog(project: Project) -> list[dict[str, Any]]:
    ended = project.runner("queue", "ls", "--json")
    assert ended.returncode == 0, ended.stderr
    found: list[dict[str, Any]] = json.loads(ended.stdout)
    return [each for each in found if each["parked"]]


def names_it(ended: Ended) -> None:
    """Assert that a run's end says what is parked, where, and what to do about it."""
    assert ended.snapshot is not None, ended.err
    assert ended.snapshot["parked"] == [{"name": EDGE, "queued": 40}]
    assert f"40 items of {EDGE} are parked: the file has no such edge" in ended.err
    assert f"runner queue purge '{EDGE}'" in ended.err


def test_it_outlives_every_run_and_flows_once_the_file_has_its_edge_again(
    parked: Project, record_property: Callable[[str, object], None]
) -> None:
    for _ in range(3):
        ended = parked.up("--no-import", "--ui", "plain")
        assert ended.code == 1, ended.err
        names_it(ended)
        assert [(each["name"], each["queued"]) for each in backlog(parked)] == [(EDGE, 40)]
    assert parked.runner("clean", "--yes").returncode == 0
    assert [(each["name"], each["queued"]) for each in backlog(parked)] == [(EDGE, 40)]
    write(parked, "numbers", "keep", "hold")
    parked.open_gate()
    assert parked.up("--no-import").code == 0
    assert sorted(parked.kept("hold")) == list(range(40))
    assert sorted(parked.kept("keep")) == list(range(40))
    assert [note[0] for note in parked.notes()].count("source") == 1
    assert not list(parked.state.glob("journal*"))
    record_property("parked items", 40)
    record_property("of them lost", 40 - len(parked.kept("hold")))


def test_ls_and_plan_name_it_with_a_head_and_without(parked: Project) -> None:
    plan = parked.runner("plan")
    line = f"! 40 items of {EDGE} are parked: the file has no such edge"
    assert line in plan.stdout, plan.stderr
    assert "PARKED" in parked.runner("queue", "ls").stdout
    write(parked, "numbers", "keep", "late", "last")
    run = parked.start("--no-import")
    until(lambda: run.stage("late").get("running"), "it runs")
    assert [each["name"] for each in backlog(parked)] == [EDGE]
    assert line in parked.runner("plan").stdout
    assert EDGE in parked.runner("ps").stdout
    items = json.loads(parked.runner("queue", "peek", EDGE, "-n", "2", "--json").stdout)
    assert [each["value"] for each in items] == ["0", "1"]
    run.signal(signal.SIGINT)
    assert run.wait().code == 130
    assert [each["queued"] for each in backlog(parked)] == [40]


def test_a_purge_is_what_ends_the_run_it_is_of(parked: Project) -> None:
    assert parked.up("--no-import").code == 1
    gone = parked.runner("queue", "purge", EDGE, "--yes", "--json")
    assert json.loads(gone.stdout) == {"purged": 40, "leased": 0}, gone.stderr
    assert not list(parked.state.glob("journal*"))
    assert parked.up("--no-import").code == 0
    assert [note[0] for note in parked.notes()].count("source") == 2, "a run of its own"
    assert parked.kept("hold") == []


def test_a_running_head_can_be_told_to_throw_it_away(parked: Project) -> None:
    write(parked, "numbers", "keep", "late", "last")
    run = parked.start("--no-import")
    until(lambda: run.stage("late").get("running"), "it runs")
    gone = parked.runner("queue", "purge", EDGE, "--yes", "--json")
    assert json.loads(gone.stdout) == {"purged": 40, "leased": 0}, gone.stderr
    assert backlog(parked) == []
    parked.open_gate("late")
    ended = run.wait()
    assert ended.code == 0, ended.err
    assert not list(parked.state.glob("journal*"))


def test_a_run_in_memory_leaves_the_journal_of_an_earlier_one_alone_and_says_so(
    parked: Project,
) -> None:
    file = parked.root / "pipeline.toml"
    file.write_text(file.read_text().replace('"fsync"', '"memory"'))
    ended = parked.up("--no-import", "--ui", "plain")
    assert ended.code == 0
    assert "40 items of an earlier run stay in its journal" in ended.err
    assert [(each["name"], each["queued"]) for each in backlog(parked)] == [(EDGE, 40)]
