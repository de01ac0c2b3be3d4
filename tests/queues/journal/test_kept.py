"""What does not fit in memory lies in the journal alone, and comes back whole and in order."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from pipeline_runner.queues.broker.broker import Broker
from pipeline_runner.queues.broker.ranges import Range
from pipeline_runner.queues.broker.transaction import Body, PagedBody, Requeue, Transaction
from pipeline_runner.queues.journal.recovery import mark_suspect, open_journal
from pipeline_runner.wire.messages import Claim, Granted, Hello
from tests.queues.journal.steps import commit, contents
from tests.queues.shapes import graph

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_runner.queues.journal.recovery import OpenJournal

EDGE = "s->a"
BUDGET = 6_000  # of memory: four bodies of a thousand bytes, and what is beside them


def bodies(opened: OpenJournal, count: int) -> list[Body]:
    """Commit ``count`` bodies of a thousand bytes, two items each."""
    made = [Body(number, 2, bytes([number % 256]) * 1000) for number in range(1, count + 1)]
    commit(opened, *(Transaction(produced=[((EDGE,), one)]) for one in made))
    return made


def reopened(opened: OpenJournal, **limits: int) -> tuple[OpenJournal, Broker]:
    """Close and open a journal, and begin a broker over it."""
    opened.close()
    again = open_journal(opened.path.parent)
    broker = Broker(graph(((EDGE[0], EDGE[-1]),)), run="run-1", durable=again.durable, **limits)
    return again, broker


def claimed(broker: Broker, count: int) -> list[bytes]:
    """Claim ``count`` bodies and return their bytes."""
    session = broker.hello(Hello("worker", "here", "w", "a"), 0.0)
    for number in range(count):
        broker.claim(session, Claim(number + 1, 2), 0.0)
    sent = [effect for effect in broker.take() if isinstance(effect.message, Granted)]
    return [bytes(effect.data) for effect in sent]


@pytest.mark.parametrize("window", [1, 2, 7, 1000])
def test_a_restart_takes_the_front_into_memory_and_reads_the_rest_in_order(
    tmp_path: Path, window: int
) -> None:
    opened = open_journal(tmp_path)
    made = bodies(opened, 1500)
    again, broker = reopened(opened, window=window)
    edge = broker.state.edges[EDGE]
    assert len(edge.queue.ready) < 300
    assert (edge.queue.queued, edge.remaining, edge.bytes) == (3000, 3000, 1_500_000)
    assert claimed(broker, 1500) == [body.data for body in made]
    assert (edge.queue.queued, len(edge.queue.tail)) == (0, 0)
    again.close()


def test_what_is_published_past_the_window_is_only_counted_and_read_back_in_order(
    tmp_path: Path,
) -> None:
    opened = open_journal(tmp_path)
    broker = Broker(graph((("s", "a"),)), run="run-1", durable=opened.durable, window=4)
    made = bodies(opened, 100)
    for body in made:
        broker.state.publish((EDGE,), body)
    edge = broker.state.edges[EDGE]
    assert (len(edge.queue.ready), len(edge.queue.tail), edge.queue.queued) == (4, 96, 200)
    assert sorted(broker.state.bodies) == [1, 2, 3, 4]
    assert claimed(broker, 100) == [body.data for body in made]
    for body in made:
        broker.state.gone(EDGE, body.id, 2)
    assert (broker.state.held_bytes, broker.state.bodies) == (0, {})
    opened.close()


def test_past_the_memory_there_is_bodies_stay_in_the_journal(tmp_path: Path) -> None:
    opened = open_journal(tmp_path)
    broker = Broker(graph((("s", "a"),)), run="run-1", durable=opened.durable)
    state = broker.state
    state.memory_bytes = BUDGET
    made = bodies(opened, 20)
    for body in made:
        state.publish((EDGE,), body)
    assert len(state.bodies) == 4
    assert state.held_bytes <= BUDGET
    assert state.edges[EDGE].bytes == 20_000
    assert claimed(broker, 20) == [body.data for body in made]
    opened.close()


def test_the_first_body_of_an_edge_is_there_to_be_claimed_however_little_memory_is_left(
    tmp_path: Path,
) -> None:
    opened = open_journal(tmp_path)
    broker = Broker(graph((("s", "a"),)), run="run-1", durable=opened.durable)
    broker.state.memory_bytes = 0
    [body] = bodies(opened, 1)
    broker.state.publish((EDGE,), body)
    assert isinstance(broker.state.bodies[1], PagedBody)
    assert claimed(broker, 1) == [body.data]
    opened.close()


def test_a_retry_rests_on_after_a_restart_and_no_longer_than_it_had_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_journal(tmp_path)
    bodies(opened, 1)
    opened.writer._clock = lambda: 5_000.0
    commit(opened, Transaction(requeued=[Requeue(EDGE, Range(1, 0, 1, 1), 30.0)]))

    def rest_s(now: float) -> float:
        monkeypatch.setattr("time.time", lambda: now)
        monkeypatch.setattr("time.monotonic", lambda: 100.0)
        again, broker = reopened(opened)
        again.close()
        waiting = broker.state.edges[EDGE].queue.waiting
        assert len(waiting) == (now < 5_030)
        assert broker.state.edges[EDGE].queue.queued == 2
        return waiting[0][0] - 100.0 if waiting else 0.0

    assert rest_s(5_010.0) == 20.0
    assert rest_s(5_030.0) == 0.0
    assert rest_s(5_010.0 - 86_400) == 30.0  # a clock that went back a day prolongs nothing


def test_a_journal_written_anew_has_it_all(tmp_path: Path) -> None:
    opened = open_journal(tmp_path)
    made = bodies(opened, 10)
    commit(opened, Transaction(requeued=[Requeue(EDGE, Range(3, 1, 2, 2, True), 30.0)]))
    opened.close()
    mark_suspect(tmp_path / "journal")
    again = open_journal(tmp_path)
    found = contents(again)
    assert [body.data for body in found.bodies.values()] == [body.data for body in made]
    changed = found.ranges[EDGE, 3][1]
    assert (changed.attempts, changed.suspect, changed.not_before > 0) == (2, True, True)
    assert (found.tally.edges[EDGE].published, again.epoch) == (20, 2)
    again.close()


def test_what_changed_on_disk_is_not_handed_out(tmp_path: Path) -> None:
    opened = open_journal(tmp_path)
    [body] = bodies(opened, 1)
    shelved = opened.durable.put(body)
    assert shelved.data == body.data
    opened.sql.execute("UPDATE body SET data = x'00'")
    with pytest.raises(sqlite3.DatabaseError, match="body 1 is not what was written"):
        _ = shelved.data
    with pytest.raises(sqlite3.DatabaseError, match="body 1 is not what was written"):
        list(opened.durable.read(EDGE, [1], 1000))
    opened.sql.execute("UPDATE range SET hi = 9")
    with pytest.raises(sqlite3.DatabaseError, match="what s->a holds is not what was written"):
        list(opened.durable.read(EDGE, [1], 1000))
    opened.close()


def test_counts_go_on_after_a_restart(tmp_path: Path) -> None:
    opened = open_journal(tmp_path)
    bodies(opened, 3)
    commit(opened, Transaction(consumed=[(EDGE, 1, ((0, 2),))], failed=[("a", True), ("a", False)]))
    again, broker = reopened(opened)
    stages = broker.state.stages
    assert (stages["s"].emitted, stages["a"].consumed) == (6, 2)
    assert (stages["a"].failed, stages["a"].dropped) == (2, 1)
    assert broker.state.edges[EDGE].settled == 2
    again.close()


def test_a_transaction_that_is_rolled_back_counts_nothing(tmp_path: Path) -> None:
    opened = open_journal(tmp_path)
    opened.writer.begin()
    opened.writer.write(Transaction(produced=[(("new->edge",), Body(7, 2, b"ab"))]))
    opened.sql.execute("ROLLBACK")
    opened.writer.rolled_back()
    bodies(opened, 1)
    opened.writer.rolled_back()  # as where there is no room to begin: what is durable stays so
    commit(opened)
    opened.close()
    again = open_journal(tmp_path)
    found = contents(again)
    assert (found.next_body, found.tally.edges[EDGE].published) == (2, 2)
    assert list(found.ranges) == [(EDGE, 1)]
    again.close()
