"""Dead letters that go back to work: once each, whoever dies meanwhile."""

from __future__ import annotations

import json
import random
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.kit import chain, stage, until

if TYPE_CHECKING:
    from tests.e2e.kit import Project, Run

FUNCTIONS = """\
import os

from kept import keep, note, pass_gate

N = {items}


def numbers():
    note("source")
    yield from range(N)


def square(number):
    if number % {every} == 0 and not os.path.exists(os.environ["RUNNER_OUTPUT"] + "/mended"):
        raise ValueError(number)
    return number * number


def late():
    pass_gate("gate")
    yield from ()
"""


def write(
    project: Project, items: int, *, every: int = 2, durability: str = "fsync", late: bool = True
) -> None:
    """Write a pipeline that fails for each ``every``-th item, and stays until the gate opens."""
    stages = stage("numbers", "functions:numbers")
    stages += stage("square", "functions:square", "retry = { attempts = 1 }")
    stages += stage("keep", "functions:keep")
    edges = chain("numbers", "square", "keep")
    if late:
        stages += stage("late", "functions:late") + stage("last", "functions:keep")
        edges += chain("late", "last")
    project.write(FUNCTIONS.format(items=items, every=every), stages + edges)
    file = project.root / "pipeline.toml"
    file.write_text(file.read_text().replace('"memory"', f'"{durability}"'))


def squares(items: int, *, every: int = 1, left: int = 0) -> list[int]:
    return [n * n for n in range(items) if every == 1 or n % every != left]


def each_kept_once(project: Project, items: int) -> None:
    """Assert that every item came out, as one item; however often the sink ran for it."""
    kept = project.kept()
    assert sorted(kept) == squares(items)


def retry(project: Project, *arguments: str) -> dict[str, Any]:
    ended = project.runner("errors", "retry", "--json", *arguments)
    assert ended.stdout, ended.stderr
    facts: dict[str, Any] = json.loads(ended.stdout)
    return facts


def stopped_short(project: Project, run: Run, items: int) -> None:
    """Wait until every item that can is through, and the stages have ended."""
    until(lambda: run.stage("keep").get("state") == "finished", "the stages end")
    assert len(project.letters()) == items - len(project.kept())


@pytest.mark.parametrize("durability", ["memory", "fsync"])
def test_retry_reopens_finished_stages_of_a_running_head_under_the_items_old_names(
    project: Project, durability: str
) -> None:
    write(project, 20, durability=durability)
    run = project.start("--no-import")
    stopped_short(project, run, 20)
    names = {letter.item_id for letter in project.letters()}
    numbers = [letter.letter for letter in project.letters()]
    (project.root / "mended").touch()
    facts = retry(project, "--all")
    assert sorted(facts["retried"]) == sorted(numbers)
    assert facts["running"]
    until(lambda: len(project.kept()) == 20, "the mended items come out")
    until(lambda: run.stage("keep").get("state") == "finished", "the stages end again")
    assert run.look()["dead_letters"] == 0
    assert project.letters() == []
    project.open_gate()
    ended = run.wait()
    assert ended.code == 0, ended.err
    each_kept_once(project, 20)
    assert len(names) == 10


def test_an_item_that_fails_again_is_a_dead_letter_of_the_same_name_again(
    project: Project,
) -> None:
    write(project, 4)
    run = project.start("--no-import")
    stopped_short(project, run, 4)
    names = sorted(letter.item_id for letter in project.letters())
    retry(project, "--stage", "square")
    until(lambda: len(project.letters()) == 2, "they fail again")
    assert sorted(letter.item_id for letter in project.letters()) == names
    assert [letter.payload() for letter in project.letters()] == [0, 2]
    project.open_gate()
    assert run.wait().code == 1


def test_a_finished_run_goes_on_with_what_was_retried_and_with_nothing_else(
    project: Project,
) -> None:
    write(project, 20, late=False)
    assert project.up("--no-import").code == 1
    (project.root / "mended").touch()
    first = project.letters()[0].letter
    assert retry(project, str(first)) == {"retried": [first], "refused": {}, "running": False}
    assert len(project.letters()) == 9
    assert project.up("--no-import").code == 1  # nine are left
    assert len(project.kept()) == 11
    assert len(retry(project, "--all")["retried"]) == 9
    assert project.up("--no-import").code == 0
    each_kept_once(project, 20)
    assert [note[0] for note in project.notes()].count("source") == 1
    assert not list(project.state.glob("journal*"))


def test_a_finished_run_without_retries_is_not_gone_on_with(project: Project) -> None:
    write(project, 4, late=False)
    assert project.up("--no-import").code == 1
    (project.root / "mended").touch()
    assert project.up("--no-import").code == 0
    assert [note[0] for note in project.notes()].count("source") == 2
    assert len(project.letters()) == 2, "those of the first run are kept"


def test_retry_is_refused_where_the_queues_were_in_memory_and_nobody_has_them(
    project: Project,
) -> None:
    write(project, 4, durability="memory", late=False)
    assert project.up("--no-import").code == 1
    ended = project.runner("errors", "retry", "--all")
    assert ended.returncode == 1
    assert "their run has ended, and its queues with it" in ended.stderr
    assert "--pdb" in ended.stderr
    assert len(project.letters()) == 2


def test_drop_asks_and_then_forgets_for_good(project: Project) -> None:
    write(project, 6, late=False)
    assert project.up("--no-import").code == 1
    first, *others = (letter.letter for letter in project.letters())
    ended = project.runner("errors", "drop", str(first))
    assert ended.returncode == 2
    assert "add --yes" in ended.stderr
    assert len(project.letters()) == 3
    assert project.runner("errors", "drop", str(first), "--yes").returncode == 0
    assert [letter.letter for letter in project.letters()] == others
    assert project.runner("errors", "drop", "--all", "--yes").returncode == 0
    assert project.letters() == []
    assert list((project.state / "dead").iterdir()) == []
    assert not (project.state / "journal.finished").exists()


def test_drop_through_a_running_head_leaves_a_run_without_fault(project: Project) -> None:
    write(project, 6)
    run = project.start("--no-import")
    stopped_short(project, run, 6)
    assert project.runner("errors", "drop", "--all", "--yes").returncode == 0
    project.open_gate()
    assert run.wait().code == 0
    assert len(project.kept()) == 3


@pytest.mark.slow
def test_retries_are_exact_when_the_head_is_killed_at_any_point(project: Project) -> None:
    items = 400
    write(project, items, every=1)
    chance = random.Random(20)
    run = project.start("--no-import")
    until(lambda: len(project.letters()) == items, "every item fails")
    (project.root / "mended").touch()
    for _ in range(8):
        numbers = [str(letter.letter) for letter in project.letters()]
        some = chance.sample(numbers, min(40, len(numbers)))
        asked = threading.Thread(target=project.runner, args=("errors", "retry", *some))
        asked.start()
        until(lambda left=numbers: len(project.letters()) < len(left), "some are taken")
        run.signal(signal.SIGKILL)
        run.popen.communicate()
        asked.join()
        run = project.start("--no-import")
        until(run.look, "a head that answers")
    until(lambda: retry(project, "--all") is not None and not project.letters(), "all retried")
    project.open_gate()
    ended = run.wait()
    assert ended.code == 0, ended.err
    each_kept_once(project, items)
    assert len({note[1] for note in project.notes() if note[0] == "keep"}) == items
