"""No death repeats without a charge: what ran when its worker died is found, charged and told."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import chain, stage
from tests.e2e.projects import fresh_project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.kit import Ended, Project

N = 3
ATTEMPTS = 2
FUNCTIONS = """\
import os

from kept import note
from pipeline_runner import context


def numbers():
    yield from range(3)


def shut():
    # All but the three everybody has, and the file that notes are written to.
    from kept import _fd
    os.closerange(3, _fd)
    os.closerange(_fd + 1, 4096)


def plain(number):
    note("called", context().stage, number)
    shut()
    return number


def generates(number):
    note("called", context().stage, number)
    shut()
    yield number


def batched(numbers):
    for number in numbers:
        note("called", context().stage, number)
    shut()
    return numbers


async def awaits(number):
    note("called", context().stage, number)
    shut()
    return number


async def streams(number):
    note("called", context().stage, number)
    shut()
    yield number


def source():
    note("called", "source", 0)
    shut()
    yield from range(3)
"""
KINDS = {
    "plain": "",
    "generates": "",
    "batched": "batch = { count = 2 }\n",
    "awaits": "",
    "streams": "",
}
RETRY = f'retry = {{ attempts = {ATTEMPTS}, backoff = "10ms" }}\n'


@pytest.fixture(scope="module", params=["memory", "fsync"])
def shut(request: pytest.FixtureRequest) -> Iterator[tuple[Project, Ended]]:
    """Run every kind of stage beside each other; each closes its worker's descriptors."""
    document = stage("numbers", "functions:numbers") + stage("keep", "kept:keep")
    for name, settings in KINDS.items():
        document += stage(name, f"functions:{name}", settings + RETRY)
        document += chain("numbers", name, "keep")
    document += stage("source", "functions:source", RETRY) + chain("source", "keep")
    with fresh_project() as project:
        project.write(FUNCTIONS, document)
        file = project.root / "pipeline.toml"
        file.write_text(file.read_text().replace('"memory"', f'"{request.param}"'))
        yield project, project.up("--local", within_s=90)


def test_items_that_close_their_workers_descriptors_become_letters_that_say_so(
    shut: tuple[Project, Ended],
) -> None:
    project, ended = shut
    assert ended.code == 1, ended.err
    letters = project.letters()
    assert Counter(letter.stage for letter in letters) == dict.fromkeys(KINDS, N) | {"source": 1}
    assert {letter.attempts for letter in letters} == {ATTEMPTS}
    assert all("closed its worker's own descriptors" in letter.error for letter in letters)
    assert project.kept() == []


def test_an_item_whose_worker_dies_runs_once_for_each_attempt_and_at_most_once_more(
    shut: tuple[Project, Ended], record_property: Callable[[str, object], None]
) -> None:
    project, _ended = shut
    runs = Counter(note[1:] for note in project.notes() if note[0] == "called")
    record_property("attempts", ATTEMPTS)
    record_property("times it ran", max(runs.values()))
    assert min(runs.values()) >= ATTEMPTS
    assert max(runs.values()) <= ATTEMPTS + 1
