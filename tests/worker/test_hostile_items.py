"""Items that raise, kill or hang their process while they are decoded: each its own fault alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import chain, stage
from tests.e2e.projects import fresh_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.kit import Ended, Project

N, BAD = 20, 7
FUNCTIONS = """\
import os
import time
from kept import note
from pipeline_runner import context


class Raises:
    def __reduce__(self):
        return _raise, ()


class Kills:
    def __reduce__(self):
        return os._exit, (3,)


class Hangs:
    def __reduce__(self):
        return time.sleep, (3600,)


def _raise():
    raise LookupError("cannot be read back")


def rows(bad):
    return [{"n": n, "part": bad() if n == 7 else None} for n in range(20)]


def raising():
    yield from rows(Raises)


def killing():
    yield from rows(Kills)


def hanging():
    yield from rows(Hangs)


def plain(row):
    note(context().stage, row["n"])


def many(row):
    note(context().stage, row["n"])
    yield row


async def later(row):
    note(context().stage, row["n"])


def batch(rows):
    for row in rows:
        note(context().stage, row["n"])
    return rows


def at_once():
    raise ValueError("before the first item")
"""
KINDS = {"plain": "", "many": "", "later": "", "batch": "batch = { count = 20 }"}
FEEDS = {"raising": "undecodable", "killing": "died", "hanging": "timeout"}
CASES = [(feed, kind) for feed in FEEDS for kind in KINDS]


@pytest.fixture(scope="module")
def ran() -> Iterator[tuple[Project, Ended]]:
    again = 'retry = { attempts = 2, backoff = "10ms" }\ntimeout = "1s"\n'
    made = stage("at-once", "functions:at_once", 'retry = { attempts = 3, backoff = "10ms" }')
    made += stage("idle", "functions:plain") + chain("at-once", "idle")
    for feed in FEEDS:
        made += stage(feed, f"functions:{feed}")
        for kind, settings in KINDS.items():
            name = f"{feed}-{kind}"
            made += stage(name, f"functions:{kind}", again + settings) + chain(feed, name)
    with fresh_project() as project:
        project.write(FUNCTIONS, made)
        yield project, project.up(within_s=100)


def test_the_run_comes_to_its_end_with_a_letter_for_each_bad_item(
    ran: tuple[Project, Ended],
) -> None:
    project, ended = ran
    assert ended.code == 1, ended.err
    names = {f"{feed}-{kind}" for feed, kind in CASES}
    assert sorted(letter.stage for letter in project.letters()) == sorted({*names, "at-once"})


@pytest.mark.parametrize(("feed", "kind"), CASES)
def test_only_the_item_that_cannot_be_decoded_is_charged(
    ran: tuple[Project, Ended], feed: str, kind: str
) -> None:
    project, ended = ran
    name = f"{feed}-{kind}"
    (letter,) = [letter for letter in project.letters() if letter.stage == name]
    assert letter.cause == FEEDS[feed]
    assert letter.attempts == 2
    assert ended.stage(name)["failed"] == 2
    called = {note[1] for note in project.notes() if note[0] == name}
    assert called == {n for n in range(N) if n != BAD}


def test_a_source_that_raises_before_its_first_item_is_tried_and_told_like_any_other(
    ran: tuple[Project, Ended],
) -> None:
    project, ended = ran
    (letter,) = [letter for letter in project.letters() if letter.stage == "at-once"]
    assert (letter.cause, letter.attempts) == ("raised", 3)
    assert "ValueError: before the first item" in letter.error
    assert ended.stage("at-once")["failed"] == 3
    assert not [line for line in project.logs("at-once") if "KeyError" in line["text"]]
