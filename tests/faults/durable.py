"""A project that outlives its head, and the head that is killed again and again."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from tests.e2e.kit import chain, stage, until

if TYPE_CHECKING:
    from tests.e2e.kit import Project, Run

FUNCTIONS = """\
import os
import time

from kept import keep
from pipeline_runner import At

N = {items}


def is_fast():
    return os.path.exists(os.environ["RUNNER_OUTPUT"] + "/fast")


def pause(number):
    if number % 16 == 0 and not is_fast():
        time.sleep({pause_s})
    while {pause_s} and number == N - 1 and not is_fast():
        time.sleep(0.01)


def counted():
    for number in range(N):
        pause(number)
        yield number


def marked(cursor):
    for number in range(cursor or 0, N):
        pause(number)
        yield At(number, number + 1)


def square(number):
    return number * number
"""


def write(
    project: Project, source: str, items: int, *, pause_s: float = 0.0, settings: str = ""
) -> None:
    """Write a pipeline of two hops whose queues are in a journal.

    With ``pause_s`` the source takes so long for 16 items, and keeps back its last one, until the
    gate ``fast`` is open: the run cannot end before its test is through with it.
    """
    project.write(
        FUNCTIONS.format(items=items, pause_s=pause_s),
        stage("source", f"functions:{source}")
        + stage("square", "functions:square", settings)
        + stage("keep", "functions:keep")
        + chain("source", "square", "keep"),
    )
    file = project.root / "pipeline.toml"
    file.write_text(file.read_text().replace('durability = "memory"', 'durability = "fsync"'))


def epoch(project: Project) -> int:
    """Return the epoch of the journal, as any reader of SQLite finds it."""
    with closing(sqlite3.connect(project.state / "journal")) as sql:
        (number,) = sql.execute("SELECT epoch FROM state").fetchone()
    return int(number)


def start(project: Project) -> Run:
    """Start a head and wait until it answers."""
    run = project.start("--no-import")
    until(lambda: run.look() or run.popen.poll() is not None, "a head that answers")
    return run


def kept_exactly(project: Project, items: int) -> None:
    """Assert that each value came out, as one item; however often a function ran for it."""
    by_id = {note[1]: note[2] for note in project.notes() if note[0] == "keep"}
    assert sorted(by_id.values()) == [number * number for number in range(items)]
