"""Transactions as a broker makes them, at random, and the durable state they build."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from pipeline_runner.queues.broker.counters import Through
from pipeline_runner.queues.broker.ranges import Range
from pipeline_runner.queues.broker.transaction import Body, Letter, Requeue, Retry, Transaction
from pipeline_runner.wire.messages import Cursor
from tests.queues.durable import Durable

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from pipeline_runner.queues.journal.recovery import OpenJournal

EDGES = ("a->b", "b->c")


def letter(number: int, edge: str, body: int, index: int, attempts: int = 3) -> Letter:
    """A letter of an item that has kept its place, and so its name."""
    return Letter(
        letter=number,
        run="run-1",
        stage="b",
        edge=edge,
        body=body,
        index=index,
        attempts=attempts,
        host="here",
        pid=1,
        release="",
        cause="raised",
        error="ValueError: no",
        traceback="",
        item=b"item",
        held_in=body,
        place=index,
    )


def random_steps(chance: random.Random, count: int) -> Iterator[tuple[Transaction, Durable]]:
    """Yield each step and the one durable state that all so far have built."""
    durable = Durable()
    for number in range(1, count + 1):
        step = random_step(chance, durable, number)
        durable.apply(step)
        yield step, durable


def random_step(chance: random.Random, durable: Durable, number: int) -> Transaction:
    step = Transaction()
    there = [(edge, r) for (edge, _body), ranges in durable.ranges.items() for r in ranges]
    kind = chance.choice(("source", "map", "map", "sink", "retry", "together", "letter"))
    if kind == "source" or not there:
        seq = durable.cursors.get(("a", 0), Cursor()).seq + 1
        step.source = ("a", 0, Cursor(seq, seq * 3, chance.randbytes(3), finished=seq > 50))
        step.builds_on = seq - 1
        step.produced.append((EDGES[:1], body(chance, durable.next_body)))
        return step
    edge, item = chance.choice(there)
    cut = chance.randrange(item.lo, item.hi)
    span = (cut, chance.randrange(cut + 1, item.hi + 1))
    if kind == "retry":
        changed = Range(item.body, cut, cut + 1, item.attempts + 1, chance.random() < 0.5)
        step.requeued.append(Requeue(edge, changed, 1.0))
        step.failed.append(("b", False))
    elif kind == "together":
        again = body(chance, durable.next_body, n=span[1] - span[0])
        taken = ((item.body, (span,)),)
        step.retried.append(Retry(edge, again, taken, item.attempts + 1, 1.0))
        step.failed.append(("b", False))
    elif kind == "letter":
        step.letters.append(letter(number, edge, item.body, cut, item.attempts + 1))
    else:
        step.consumed.append((edge, item.body, (span,)))
        if kind == "map":
            edges = EDGES if chance.random() < 0.2 else EDGES[1:]
            step.produced.append((edges, body(chance, durable.next_body)))
    return step


def body(chance: random.Random, number: int, n: int = 0) -> Body:
    n = n or chance.randrange(1, 20)
    return Body(number, n, chance.randbytes(chance.choice((5, 50, 5000))), "rel")


def contents(opened: OpenJournal) -> Durable:
    """Read all of a journal, and let go of it."""
    kept, durable = opened.durable, Durable()
    durable.cursors, durable.tally = dict(kept.cursors), kept.tally
    durable.next_body, durable.next_letter = kept.next_body, kept.next_letter
    for edge, backlog in kept.backlogs().items():
        items = 0
        for one, ranges in kept.read(edge, backlog.numbers, 1 << 62):
            assert isinstance(one, Body)
            durable.bodies[one.id] = one
            durable.ranges[edge, one.id] = ranges
            items += sum(r.hi - r.lo for r in ranges)
        assert items == backlog.items
    kept.close()
    with closing(sqlite3.connect(opened.path)) as sql:
        query = "SELECT number, edge, body, place, attempts FROM letter ORDER BY number"
        durable.letters = [letter(*row) for row in sql.execute(query)]
    assert kept.dead == durable.dead
    return durable


def facts(durable: Durable) -> tuple[object, ...]:
    """Return all that a durable state says, for comparison."""
    ranges = {
        key: sorted((r.lo, r.hi, r.attempts, r.suspect) for r in items)
        for key, items in durable.ranges.items()
    }
    letters = [
        (one.letter, one.stage, one.edge, one.body, one.index, one.attempts)
        for one in durable.letters
    ]
    tally = {name: edge for name, edge in durable.tally.edges.items() if edge != Through()}
    numbers = durable.next_body, durable.next_letter
    return durable.bodies, ranges, durable.cursors, letters, numbers, tally, durable.tally.stages


def commit(opened: OpenJournal, *steps: Transaction) -> None:
    """Commit ``steps`` in one transaction."""
    opened.writer.begin()
    for step in steps:
        opened.writer.write(step)
    opened.writer.seal()
    opened.sql.execute("COMMIT")
    opened.writer.committed()
