"""Dead letters that go back into the journal of a run that no head has."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from pipeline_runner.queues.broker.transaction import Body, Redrive, Transaction, redriven
from pipeline_runner.queues.journal import archive
from pipeline_runner.queues.journal.recovery import open_journal
from tests.queues.durable import Durable
from tests.queues.journal.steps import commit, contents, facts, letter, random_step

if TYPE_CHECKING:
    from pathlib import Path


def closing(chance: random.Random, durable: Durable) -> Transaction:
    """Return a step that closes letters, their items revived or not."""
    some = chance.sample(durable.letters, chance.randint(1, len(durable.letters)))
    step = Transaction(closed=[one.letter for one in some])
    if chance.random() < 0.7:
        back = [Redrive(one.edge, one.body, one.index, b"item") for one in some]
        step.redriven = redriven(back, durable.next_body)
    return step


@pytest.mark.parametrize("seed", range(10))
def test_a_journal_recovers_what_retries_and_drops_built(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    opened = open_journal(tmp_path)
    durable, closed = Durable(), 0
    for number in range(1, 120):
        if durable.letters and chance.random() < 0.3:
            step = closing(chance, durable)
            closed += 1
        else:
            step = random_step(chance, durable, number)
        durable.apply(step)
        commit(opened, step)
    opened.sql.close()
    assert closed > 3
    again = open_journal(tmp_path)
    again.sql.close()
    assert facts(contents(again)) == facts(durable)
    assert again.damage == []


@pytest.fixture
def over(tmp_path: Path) -> Path:
    """The journal of a run that finished with one dead letter."""
    opened = open_journal(tmp_path)
    made = Body(1, 2, b"ab", "rel")
    commit(opened, Transaction(produced=[(("a->b",), made)]))
    commit(
        opened, Transaction(consumed=[("a->b", 1, ((0, 1),))], letters=[letter(1, "a->b", 1, 1)])
    )
    opened.sql.close()
    archive.keep(tmp_path)
    return tmp_path


def test_a_finished_journal_is_no_run_to_go_on_with(over: Path) -> None:
    assert [path.name for path in over.iterdir()] == ["journal.finished"]
    assert archive.found(over) == over / "journal.finished"
    archive.discard(over)
    assert archive.found(over) is None


def test_it_is_one_again_once_something_is_queued(over: Path) -> None:
    back = redriven([Redrive("a->b", 1, 1, b"item")], 2)
    archive.amend(over, lambda _opened: [Transaction(redriven=back, closed=[1])])
    assert archive.found(over) == over / "journal"
    opened = open_journal(over)
    opened.sql.close()
    ((key, ranges),) = contents(opened).ranges.items()
    assert (key, ranges[0].lo, ranges[0].hi, ranges[0].attempts) == (("a->b", 2), 0, 1, 0)
    assert contents(opened).letters == []


def test_it_stays_finished_when_letters_are_only_dropped(over: Path) -> None:
    archive.amend(over, lambda _opened: [Transaction(closed=[1])])
    assert archive.found(over) == over / "journal.finished"


def test_there_is_nothing_to_amend_without_a_journal(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        archive.amend(tmp_path, lambda _opened: [])
    assert list(tmp_path.iterdir()) == []
