"""What lies in the queues of a run that no head has, read from its journal and nothing changed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from pipeline_runner.errors import RunnerError
from pipeline_runner.queues.broker.inspection import MOST_BYTES, Backlog, Seen
from pipeline_runner.queues.broker.transaction import item_id
from pipeline_runner.queues.journal.archive import found
from pipeline_runner.wire.repack import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def backlogs(state: Path) -> list[Backlog] | None:
    """Return the edges that hold something; None if there is no journal. Raises RunnerError."""
    query = """
        SELECT name, sum(hi - lo), sum(length(data) * (hi - lo) / max(n, 1))
        FROM range CROSS JOIN body ON body.id = range.body JOIN edge ON edge.id = range.edge
        GROUP BY name ORDER BY name"""
    for sql in _opened(state):
        rows = sql.execute(query).fetchall()
        return [Backlog(edge, items, 0, 0, size or 0) for edge, items, size in rows]
    return None


def run_of(state: Path) -> str:
    """Return the run that the journal is of, live or finished; empty without one."""
    for sql in _opened(state):
        (run,) = sql.execute("SELECT run FROM state").fetchone()
        return str(run)
    return ""


def first(state: Path, edge: str, most: int) -> tuple[list[Seen], dict[int, bytes]] | None:
    """Return up to ``most`` items of ``edge`` and their bodies; None if there is no journal.

    Raises RunnerError.
    """
    ranges = """
        SELECT body, lo, hi, attempts, suspect FROM range JOIN edge ON edge.id = range.edge
        WHERE name = ? ORDER BY body, lo LIMIT ?"""
    for sql in _opened(state):
        (run,) = sql.execute("SELECT run FROM state").fetchone()
        bodies: dict[int, bytes] = {}
        seen: list[Seen] = []
        for body, lo, hi, attempts, suspect in sql.execute(ranges, (edge, most)):
            if body not in bodies:
                if sum(map(len, bodies.values())) > MOST_BYTES:
                    break
                (data,) = sql.execute("SELECT data FROM body WHERE id = ?", (body,)).fetchone()
                bodies[body] = data
            seen += [
                Seen(
                    item_id(run, edge, *name_of(bodies[body], body, place)),
                    body,
                    place,
                    attempts,
                    bool(suspect),
                )
                for place in range(lo, min(hi, lo + most - len(seen)))
            ]
            if len(seen) >= most:
                break
        return seen, bodies
    return None


def _opened(state: Path) -> Iterator[sqlite3.Connection]:
    path = found(state)
    if path is None:
        return
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as sql:
            yield sql
    except (sqlite3.Error, TypeError, ValueError) as error:
        raise RunnerError(f"the journal {path} cannot be read: {error}") from error
