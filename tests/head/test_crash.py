"""A mistake of the head's own ends the run loudly; with a journal the next one goes on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tests.e2e.kit import chain, stage

if TYPE_CHECKING:
    from tests.e2e.kit import Project

FUNCTIONS = """\
def numbers():
    yield from range(20_000)
"""
# The broker fails at one of its steps, as no test has foreseen.
CRASHES = """\
import sys
from pipeline_runner.queues.broker import Broker
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
