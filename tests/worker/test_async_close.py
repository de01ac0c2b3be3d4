"""An ``async def close`` is awaited, in the loop its calls ran in, for as long as the grace."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import chain, stage
from tests.e2e.projects import fresh_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.kit import Ended, Project

FUNCTIONS = """\
import asyncio

from kept import note
from pipeline_runner import END, context


def numbers():
    yield from range(4)


class Base:
    loop = None

    async def close(self):
        await asyncio.sleep(0)
        same = self.loop in (None, asyncio.get_running_loop())
        note("closed", context().stage, same, context().finished)


class Plain(Base):
    def __call__(self, number):
        return number


class Async(Base):
    async def __call__(self, number):
        self.loop = asyncio.get_running_loop()
        return number


class Streams(Base):
    async def __call__(self, number):
        self.loop = asyncio.get_running_loop()
        yield number


class Batched(Base):
    async def __call__(self, numbers):
        self.loop = asyncio.get_running_loop()
        return numbers


class Source(Base):
    async def __call__(self):
        self.loop = asyncio.get_running_loop()
        yield 7


class Feed(Base):
    def __init__(self):
        self.left = [8]

    async def __call__(self):
        self.loop = asyncio.get_running_loop()
        return self.left.pop() if self.left else END


class Hangs(Base):
    def __call__(self, number):
        return number

    async def close(self):
        await asyncio.Event().wait()


class Raises(Base):
    def __call__(self, number):
        return number

    async def close(self):
        raise LookupError("nothing to close")
"""
STAGES = {"plain": "Plain", "awaits": "Async", "streams": "Streams", "batched": "Batched"}
SOURCES = {"source": "Source", "feed": "Feed"}
GRACE = '[reload]\ngrace = "1s"\n'


@pytest.fixture(scope="module")
def ran() -> Iterator[tuple[Project, Ended]]:
    document = stage("numbers", "functions:numbers") + stage("keep", "kept:keep")
    for name, of_class in {**STAGES, "hangs": "Hangs", "raises": "Raises"}.items():
        settings = "batch = { count = 2 }" if name == "batched" else ""
        document += stage(name, f"functions:{of_class}", settings) + chain("numbers", name, "keep")
    for name, of_class in SOURCES.items():
        document += stage(name, f"functions:{of_class}") + chain(name, "keep")
    with fresh_project() as project:
        project.write(FUNCTIONS, document + GRACE)
        yield project, project.up("--local", "--ui", "plain")


def test_it_is_awaited_in_the_loop_of_the_calls(ran: tuple[Project, Ended]) -> None:
    project, ended = ran
    assert ended.code == 0, ended.err
    closed = sorted(note[1:] for note in project.notes() if note[0] == "closed")
    assert closed == [(name, True, True) for name in sorted({**STAGES, **SOURCES})]
    assert sorted(project.kept()) == sorted([7, 8, *(list(range(4)) * 6)])


def test_one_that_does_not_return_is_killed_after_the_grace_and_told(
    ran: tuple[Project, Ended],
) -> None:
    _project, ended = ran
    told = [line for line in ended.err.splitlines() if "ran longer than the grace of 1 s" in line]
    assert len(told) == 1
    assert "hangs[0]" in told[0]
    assert "LookupError: nothing to close" in ended.err
    assert "never awaited" not in ended.err


def test_debug_awaits_it_too(project: Project) -> None:
    document = stage("numbers", "functions:numbers") + stage("plain", "functions:Plain")
    project.write(FUNCTIONS, document + chain("numbers", "plain"))
    debugged = project.runner("debug")
    assert debugged.returncode == 0, debugged.stderr
    assert [note for note in project.notes() if note[0] == "closed"] == [
        ("closed", "plain", True, True)
    ]


def test_debug_waits_no_longer_than_the_grace(project: Project) -> None:
    document = stage("numbers", "functions:numbers") + stage("hangs", "functions:Hangs")
    project.write(FUNCTIONS, document + chain("numbers", "hangs") + GRACE)
    debugged = project.runner("debug")
    assert debugged.returncode == 1
    assert "hangs: its close() ran longer than the grace of 1 s" in debugged.stderr
