"""Power cuts at random moments of a journal's life, on a disk that forgets what was not synced."""

from __future__ import annotations

import asyncio
import copy
import random
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

from pipeline_runner.errors import RunnerError
from pipeline_runner.queues.broker.effects import Pending
from pipeline_runner.queues.journal import store as stores
from pipeline_runner.queues.journal.recovery import open_journal
from pipeline_runner.queues.journal.store import Journal
from tests.faults.forgetful import MEMORY, Disk, under_sqlite
from tests.faults.outcome import Outcome
from tests.queues.durable import Durable
from tests.queues.journal.clerk import Clerk
from tests.queues.journal.steps import contents, facts, random_step

if TYPE_CHECKING:
    from collections.abc import Iterator

STEPS = 40  # of each life
CUTS = 3  # lives of each journal
TORN = ("the journal's last commit was cut short", "the end of the journal cannot be read: ")


class Lost(AssertionError):
    """What was found after a power cut is no state that may be found."""


def power_cuts(seeds: range, *, lies: bool = False) -> Outcome:
    """Cut the power under ``CUTS`` lives of a journal for each seed."""
    outcome, answered, unanswered = Outcome(), 0, 0
    for seed in seeds:
        chance = random.Random(seed)
        # Checkpoints move pages and begin the log anew: have many.
        often = mock.patch.object(stores, "CHECKPOINT_BYTES", chance.choice((1, 30_000)))
        with tempfile.TemporaryDirectory(prefix="cut-", dir=MEMORY) as name, often:
            try:
                acknowledged, kept = _lives(Path(name), chance, lies=lies)
            except Lost as error:
                outcome.faults.append(f"seed {seed}: {error}")
                continue
            answered += acknowledged
            unanswered += kept
    outcome.figures |= {
        "seeds": len(seeds),
        "cuts": CUTS * len(seeds),
        "steps acknowledged": answered,
        "of them lost": len(outcome.faults),
        "kept without an answer": unanswered,
    }
    return outcome


def _lives(root: Path, chance: random.Random, *, lies: bool) -> tuple[int, int]:
    acknowledged, unanswered = 0, 0
    folder = root / "0"
    folder.mkdir()
    before = Durable()
    for life in range(1, CUTS + 1):
        disk = Disk(folder)
        states, least, left = _life(folder, disk, chance, before, lies=lies)
        folder = root / str(life)
        folder.mkdir()
        for path, content in left.items():
            if not path.endswith("-shm"):
                (folder / path).write_bytes(content)
        try:
            with under_sqlite(Disk(folder)):
                opened = open_journal(folder)
        except RunnerError as error:
            raise Lost(error.message) from error
        opened.sql.close()
        found = facts(contents(opened))
        # A commit that was torn before its answer looks like one that was damaged after it, and
        # is told: it will be done again. Nothing else may be wrong.
        if not all(damage.startswith(TORN) for damage in opened.damage):
            raise Lost(f"damage after a mere power cut: {opened.damage}")
        allowed = [number for number, state in enumerate(states) if state == found]
        if not any(number >= least for number in allowed):
            what = f"step {max(allowed)}" if allowed else "no state there ever was"
            raise Lost(f"{least} steps were acknowledged, and found is {what}")
        acknowledged += least
        unanswered += max(allowed) - least
        before = contents(opened)
    return acknowledged, unanswered


def _life(
    folder: Path, disk: Disk, chance: random.Random, before: Durable, *, lies: bool
) -> tuple[list[tuple[object, ...]], int, dict[str, bytes]]:
    """Run a journal and cut the power at one of its changes of the disk.

    Returns the state after each step, how many were acknowledged by then, and the files left.
    """
    clerk, at = Clerk(), chance.randrange(2, 200)
    left: list[tuple[int, dict[str, bytes]]] = []
    count = 0
    opened_yet = False

    def cut() -> None:
        nonlocal count
        count += 1
        # An epoch is taken before the first answer; a journal without it was never answered for.
        if opened_yet and count >= at and not left:
            left.append((len(clerk.answers), disk.after_a_cut(chance)))

    disk.before_each = cut
    states = [copy.deepcopy(facts(before))]

    async def story() -> None:
        nonlocal opened_yet
        opened = open_journal(folder)
        opened_yet, disk.lies = True, lies
        store = Journal(opened, clerk, relaxed=False)
        durable = copy.deepcopy(before)
        for step in _steps(chance, durable, states):
            store.commit(step)
            if chance.random() < 0.4:
                await asyncio.sleep(0)
            if chance.random() < 0.3:
                await clerk.until(lambda: store.idle)
        await clerk.until(lambda: store.idle)
        if not left:  # the power goes at the very end
            left.append((len(clerk.answers), disk.after_a_cut(chance)))
        store.close()

    with under_sqlite(disk):
        asyncio.run(story())
    return states, *left[0]


def _steps(
    chance: random.Random, durable: Durable, states: list[tuple[object, ...]]
) -> Iterator[Pending]:
    first = 1 + max((letter.letter for letter in durable.letters), default=0)
    for number in range(first, first + STEPS):
        step = random_step(chance, durable, number)
        durable.apply(step)
        states.append(copy.deepcopy(facts(durable)))
        yield Pending(copy.deepcopy(step))
