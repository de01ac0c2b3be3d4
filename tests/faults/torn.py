"""A journal cut short at a thousand places, and with one bit flipped at hundreds."""

from __future__ import annotations

import random
import shutil
import tempfile
from pathlib import Path

from pipeline_runner.queues.journal.recovery import open_journal
from tests.faults.forgetful import MEMORY
from tests.faults.outcome import Outcome
from tests.queues.journal.steps import contents, facts
from tests.queues.journal.test_recovery import copied, filled, intact

COMMITS = 60


def cut_short(places: int) -> Outcome:
    """Cut the log at ``places`` places; each time a prefix of the commits has to be found."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory(prefix="torn-", dir=MEMORY) as name:
        home = Path(name, "home")
        home.mkdir()
        states = filled(home, 3, COMMITS, close=False)
        size = (home / "journal-wal").stat().st_size
        cuts = sorted(random.Random(5).sample(range(size + 1), places))
        prefixes, last = set(), 0
        for cut in cuts:
            crashed = copied(home, "cut")
            with (crashed / "journal-wal").open("r+b") as log:
                log.truncate(cut)
            opened = open_journal(crashed)
            opened.sql.close()
            found = facts(contents(opened))
            outcome.require(found in states, f"cut at byte {cut}: no state there ever was")
            outcome.require(not opened.damage, f"cut at byte {cut}: {opened.damage}")
            if found in states:
                reached = states.index(found)
                outcome.require(reached >= last, f"cut at byte {cut}: less than a shorter log has")
                prefixes.add(reached)
                last = reached
            shutil.rmtree(crashed)
    outcome.figures |= {"places": places, "commits": COMMITS, "prefixes found": len(prefixes)}
    return outcome


def one_bit_flipped(places: int) -> Outcome:
    """Flip a bit of the database, then of the log, at ``places`` places each.

    Each time all has to be there, or what is not has to be named.
    """
    outcome = Outcome()
    for file, close in (("journal", True), ("journal-wal", False)):
        with tempfile.TemporaryDirectory(prefix="torn-", dir=MEMORY) as name:
            home = Path(name, "home")
            home.mkdir()
            states = filled(home, 7, COMMITS, close=close)
            data = (home / file).read_bytes()
            chance = random.Random(11)
            named = 0
            for _ in range(places):
                crashed = copied(home, "flip")
                flipped = bytearray(data)
                place = chance.randrange(len(data))
                flipped[place] ^= 1 << chance.randrange(8)
                (crashed / file).write_bytes(flipped)
                try:
                    named += not intact(crashed, states[-1], allowed=None if close else states)
                except AssertionError as error:
                    outcome.faults.append(f"{file}, bit at byte {place}: silent: {error}")
                shutil.rmtree(crashed)
            outcome.figures[f"flips in {file}"] = places
            outcome.figures[f"named in {file}"] = named
            outcome.figures[f"harmless in {file}"] = places - named
    return outcome
