"""Bodies past the memory budget live in the journal alone, and come back whole."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from pipeline_runner.queues.broker import Broker
from pipeline_runner.queues.journal.recovery import mark_suspect, open_journal
from pipeline_runner.queues.messages import Claim, Granted, Hello
from pipeline_runner.queues.transaction import Body, Durable, Shelved, Transaction
from tests.journal.steps import commit
from tests.queues.shapes import graph

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_runner.queues.journal.recovery import Opened

BUDGET = 3_500


def bodies(opened: Opened, count: int) -> list[Body]:
    """Commit ``count`` bodies of a thousand bytes."""
    made = [Body(number, 2, bytes([number]) * 1000) for number in range(1, count + 1)]
    for one in made:
        commit(opened, Transaction(produced=[(("s->a",), one)]))
    return made


def claimed(broker: Broker, count: int) -> list[bytes]:
    """Claim ``count`` bodies and return their bytes."""
    session = broker.hello(Hello("worker", "here", "w", "a"), 0.0)
    for number in range(count):
        broker.claim(session, Claim(number + 1, 2), 0.0)
    sent = [effect for effect in broker.take() if isinstance(effect.message, Granted)]
    return [effect.data for effect in sent]


def test_a_restart_reads_no_more_bodies_than_fit(tmp_path: Path) -> None:
    opened = open_journal(tmp_path)
    made = bodies(opened, 10)
    opened.sql.close()
    again = open_journal(tmp_path, memory_bytes=BUDGET)
    kinds = [type(body) for body in again.durable.bodies.values()]
    assert kinds == [Body] * 3 + [Shelved] * 7
    broker = Broker(graph((("s", "a"),)), run="run-1", durable=again.durable)
    assert broker.books.held_bytes == 3_000
    assert claimed(broker, 10) == [body.data for body in made]
    again.shelf.close()
    again.sql.close()


def test_what_is_published_past_the_budget_is_read_back_at_the_claim(tmp_path: Path) -> None:
    opened = open_journal(tmp_path)
    broker = Broker(graph((("s", "a"),)), run="run-1", durable=Durable())
    books = broker.books
    books.shelve, books.memory_bytes = opened.shelf.put, BUDGET
    made = bodies(opened, 10)
    for body in made:
        books.publish(("s->a",), body)
    assert books.held_bytes == 3_000
    assert sum(isinstance(body, Shelved) for body in books.bodies.values()) == 7
    assert books.edges["s->a"].bytes == 10_000
    assert claimed(broker, 10) == [body.data for body in made]
    for body in made:
        books.gone("s->a", body.id, 2)
    assert books.held_bytes == 0
    opened.shelf.close()
    opened.sql.close()


def test_a_journal_written_anew_has_the_shelved_bodies_too(tmp_path: Path) -> None:
    opened = open_journal(tmp_path)
    made = bodies(opened, 10)
    opened.sql.close()
    mark_suspect(tmp_path / "journal")
    again = open_journal(tmp_path, memory_bytes=BUDGET)
    assert [body.data for body in again.durable.bodies.values()] == [body.data for body in made]
    again.shelf.close()
    again.sql.close()


def test_a_shelved_body_that_changed_on_disk_is_not_handed_out(tmp_path: Path) -> None:
    opened = open_journal(tmp_path, memory_bytes=0)
    [body] = bodies(opened, 1)
    shelved = opened.shelf.put(body)
    assert shelved.data == body.data
    opened.sql.execute("UPDATE body SET data = x'00'")
    with pytest.raises(sqlite3.DatabaseError, match="body 1 is not what was written"):
        _ = shelved.data
    opened.shelf.close()
    opened.sql.close()
