"""The disk under the head is full, or fails."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import chain, stage, until
from tests.faults.durable import kept_exactly, start, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.kit import Project

# The same command, over a database whose commits fail once a file is there.
FAILING = """\
import os
import sqlite3
import sys

from pipeline_runner.queues.journal import recovery

connect = recovery.connect


class Failing:
    def __init__(self, sql):
        self.sql = sql

    def execute(self, statement, *parameters):
        if statement == "COMMIT" and os.path.exists("failing"):
            raise sqlite3.OperationalError("disk I/O error")
        return self.sql.execute(statement, *parameters)

    def __getattr__(self, name):
        return getattr(self.sql, name)


recovery.connect = lambda *arguments, **settings: Failing(connect(*arguments, **settings))
from pipeline_runner.cli import main

sys.exit(main())
"""


def test_a_disk_error_ends_the_head_at_once_and_loses_nothing(project: Project) -> None:
    items = 20_000
    write(project, "counted", items, pause_s=0.02)
    (project.root / "failing_disk.py").write_text(FAILING)
    run = project.start("--no-import", program=(sys.executable, "failing_disk.py"))
    until(lambda: len(project.notes()) > 100, "items come out")
    project.open_gate("failing")
    ended = run.wait(within_s=10)
    assert ended.code == 1
    assert "the disk under" in ended.err
    assert "disk I/O error" in ended.err
    assert "Traceback" not in ended.err
    until(lambda: not run.processes(), "no process is left", within_s=5)
    assert (project.state / "journal").exists()
    project.open_gate("fast")
    assert start(project).wait().code == 0
    kept_exactly(project, items)


@pytest.fixture
def small_state(project: Project) -> Path:
    """The project's state folder, on a file system of 8 MiB."""
    if os.geteuid():
        pytest.skip("only root may mount one")
    state = project.root / ".runner"
    state.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(state)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    return state


def test_a_full_disk_stops_nothing_for_good(
    project: Project, small_state: Path, record_property: Callable[[str, object], None]
) -> None:
    items = 1_500
    project.write(
        f"""\
from kept import note, pass_gate


def large():
    for number in range({items}):
        yield number, bytes(10_000)


def keep(item):
    pass_gate("gate")
    note("keep", item[0], item[0] * item[0])
""",
        stage("large", "functions:large")
        + stage("keep", "functions:keep")
        + chain("large", "keep"),
    )
    file = project.root / "pipeline.toml"
    file.write_text(file.read_text().replace('durability = "memory"', 'durability = "fsync"'))
    try:
        others = small_state / "others"
        others.write_bytes(bytes(2 * 2**20))
        run = start(project)
        until(lambda: run.stage("large").get("state") == "paused", "the disk is full")
        assert run.popen.poll() is None
        emitted = run.stage("large")["out"]
        assert 0 < emitted < items
        others.unlink()
        space = time.monotonic()
        until(lambda: run.stage("large").get("out", 0) > emitted, "it goes on", within_s=5)
        record_property("went on after s", time.monotonic() - space)
        until(lambda: run.stage("large").get("state") == "paused", "the disk is full again")
        project.open_gate()
        ended = run.wait()
        assert ended.code == 0, ended.err
        assert ended.stage("large")["out"] == items
        kept_exactly(project, items)
        record_property("N", items)
        record_property("on the disk when it was full", emitted)
    finally:
        subprocess.run(["umount", "-l", str(small_state)], check=True)
