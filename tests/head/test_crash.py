"""A mistake of the head's own ends the run loudly; with a journal the next one goes on."""

from __future__ import annotations

import shutil
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import chain, stage, until

if TYPE_CHECKING:
    from tests.e2e.kit import Project

FUNCTIONS = """\
def numbers():
    yield from range(20_000)
"""
ENDLESS = """\
import time

def endless():
    while True:
        yield 1
        time.sleep(0.01)
"""
# The broker fails at one of its steps, as no test has foreseen.
CRASHES = """\
import sys
from pipeline_runner.queues.broker.broker import Broker
committed, steps = Broker.committed, []
def fail(self, pending, now):
    steps.append(pending)
    if len(steps) == 20:
        raise KeyError("planted")
    return committed(self, pending, now)
Broker.committed = fail
from pipeline_runner.cli import main
sys.exit(main())
"""


def test_a_head_that_fails_says_so_ends_and_loses_nothing(project: Project) -> None:
    document = stage("numbers", "functions:numbers") + stage("keep", "kept:keep")
    project.write(FUNCTIONS, document + chain("numbers", "keep"))
    file = project.root / "pipeline.toml"
    file.write_text(file.read_text().replace('durability = "memory"', 'durability = "fsync"'))
    failed = project.start(program=[sys.executable, "-c", CRASHES]).wait()
    assert failed.code == 1
    assert "the head failed, and not for anything of yours: KeyError: 'planted'" in failed.err
    assert "Traceback" not in failed.err
    log = project.root / ".runner" / project.name / "logs" / "head.log"
    assert "KeyError: 'planted'" in log.read_text()
    ended = project.start().wait()
    assert ended.code == 0, ended.err
    assert sorted(project.kept()) == list(range(20_000))


@pytest.mark.parametrize("moved", [False, True], ids=["deleted", "moved"])
@pytest.mark.parametrize("durability", ["memory", "fsync"])
def test_a_head_whose_state_folder_is_taken_away_says_so_and_ends(
    project: Project, durability: str, moved: bool
) -> None:
    document = stage("numbers", "functions:endless") + stage("keep", "kept:keep")
    project.write(ENDLESS, document + chain("numbers", "keep"))
    file = project.root / "pipeline.toml"
    file.write_text(file.read_text().replace('"memory"', f'"{durability}"'))
    run = project.start()
    until(project.kept, "items come out")
    if moved:
        project.state.rename(project.root / "elsewhere")
    else:
        shutil.rmtree(project.state)
    ended = run.wait(within_s=10)
    assert ended.code == 1
    assert f"{project.state} was deleted or moved while the run used it" in ended.err
    assert "Traceback" not in ended.err
    until(lambda: not run.processes(), "every process is gone", within_s=10)


def test_a_head_that_lost_its_folder_leaves_the_next_one_alone(project: Project) -> None:
    document = stage("numbers", "functions:endless") + stage("keep", "kept:keep")
    project.write(ENDLESS, document + chain("numbers", "keep"))
    first = project.start()
    until(project.kept, "items come out")
    first.signal(signal.SIGSTOP)
    shutil.rmtree(project.state)
    second = project.start()
    until(second.look, "the next head answers")
    first.signal(signal.SIGCONT)
    assert first.wait(within_s=10).code == 1
    until(lambda: second.look().get("state") == "running", "the next head runs on")
    second.signal(signal.SIGTERM)
    assert second.wait().code == 0
