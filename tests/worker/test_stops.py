"""Stopping a source that is deep in its own code."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import chain, stage, until

if TYPE_CHECKING:
    from tests.e2e.kit import Project

FUNCTIONS = """\
import time

from kept import note
from pipeline_runner import At


def counted():
    try:
        yield from range(3)
        time.sleep(3600)
    finally:
        note("left")


def marked(cursor):
    try:
        for value in range(3):
            yield At(value, value + 1)
        time.sleep(3600)
    except Exception:
        note("a stop is no error of the source's")
    finally:
        note("left")


async def later():
    import asyncio
    try:
        for value in range(3):
            yield value
        await asyncio.sleep(3600)
    finally:
        note("left")
"""


@pytest.mark.parametrize("kind", ["counted", "marked", "later"])
def test_a_source_that_sleeps_between_two_values_stops_at_once_and_cleans_up(
    project: Project, kind: str
) -> None:
    document = stage("numbers", f"functions:{kind}") + stage("keep", "kept:keep")
    project.write(FUNCTIONS, document + chain("numbers", "keep"))
    run = project.start()
    until(lambda: run.stage("keep").get("in") == 3)
    run.signal(signal.SIGINT)
    ended = run.wait(within_s=20)  # its grace is 30 s
    assert ended.code == 0, ended.err
    assert sorted(project.kept()) == [0, 1, 2]
    assert [tuple(note) for note in project.notes() if note[0] != "keep"] == [("left",)]
