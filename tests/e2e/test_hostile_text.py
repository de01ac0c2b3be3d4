"""Exceptions, names and prints of any text: shown escaped, each costs its own item's attempt."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import chain, stage
from tests.e2e.projects import fresh_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.kit import Ended, Project

N = 6
BAD = 3
FUNCTIONS = """\
import builtins
import sys

from kept import keep
from pipeline_runner import context

LONE = "lone \\ud800 and \\udcff"
RED = "\\x1b[31mred\\x1b[0m \\x07\\x00 \\x9b2J \\u202egnol"


def numbers():
    yield from range(6)


def surrogates():
    raise ValueError(LONE)


def bad_at_3(misbehave):
    def function(number):
        if number == 3:
            misbehave(number)
        return context().stage, number
    return function


def raising(error):
    def misbehave(number):
        raise error() if isinstance(error, type) else error
    return bad_at_3(misbehave)


class NoText(Exception):
    def __str__(self):
        return 7


class TextLeaves(Exception):
    def __str__(self):
        sys.exit(3)


class Evil(str):
    def __getattribute__(self, name):
        if name in ("strip", "splitlines", "encode", "isprintable", "translate"):
            return lambda *_: [self.__class__] * 3
        return super().__getattribute__(name)

    def __getitem__(self, _key):
        return 7

    def __len__(self):
        return -1


class EvilText(Exception):
    def __str__(self):
        return Evil("evil")


class Liar(Exception):
    @property
    def __class__(self):
        return OSError


class Raiser(Exception):
    @property
    def __class__(self):
        raise RuntimeError("no class")

    @property
    def __notes__(self):
        raise RuntimeError("no notes")

    @property
    def __cause__(self):
        raise RuntimeError("no cause")


class Named(type):
    @property
    def __name__(cls):
        return 7


class NoName(Exception, metaclass=Named):
    pass


class ReprLeaves:
    def __repr__(self):
        sys.exit(3)

    def __reduce__(self):
        raise TypeError("it does not travel")


def deep(number, levels=60_000):
    sys.setrecursionlimit(200_000)
    return deep(number, levels - 1) if levels else 1 / 0


def long_chain(number):
    error = None
    for _ in range(30_000):
        error, before = ValueError("a link"), error
        error.__context__ = before
    raise error


def group(number):
    error = ValueError("inner")
    for _ in range(500):
        error = builtins.ExceptionGroup("outer", [error] * 3)
    raise error


lone = raising(ValueError(LONE))
lone_name = raising(type("Plain", (Exception,), {"__qualname__": LONE, "__module__": RED}))
red = raising(ValueError(RED))
no_text = raising(NoText)
text_leaves = raising(TextLeaves)
evil_text = raising(EvilText)
liar = raising(Liar)
raiser = raising(Raiser)
no_name = raising(NoName)
huge = raising(ValueError("x" * 50_000_000))
frames = bad_at_3(deep)
links = bad_at_3(long_chain)
groups = bad_at_3(group)


def unpicklable(number):
    return ReprLeaves() if number == 3 else (context().stage, number)


def prints(number):
    if number == 3:
        print(LONE)
        print("\\u00e9")
        print(RED)
    return context().stage, number


def prints_as_ascii(number):
    if number == 3:
        print(LONE, "\\u00e9", file=sys.stderr)
    return context().stage, number


async def gathers(number):
    if number == 3:
        raise ValueError(LONE)
    return context().stage, number


def batch(numbers):
    if 3 in numbers:
        raise ValueError(LONE)
    return [(context().stage, number) for number in numbers]
"""
RAISE = {
    "lone": r"ValueError: lone \ud800 and \udcff",
    "lone_name": "Plain",
    "red": r"ValueError: \x1b[31mred\x1b[0m \x07\x00 \x9b2J \u202egnol",
    "no_text": "NoText: (its text cannot be shown)",
    "text_leaves": "TextLeaves: (its text cannot be shown)",
    "evil_text": "EvilText: evil",
    "liar": "Liar",
    "raiser": "Raiser",
    "no_name": "NoName",
    "huge": "ValueError: " + "x" * 500,
    "frames": "ZeroDivisionError: division by zero",
    "links": "ValueError: a link",
    "unpicklable": "TypeError: it does not travel",
    "gathers": r"ValueError: lone \ud800 and \udcff",
    "batch": r"ValueError: lone \ud800 and \udcff",
}
if sys.version_info >= (3, 11):
    RAISE["groups"] = "ExceptionGroup: outer (3 sub-exceptions)"
PASS = ("prints", "prints_as_ascii")
RETRY = 'retry = { attempts = 2, backoff = "1ms" }\n'


@pytest.fixture(scope="module")
def told() -> Iterator[tuple[Project, Ended]]:
    with fresh_project() as project:
        document = stage("numbers", "functions:numbers") + stage("keep", "functions:keep")
        for name in (*RAISE, *PASS):
            settings = RETRY + ("batch = { count = 4 }\n" if name == "batch" else "")
            document += stage(name, f"functions:{name}", settings)
            document += chain("numbers", name, "keep")
        project.write(FUNCTIONS, document)
        yield project, project.up(within_s=90)


def kept_of(project: Project, name: str) -> list[int]:
    return sorted(number for stage, number in project.kept() if stage == name)


@pytest.mark.parametrize("name", RAISE)
def test_an_exception_of_any_text_costs_its_own_item_alone(
    told: tuple[Project, Ended], name: str
) -> None:
    project, ended = told
    assert ended.code == 1, ended.err
    assert kept_of(project, name) == [n for n in range(N) if n != BAD]
    (letter,) = [each for each in project.letters() if each.stage == name]
    assert (letter.error, letter.attempts) == (RAISE[name], 2)
    assert letter.cause == ("unpicklable" if name == "unpicklable" else "raised")
    assert len(letter.traceback) < 200_000
    assert all(each == "\n" or each.isprintable() for each in letter.traceback)


@pytest.mark.parametrize("name", PASS)
def test_what_is_printed_may_be_any_text(told: tuple[Project, Ended], name: str) -> None:
    project, _ended = told
    assert kept_of(project, name) == list(range(N))
    first = project.logs(name)[0]["text"]
    assert first.startswith(r"lone \ud800 and \udcff")


def test_no_worker_died_of_what_it_had_to_say(told: tuple[Project, Ended]) -> None:
    _project, ended = told
    assert ended.snapshot is not None
    assert [each["deaths"] for each in ended.snapshot["stages"] if each.get("deaths")] == []


def test_a_letter_is_shown_and_escaped(told: tuple[Project, Ended]) -> None:
    project, _ended = told
    for name in ("lone", "red", "unpicklable"):
        (letter,) = [each for each in project.letters() if each.stage == name]
        shown = project.runner("errors", "show", str(letter.letter))
        assert shown.returncode == 0, shown.stderr
        assert RAISE[name] in shown.stdout
        assert all(each in "\n\t" or each.isprintable() for each in shown.stdout)


def test_a_source_that_raises_any_text_ends_and_says_it(project: Project) -> None:
    document = stage("surrogates", "functions:surrogates", RETRY)
    project.write(
        FUNCTIONS, document + stage("keep", "functions:keep") + chain("surrogates", "keep")
    )
    ended = project.up()
    assert ended.code == 1, ended.err
    (letter,) = project.letters()
    assert letter.error == RAISE["lone"]
