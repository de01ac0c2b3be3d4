"""Every kind of source in one run, all feeding one sink."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.kit import chain, stage
from tests.e2e.projects import fresh_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.kit import Ended, Project

FUNCTIONS = """\
import asyncio
from pipeline_runner import END, At, context, source

left = list(range(30))


@source
def generator():
    for number in range(300):
        yield "generator", number


async def async_generator():
    for number in range(30):
        await asyncio.sleep(0)
        yield "async_generator", number


def stops():
    if not left:
        raise StopIteration
    return "stops", left.pop(0)


def ends():
    return ("ends", left.pop(0)) if left else END


async def async_ends():
    await asyncio.sleep(0)
    return ("async_ends", left.pop(0)) if left else END


def cursor(cursor):
    for number in range(cursor or 0, 30):
        yield At(("cursor", number), number + 1)


async def async_cursor(cursor=None):
    for number in range(cursor or 0, 30):
        yield At(("async_cursor", number), number + 1)


def partitioned():
    for number in range(context().index, 30, context().count):
        yield "partitioned", number


class Counter:
    def __init__(self):
        self.number = -1

    def __call__(self):
        self.number += 1
        return ("instance", self.number) if self.number < 30 else END


def empty():
    return iter(())
    yield
"""
NAMES = (
    "generator",
    "async_generator",
    "stops",
    "ends",
    "async_ends",
    "cursor",
    "async_cursor",
    "partitioned",
    "instance",
    "empty",
)
RUNS = {"instance": "Counter"}


@pytest.fixture(scope="module")
def ran() -> Iterator[tuple[Project, Ended]]:
    document = "".join(
        stage(
            name,
            f"functions:{RUNS.get(name, name)}",
            "processes = 3" if name == "partitioned" else "",
        )
        for name in NAMES
    )
    document += stage("keep", "kept:keep") + "".join(chain(name, "keep") for name in NAMES)
    with fresh_project() as project:
        project.write(FUNCTIONS, document)
        yield project, project.up()


def of(project: Project, name: str) -> list[Any]:
    return [value[1] for value in project.kept() if value[0] == name]


def test_a_run_of_every_kind_of_source_ends_well(ran: tuple[Project, Ended]) -> None:
    _project, ended = ran
    assert ended.code == 0, ended.err
    assert ended.snapshot is not None
    assert ended.snapshot["state"] == "finished"
    assert {each["state"] for each in ended.snapshot["stages"]} == {"finished"}


@pytest.mark.parametrize("name", [name for name in NAMES if name != "empty"])
def test_a_source_of_each_kind_emits_every_value_once(
    ran: tuple[Project, Ended], name: str
) -> None:
    project, ended = ran
    many = 300 if name == "generator" else 30
    assert sorted(of(project, name)) == list(range(many))
    assert ended.stage(name)["out"] == many
    assert ended.edge(f"{name}->keep")["settled"] == many


def test_an_order_is_kept_from_one_source_to_one_sink(ran: tuple[Project, Ended]) -> None:
    project, _ended = ran
    assert of(project, "generator") == list(range(300))


def test_a_source_without_values_finishes(ran: tuple[Project, Ended]) -> None:
    _project, ended = ran
    assert ended.stage("empty")["out"] == 0
    assert ended.stage("empty")["state"] == "finished"


def test_the_sink_consumed_what_all_sources_emitted(ran: tuple[Project, Ended]) -> None:
    project, ended = ran
    assert ended.stage("keep")["in"] == len(project.kept()) == 300 + 8 * 30
