"""Ctrl-C, SIGTERM and `down`: once drains, twice stops."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import chain, stage, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.kit import Project, Run

FUNCTIONS = """\
import os
import time

from kept import keep, note, pass_gate
from pipeline_runner import context


def endless():
    number = 0
    while True:
        yield number
        number += 1


def works(number):
    time.sleep(0.0005)
    return number


def blocks(number):
    note("blocks", number)
    pass_gate("gate")


class Closes:
    def __call__(self, number):
        return number

    def close(self):
        note("closed", context().finished)
"""
GRACE = '[reload]\ngrace = "1s"\n'


def under_load(project: Project) -> Run:
    document = stage("endless", "functions:endless")
    document += stage("works", "functions:works", "processes = 2")
    document += stage("closes", "functions:Closes") + stage("keep", "kept:keep")
    document += chain("endless", "works", "closes", "keep")
    project.write(FUNCTIONS, document.replace('to = "works"\n', 'to = "works"\ncapacity = 500\n'))
    run = project.start()
    until(lambda: run.stage("keep").get("in", 0) > 300)
    return run


def blocked(project: Project, *arguments: str, settings: str = GRACE) -> Run:
    document = stage("endless", "functions:endless") + stage("blocks", "functions:blocks")
    document += chain("endless", "blocks") + "capacity = 25\n" + settings
    project.write(FUNCTIONS, document)
    run = project.start(*arguments)
    until(lambda: run.stage("blocks").get("leased") and project.notes())
    until(lambda: run.look()["edges"][0]["queued"] > 0)
    return run


@pytest.mark.parametrize(
    "how", [signal.SIGTERM, signal.SIGINT, "down"], ids=["SIGTERM", "SIGINT", "down"]
)
def test_a_stop_under_load_drains_everything_and_exits_0(
    project: Project, how: signal.Signals | str, record_property: Callable[[str, object], None]
) -> None:
    run = under_load(project)
    began = time.monotonic()
    if isinstance(how, signal.Signals):
        run.signal(how)
    else:
        assert project.runner("down").returncode == 0
    ended = run.wait(within_s=30)
    record_property("ended after s", time.monotonic() - began)
    assert ended.code == 0, ended.err
    emitted = ended.stage("endless")["out"]
    record_property("N", emitted)
    record_property("re-runs at the sink", len(project.notes()) - 1 - emitted)
    assert sorted(project.kept()) == list(range(emitted))
    assert len(project.notes()) == emitted + 1, "no item ran twice"
    for name in ("endless->works", "works->closes", "closes->keep"):
        assert ended.edge(name)["settled"] == emitted
        assert ended.edge(name)["queued"] == ended.edge(name)["leased"] == 0
    assert ("closed", False) in project.notes(), "closed in good order, and not the true end"
    assert ended.err == "", "no traceback of anybody"


def test_a_stop_whose_grace_runs_out_exits_1_and_says_how_many_are_lost(project: Project) -> None:
    run = blocked(project, "--ui", "plain")
    run.signal(signal.SIGTERM)
    ended = run.wait(within_s=20)
    assert ended.code == 1
    edge = ended.edge("endless->blocks")
    lost = edge["queued"] + edge["leased"]
    assert lost == ended.stage("endless")["out"] > 0
    assert f"{lost} items" in ended.err
    assert not run.processes()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_stops_at_once(project: Project, number: signal.Signals, code: int) -> None:
    run = blocked(project, settings='[reload]\ngrace = "10m"\n')
    run.signal(number)
    until(lambda: run.look()["state"] == "draining")
    # What comes within 0.2 s is the same wish, so one may have to be sent again.
    until(lambda: run.signal(number) or run.look().get("state") != "draining", within_s=10)
    ended = run.wait()
    assert ended.code == code
    assert not run.processes()


def test_a_terminal_that_is_closed_ends_no_run(project: Project) -> None:
    run = under_load(project)
    run.signal(signal.SIGHUP)
    before = run.stage("keep")["in"]
    until(lambda: run.stage("keep").get("in", 0) > before + 300, "it goes on")
    assert run.look()["state"] == "running"
    run.signal(signal.SIGTERM)
    assert run.wait(within_s=30).code == 0


def test_signals_that_come_together_are_one(project: Project) -> None:
    run = under_load(project)
    for _ in range(5):
        run.signal(signal.SIGINT)
    ended = run.wait(within_s=20)
    assert ended.code == 0, ended.err
    assert sorted(project.kept()) == list(range(ended.stage("endless")["out"]))
