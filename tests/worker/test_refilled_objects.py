"""Real programs that hand out one object again and again, beside what a plain loop would give."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline_runner.testing import run_inline
from tests.e2e.kit import chain, stage
from tests.e2e.projects import fresh_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.kit import Ended, Project

N = 5_000
FUNCTIONS = """\
import time
from kept import note
from pipeline_runner import At, Tagged, context

N = 5_000
OPTIONS = {"keep": True}


def rows():
    row = {"n": -1, "options": OPTIONS}
    for n in range(N):
        row["n"] = n
        if n == 2_000:
            time.sleep(0.05)
        yield row


def marked(cursor):
    row, place = {"n": -1, "options": OPTIONS}, {"at": -1}
    for n in range(0 if cursor is None else cursor["at"] + 1, N):
        row["n"] = place["at"] = n
        yield At(row, place)


class Refills:
    def __init__(self):
        self.row = {"n": -1, "options": OPTIONS}

    def __call__(self, row):
        row["options"].pop("keep")  # nobody else's
        self.row["n"] = row["n"]
        return self.row


def many(row):
    row["options"].pop("keep")
    made = {"options": OPTIONS}
    for turn in range(2):
        made["n"] = row["n"], turn
        yield made


shared = {"options": OPTIONS}


async def later(row):
    row["options"].pop("keep")
    shared["n"] = row["n"]
    return shared


async def some(row):
    row["options"].pop("keep")
    for turn in range(2):
        shared["n"] = row["n"], turn
        yield shared


def batch(rows):
    for row in rows:
        row["options"].pop("keep")
        shared["n"] = row["n"]
        yield shared


class Tags:
    row = {"options": OPTIONS}

    def __call__(self, row):
        row["options"].pop("keep")
        self.row["n"] = row["n"]
        return Tagged(self.row, "odd" if row["n"] % 2 else "even")


class Keeps:
    def __init__(self):
        self.rows = []

    def __call__(self, row):
        row["options"].pop("keep")
        self.rows.append(row["n"])

    def close(self):
        note(context().stage, sorted(self.rows))
"""
ONE_EACH = {"refills": "Refills", "later": "later", "batch": "batch", "tags": "Tags"}
TWO_EACH = {"many": "many", "some": "some"}
SETTINGS = {"batch": 'batch = { count = 7, period = "10ms" }'}


def document() -> str:
    made = stage("rows", "functions:rows") + stage("marked", "functions:marked")
    for name, run in {**ONE_EACH, **TWO_EACH}.items():
        made += stage(name, f"functions:{run}", SETTINGS.get(name, ""))
        made += stage(f"keep-{name}", "functions:Keeps")
        made += chain("marked" if name in ("later", "many") else "rows", name)
        for tag in ("odd", "even") if name == "tags" else ("",):
            made += chain(name, f"keep-{name}")
            made += f'tags = ["{tag}"]\nname = "{tag}"\n' if tag else ""
    return made


@pytest.fixture(scope="module")
def ran() -> Iterator[tuple[Project, Ended]]:
    with fresh_project() as project:
        project.write(FUNCTIONS, document())
        yield project, project.up(within_s=100)


def test_nobody_is_charged_for_what_is_shared_with_another(ran: tuple[Project, Ended]) -> None:
    _project, ended = ran
    assert ended.code == 0, ended.err


@pytest.mark.parametrize("name", ONE_EACH)
def test_every_row_arrives_as_it_was_when_it_was_given(
    ran: tuple[Project, Ended], name: str
) -> None:
    project, _ended = ran
    (rows,) = [note[1] for note in project.notes() if note[0] == f"keep-{name}"]
    assert rows == list(range(N))


@pytest.mark.parametrize("name", TWO_EACH)
def test_every_row_of_a_generator_arrives_as_it_was_when_it_was_yielded(
    ran: tuple[Project, Ended], name: str
) -> None:
    project, _ended = ran
    (rows,) = [note[1] for note in project.notes() if note[0] == f"keep-{name}"]
    assert rows == [(n, turn) for n in range(N) for turn in range(2)]


INLINE = """\
ROW = {}


def rows():
    for n in range(4):
        ROW["n"] = n
        yield ROW


def many(row):
    for turn in range(2):
        ROW["n"] = row["n"], turn
        yield ROW


def batch(rows):
    for row in rows:
        ROW["n"] = row["n"]
        yield ROW


def show(row):
    return row.pop("n")
"""


def test_in_one_process_items_are_values_too() -> None:
    with fresh_project() as project:
        document = (
            stage("rows", "inline_rows:rows")
            + stage("many", "inline_rows:many")
            + stage("batch", "inline_rows:batch", "batch = { count = 3 }")
            + stage("show", "inline_rows:show")
            + chain("rows", "many", "batch", "show")
        )
        project.write("", document, more={"inline_rows": INLINE})
        pipeline = project.root / "pipeline.toml"
        inline = run_inline(pipeline, {"rows": [{"n": n} for n in range(4)]})
    assert inline["show"] == [(n, turn) for n in range(4) for turn in range(2)]
