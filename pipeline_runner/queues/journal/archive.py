"""The journal of a run that is over, kept while its dead letters may be retried.

It lies beside the place of a live one, so that nobody takes it for a run to go on with. A retry
puts it back there.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from pipeline_runner.queues.journal.files import NAME
from pipeline_runner.queues.journal.recovery import open_journal
from pipeline_runner.queues.journal.schema import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pipeline_runner.queues.broker.transaction import Transaction
    from pipeline_runner.queues.journal.recovery import OpenJournal

FINISHED = NAME + ".finished"


def keep(state: Path) -> None:
    """Put the journal of a run that has ended aside; it is closed by now. Raises OSError."""
    path = state / NAME
    with closing(connect(path)) as sql:
        sql.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    path.replace(state / FINISHED)


def discard(state: Path) -> None:
    """Delete it: another run begins."""
    (state / FINISHED).unlink(missing_ok=True)


def found(state: Path) -> Path | None:
    """Return where the journal of the last run is, live or finished; None if it left none."""
    paths = (state / NAME, state / FINISHED)
    return next((path for path in paths if path.exists()), None)


def amend(
    state: Path, change: Callable[[OpenJournal], Sequence[Transaction]], *, over: str = ""
) -> OpenJournal:
    """Apply steps, together, to the journal of a run that no head has; the state folder is locked.

    What was finished is put back for a head to go on with if they leave anything queued, or open a
    source's cursor again. Of the run ``over`` only that keeps it from being finished. Raises like
    ``open_journal``, and FileNotFoundError where there is no journal.
    """
    was_finished = found(state) == state / FINISHED
    if was_finished:
        (state / FINISHED).replace(state / NAME)
    elif not (state / NAME).exists():
        raise FileNotFoundError(state / NAME)
    opened = open_journal(state)
    try:
        steps = change(opened)
        opened.writer.begin()
        for step in steps:
            opened.writer.write(step)
        opened.writer.seal()
        opened.sql.execute("COMMIT")
        (holds,) = opened.sql.execute("SELECT EXISTS (SELECT 1 FROM range)").fetchone()
    finally:
        opened.close()
    reopens = any(step.source is not None and not step.source[2].finished for step in steps)
    if (was_finished or opened.run == over) and not holds and not reopens:
        keep(state)
    return opened
