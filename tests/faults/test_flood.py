"""Thousands of items that raise at each of their attempts: each costs what it is, and no more."""

from __future__ import annotations

import pickle
import signal
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import chain, stage, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.kit import Project

N, EVERY = 20_000, 20
FUNCTIONS = f"""\
from kept import keep


def rows():
    for n in range({N}):
        yield {{"n": n, "name": f"item-{{n}}", "price": n / 7, "tags": "a,b,c", "left": -n}}


def work(row):
    if row["n"] % {EVERY} == 0:
        raise ValueError(f"no price for {{row['n']}}")
    return row["n"]
"""
DOCUMENT = (
    stage("rows", "functions:rows")
    + stage("work", "functions:work", 'processes = 2\nretry = { attempts = 2, backoff = "50ms" }')
    + stage("keep", "functions:keep")
    + chain("rows", "work", "keep")
)
BAD = set(range(0, N, EVERY))
LEAST_ITEM_BYTES = len(pickle.dumps({"n": 1, "name": "item-1", "price": 1.5, "tags": "a,b,c"}))


def assert_all_is_there(project: Project, record_property: Callable[[str, object], None]) -> None:
    """Every good item came out, and each bad one is a letter with its own item."""
    assert sorted(project.kept()) == sorted(set(range(N)) - BAD)
    letters = project.letters()
    assert Counter(letter.payload()["n"] for letter in letters) == Counter(BAD)  # type: ignore[index]
    assert len({letter.item_id for letter in letters}) == len(letters)
    assert {(letter.attempts, letter.cause) for letter in letters} == {(2, "raised")}
    one = letters[len(letters) // 2]
    assert one.traceback.rstrip().endswith(f"no price for {one.payload()['n']}")  # type: ignore[index]
    dead = project.state / "dead"
    size = sum(path.stat().st_size for path in dead.rglob("*") if path.is_file())
    assert size <= len(letters) * (LEAST_ITEM_BYTES + 2048)
    record_property("N of each", N)
    record_property("dead letters of each", len(letters))
    record_property("bytes of a letter", size // len(letters))


def project_with(project: Project, durability: str) -> Project:
    project.write(FUNCTIONS, DOCUMENT)
    file = project.root / "pipeline.toml"
    text = file.read_text().replace('durability = "memory"', f'durability = "{durability}"')
    file.write_text(text)
    return project


@pytest.mark.parametrize("durability", ["memory", "fsync"])
def test_each_failure_is_a_letter_of_its_own_item(
    project: Project, durability: str, record_property: Callable[[str, object], None]
) -> None:
    ended = project_with(project, durability).up("--no-import")
    assert ended.code == 1, ended.err
    assert ended.stage("work")["dead"] == len(BAD)
    assert ended.edge("rows->work")["settled"] == N
    assert_all_is_there(project, record_property)


def test_a_head_that_is_killed_amid_failures_loses_and_doubles_none(
    project: Project, record_property: Callable[[str, object], None]
) -> None:
    run = project_with(project, "fsync").start("--no-import")
    for kill in (1, 2):
        before = kill * len(BAD) // 5
        until(lambda least=before: len(project.letters()) >= least, "some have failed for good")
        run.signal(signal.SIGKILL)
        run.popen.communicate()
        run = project.start("--no-import")
    ended = run.wait(within_s=60)
    assert ended.code == 1, ended.err
    assert_all_is_there(project, record_property)


@pytest.mark.parametrize(
    "settings", ["", "batch = { count = 600 }"], ids=["one by one", "in batches"]
)
def test_failures_that_say_a_lot_are_told_in_messages_that_a_head_takes(
    project: Project, settings: str
) -> None:
    project.write(
        "class Spoilt:\n"
        "    def __reduce__(self):\n"
        "        return fail, ()\n\n\n"
        "def fail():\n"
        "    raise ValueError('first line\\n' + 'x' * 40_000)\n\n\n"
        "def rows():\n"
        "    for n in range(600):\n"
        "        yield Spoilt()\n\n\n"
        "def work(row):\n"
        "    pass\n",
        stage("rows", "functions:rows")
        + stage("work", "functions:work", f"retry = {{ attempts = 1 }}\n{settings}")
        + chain("rows", "work"),
    )
    ended = project.up("--no-import", within_s=60)
    assert ended.code == 1, ended.err
    letters = project.letters()
    assert [len(letters), {letter.cause for letter in letters}] == [600, {"undecodable"}]
    assert max(len(letter.traceback) for letter in letters) > 40_000


def test_values_that_a_source_cannot_send_are_told_in_a_message_that_a_head_takes(
    project: Project,
) -> None:
    project.write(
        "class Spoilt:\n"
        "    def __reduce__(self):\n"
        "        raise ValueError('x' * 40_000)\n\n\n"
        "def rows():\n"
        "    for n in range(3_000):\n"
        "        yield n if n % 2 else Spoilt()\n\n\n"
        "def work(row):\n"
        "    pass\n",
        stage("rows", "functions:rows") + stage("work", "functions:work") + chain("rows", "work"),
    )
    ended = project.up("--no-import", within_s=60)
    assert ended.code == 1, ended.err
    assert len(project.letters()) == 1_500
    assert ended.stage("work")["in"] == 1_500
