"""What the shell sees: of questions to a run that is there, and of every way a run can end."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import chain, stage, until

if TYPE_CHECKING:
    from tests.e2e.kit import Project, Run

FUNCTIONS = """\
from kept import keep, note, pass_gate


def numbers():
    yield from range(4)


def endless():
    number = 0
    while True:
        yield number
        number += 1
        pass_gate("more")


def blocks(number):
    note("blocks", number)
    pass_gate("gate")


def fails(number):
    raise ValueError(number)
"""
NAMES = {
    "why nope": "there is no stage nope",
    "drain nope": "there is no host nope",
    "queue peek nope": "there is no queue nope",
    "queue purge nope --yes": "there is no queue nope",
    "errors show 99": "there is no dead letter 99",
    "errors retry 99": "there is no dead letter 99",
}


def start(
    project: Project, source: str, sink: str, *, durability: str = "memory", grace: str = "0.3s"
) -> Run:
    document = stage(source, f"functions:{source}")
    document += stage(sink, f"functions:{sink}", "retry = { attempts = 1 }")
    project.write(FUNCTIONS, document + chain(source, sink) + f'[reload]\ngrace = "{grace}"\n')
    file = project.root / "pipeline.toml"
    file.write_text(file.read_text().replace('"memory"', f'"{durability}"', 1))
    return project.start("--no-import")


def test_a_name_that_a_run_does_not_have_is_2_and_told_alike(project: Project) -> None:
    run = start(project, "numbers", "blocks", durability="fsync")
    until(project.notes, "it runs")
    for line, words in NAMES.items():
        ended = project.runner(*line.split())
        assert (ended.returncode, ended.stderr.splitlines()[0]) == (2, f"error: {words}"), line
        assert ended.stderr.splitlines()[1].startswith("hint: "), line
    run.signal(signal.SIGKILL)
    run.popen.communicate()
    run.end()
    for line in ("queue peek nope", "queue purge nope --yes"):  # of the journal alone
        ended = project.runner(*line.split())
        assert (ended.returncode, ended.stderr.splitlines()[0]) == (2, f"error: {NAMES[line]}")


STOPPED = (
    (signal.SIGINT, "memory", 130),
    (signal.SIGINT, "fsync", 130),
    (signal.SIGTERM, "memory", 1),
    (signal.SIGTERM, "fsync", 1),
    ("down", "memory", 1),
    ("down", "fsync", 1),
)


@pytest.mark.parametrize(("how", "durability", "code"), STOPPED)
def test_a_run_that_is_stopped_with_items_left_is_never_0(
    project: Project, how: signal.Signals | str, durability: str, code: int
) -> None:
    run = start(project, "numbers", "blocks", durability=durability)
    until(project.notes, "an item that never ends")
    until(lambda: run.stage("numbers").get("out") == 4, "all is there")
    if isinstance(how, signal.Signals):
        run.signal(how)
    else:
        assert project.runner("down", "--no-wait").returncode == 0
    ended = run.wait()
    assert ended.code == code, ended.err
    edge = ended.edge("numbers->blocks")
    assert edge["queued"] + edge["leased"] == 4
    assert ended.stage("blocks")["failed"] == 0, "who was interrupted has not failed"
    assert project.letters() == []


@pytest.mark.parametrize("durability", ["memory", "fsync"])
def test_ctrl_c_that_leaves_nothing_is_0(project: Project, durability: str) -> None:
    run = start(project, "endless", "keep", durability=durability, grace="20s")
    until(lambda: run.stage("keep").get("in") == 1, "all there is went through")
    run.signal(signal.SIGINT)
    ended = run.wait()
    assert ended.edge("endless->keep")["queued"] == 0
    assert ended.code == 0, ended.err


@pytest.mark.parametrize(("sink", "code"), [("keep", 0), ("fails", 1)])
def test_a_run_that_ends_by_itself_says_whether_everything_went_through(
    project: Project, sink: str, code: int
) -> None:
    assert start(project, "numbers", sink).wait().code == code


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_waits_for_nothing(
    project: Project, number: signal.Signals, code: int
) -> None:
    run = start(project, "numbers", "blocks", grace="10m")
    until(project.notes, "an item that never ends")
    run.signal(number)
    until(lambda: run.look()["state"] == "draining")
    until(lambda: run.signal(number) or run.popen.poll() is not None, within_s=20)
    ended = run.wait()
    assert ended.code == code
    assert ended.stage("blocks")["failed"] == 0, "nor has who was killed"
    assert project.letters() == []
