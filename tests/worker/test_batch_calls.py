"""What a batch's call may do with its list, and come back as: nothing is lost, or passed on wrong.

Every function of one run gets the same ten items.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.kit import chain, stage
from tests.e2e.projects import fresh_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.kit import Ended, Project

N = 10
FUNCTIONS = """\
from kept import note


def numbers():
    yield from range(10)


def pops(items):
    out = []
    while items:
        out.append(-items.pop(0))
    return out


def filters(items):
    for item in tuple(items):
        if item % 2:
            items.remove(item)
    return items


def appends(items):
    items.append(0)
    return items


def as_tuple(items):
    return tuple(-item for item in items)


def generates(items):
    while items:
        yield -items.pop(0)


async def generates_later(items):
    for item in items:
        yield -item


def text(items):
    return "x" * len(items)


def table(items):
    return {item: -item for item in items}


def heap(items):
    return set(items)


def nothing(items):
    pass


def pops_away(items):
    while items:
        note("pops_away", items.pop())


def clears(items):
    for item in items:
        note("clears", item)
    items.clear()


def writes(items):
    for item in items:
        yield note("writes", item)


async def writes_later(items):
    for item in items:
        yield note("writes_later", item)
"""
BATCH = 'batch = { count = 4, period = "20ms" }'
WHOLE = ("pops", "as_tuple", "generates", "generates_later")
REFUSED = {"text": "str", "table": "dict", "heap": "set", "nothing": "NoneType"}
SINKS = ("pops_away", "clears", "writes", "writes_later")


@pytest.fixture(scope="module")
def ran() -> Iterator[tuple[Project, Ended]]:
    document = stage("numbers", "functions:numbers") + "[defaults]\nretry = { attempts = 1 }\n"
    for name in (*WHOLE, "filters", "appends", *REFUSED):
        document += stage(name, f"functions:{name}", BATCH) + chain("numbers", name, f"of-{name}")
        document += stage(f"of-{name}", "kept:keep")
    for name in SINKS:
        document += stage(name, f"functions:{name}", BATCH) + chain("numbers", name)
    with fresh_project() as project:
        project.write(FUNCTIONS, document)
        yield project, project.up(within_s=90)


@pytest.mark.parametrize("name", WHOLE)
def test_what_came_of_each_item_is_passed_on(ran: tuple[Project, Ended], name: str) -> None:
    project, ended = ran
    assert sorted(project.kept(f"of-{name}")) == sorted(-number for number in range(N)), ended.err


@pytest.mark.parametrize("name", SINKS)
def test_a_sink_gets_every_item_however_it_takes_them(
    ran: tuple[Project, Ended], name: str
) -> None:
    project, ended = ran
    assert sorted(note[1] for note in project.notes() if note[0] == name) == list(range(N))
    assert ended.stage(name)["in"] == N


def test_items_that_a_batch_took_off_its_list_fail_and_the_others_do_not(
    ran: tuple[Project, Ended],
) -> None:
    project, _ended = ran
    failed = [letter for letter in project.letters() if letter.stage == "filters"]
    assert sorted(letter.payload() for letter in failed) == [1, 3, 5, 7, 9]
    assert {letter.error for letter in failed} == {
        "ValueError: a batch of 1 items came back as 0; return one output for each input"
    }
    assert sorted(project.kept("of-filters")) == [0, 2, 4, 6, 8]


def test_more_outputs_than_items_are_no_outputs(ran: tuple[Project, Ended]) -> None:
    project, _ended = ran
    failed = [letter for letter in project.letters() if letter.stage == "appends"]
    assert sorted(letter.payload() for letter in failed) == list(range(N))
    assert {letter.error for letter in failed} == {
        "ValueError: a batch of 1 items came back as 2; return one output for each input"
    }
    assert project.kept("of-appends") == []


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_order_or_is_no_list_is_refused(ran: tuple[Project, Ended], name: str) -> None:
    project, _ended = ran
    failed = [letter for letter in project.letters() if letter.stage == name]
    assert sorted(letter.payload() for letter in failed) == list(range(N))
    error = f"TypeError: a batch came back as {REFUSED[name]}; return a list of one output"
    assert {letter.error for letter in failed} == {f"{error} for each input"}
    assert project.kept(f"of-{name}") == []


def test_the_run_ends_with_nothing_in_anybodys_hands(ran: tuple[Project, Ended]) -> None:
    _project, ended = ran
    assert ended.code == 1
    assert ended.snapshot is not None
    left: list[Any] = [each["name"] for each in ended.snapshot["stages"] if each["leased"]]
    assert left == []
