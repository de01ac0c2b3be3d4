"""Outputs over max_item, alone or in sum: they are split or dead letters, and nothing hangs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline_runner.testing import run_inline
from tests.e2e.kit import chain, stage
from tests.e2e.projects import fresh_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.kit import Ended, Project

BOUND = 100_000
SERVER = '[server]\nmax_item = "100KB"\n'
FUNCTIONS = """\
from kept import note
from pipeline_runner import At, Tagged, context

LARGE, SOME = 100_001, 60_000


def numbers():
    yield from range(40)


def sized(number, size):
    return {"n": number, "data": bytes(size - 60)}  # its pickle is somewhat below


def each(number):
    return sized(number, SOME)


def seven(number):
    return sized(number, LARGE + 100 if number == 7 else SOME)


def text(number):
    return "x" * (LARGE if number == 7 else SOME)


def many(number):
    for turn in range(3):
        yield sized(number, LARGE + 100 if number == 7 and turn == 1 else SOME)


def batch(numbers):
    return [sized(number, SOME) for number in numbers]


def batch_seven(numbers):
    return [seven(number) for number in numbers]


async def later(number):
    return seven(number)


async def some(number):
    for turn in range(3):
        yield sized(number, SOME)


def tagged(number):
    return Tagged(seven(number), "kept")


def sink(item):
    note(context().stage, len(item) if isinstance(item, str) else item["n"])


def source():
    for number in range(10):
        yield sized(number, LARGE + 100 if number == 7 else SOME)


def at_source(cursor):
    for number in range(cursor or 0, 10):
        yield At(sized(number, LARGE + 100 if number == 7 else SOME), number + 1)


def text_source():
    for number in range(10):
        yield str(number) * LARGE if number == 7 else {"n": number}


calls = iter(range(10))


def live_feed():
    number = next(calls)
    return sized(number, LARGE + 100 if number == 7 else SOME)
"""
MAPS = {
    "each": "",
    "seven": "",
    "text": "",
    "many": "",
    "batch": 'batch = { count = 32, period = "20ms" }',
    "batch_seven": 'batch = { count = 32, period = "20ms" }',
    "later": "",
    "some": "",
    "tagged": "",
}
WHOLE = {"each": 1, "batch": 1, "some": 3}  # and so many outputs an item
SHORT = {"seven": 1, "text": 1, "many": 3, "batch_seven": 1, "later": 1, "tagged": 1}
SOURCES = ("source", "at_source", "text_source", "live_feed")


def document() -> str:
    made = SERVER + stage("numbers", "functions:numbers")
    for name, settings in MAPS.items():
        made += stage(name, f"functions:{name}", settings)
        made += stage(f"sink-{name}", "functions:sink")
        made += chain("numbers", name) + chain(name, f"sink-{name}")
        made += 'tags = ["kept"]\n' if name == "tagged" else ""
    for name in SOURCES:
        made += stage(name, f"functions:{name}", 'retry = { attempts = 2, backoff = "10ms" }')
        made += stage(f"sink-{name}", "functions:sink") + chain(name, f"sink-{name}")
    return made


@pytest.fixture(scope="module")
def ran() -> Iterator[tuple[Project, Ended]]:
    with fresh_project() as project:
        project.write(FUNCTIONS, document())
        yield project, project.up(within_s=100)


def test_a_run_in_which_items_are_too_large_comes_to_its_end(ran: tuple[Project, Ended]) -> None:
    project, ended = ran
    assert ended.code == 1, ended.err
    assert {letter.stage for letter in project.letters()} == {*SHORT, *SOURCES}
    assert "closed the connection" not in ended.err


@pytest.mark.parametrize("name", WHOLE)
def test_results_that_are_too_large_only_in_sum_all_arrive(
    ran: tuple[Project, Ended], name: str
) -> None:
    project, _ended = ran
    kept = [note[1] for note in project.notes() if note[0] == f"sink-{name}"]
    assert sorted(kept) == sorted(n for n in range(40) for _turn in range(WHOLE[name]))


@pytest.mark.parametrize("name", SHORT)
def test_one_item_that_is_too_large_is_a_letter_and_the_others_arrive(
    ran: tuple[Project, Ended], name: str
) -> None:
    project, ended = ran
    kept = [note[1] for note in project.notes() if note[0] == f"sink-{name}"]
    assert len(kept) == 39 * SHORT[name]
    (letter,) = [letter for letter in project.letters() if letter.stage == name]
    assert letter.cause == "too large"
    assert letter.attempts == 1, "a second try would make the same"
    for words in ("an item of 100,", "100,000", "max_item", "[server]"):
        assert words in letter.error
    assert ended.stage(name)["failed"] == 1


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_goes_on_after_an_item_that_is_too_large(
    ran: tuple[Project, Ended], name: str
) -> None:
    project, _ended = ran
    kept = [note[1] for note in project.notes() if note[0] == f"sink-{name}"]
    assert sorted(kept) == [number for number in range(10) if number != 7]
    (letter,) = [letter for letter in project.letters() if letter.stage == name]
    assert letter.cause == "too large"
    assert "max_item" in letter.error
    assert letter.shown.startswith("'7777" if name == "text_source" else "{'n': 7, 'data'")
    assert len(letter.shown) <= 2_000


def test_in_one_process_the_bound_is_the_same() -> None:
    with fresh_project() as project:
        text = document().replace("functions:", "too_large:")
        project.write("", text, more={"too_large": FUNCTIONS})
        for items in ({"seven": [7]}, {"many": [7]}, {"batch_seven": [6, 7]}):
            with pytest.raises(ValueError, match=r"an item of 100,\d\d\d bytes.*max_item"):
                run_inline(project.root / "pipeline.toml", items)


@pytest.mark.parametrize("bound", ["1KB", "10KB"])
def test_a_bound_below_what_thousands_of_numbers_take_splits_their_bodies(bound: str) -> None:
    functions = """\
def numbers():
    yield from range(30_000)
def double(number):
    return number * 2
class Sum:
    def __init__(self): self.sum = self.count = 0
    def __call__(self, number): self.sum += number; self.count += 1
    def close(self):
        from kept import note
        note(self.count, self.sum)
"""
    with fresh_project() as project:
        project.write(
            functions,
            f'[server]\nmax_item = "{bound}"\n'
            + stage("numbers", "functions:numbers")
            + stage("double", "functions:double")
            + stage("sum", "functions:Sum")
            + chain("numbers", "double", "sum"),
        )
        ended = project.up()
        assert ended.code == 0, ended.err
        assert project.notes() == [(30_000, 30_000 * 29_999)]
