"""The book of faults: ``python -m tests.faults [--quick] [--only N,...] [--marathon] [--write P]``.

Each scenario runs against its bar and prints its figures; the exit code is 1 if any was missed, or
if a planted bug was not seen. ``--write`` makes ``docs/faults.md`` of what was measured; rows of
scenarios that did not run stay as they are there.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from string import ascii_lowercase

import pytest

from tests.faults.book import BOOK, MARATHON, Scenario
from tests.faults.outcome import Outcome
from tests.faults.page import page, verdict
from tests.faults.planting import PLANTED
from tests.faults.scenarios import planted
from tests.nobody import nobody

COMMAND = "python -m tests.faults --marathon --write docs/faults.md"


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, the same bars")
    parser.add_argument("--only", default="", help="numbers of scenarios, or `planted`")
    parser.add_argument("--marathon", action="store_true", help="a million items under kills too")
    parser.add_argument("--write", type=Path, help="write the page there")
    asked = parser.parse_args()
    only = set(filter(None, asked.only.split(",")))
    book = [
        one for one in BOOK if not only or {one.number, one.number.rstrip(ascii_lowercase)} & only
    ]
    if asked.marathon:
        book.append(MARATHON)
    measured = []
    for scenario in book:
        outcome = _run(scenario, quick=asked.quick)
        if outcome is not None:
            measured.append((scenario, outcome))
    bugs: dict[str, Outcome] = {}
    if not only or "planted" in only:
        for what in PLANTED:
            bugs[what] = planted(what, asked.quick)
            seen = "caught" if bugs[what].faults else "NOT SEEN"
            print(f"planted {what}: {seen}: {bugs[what].told()}", flush=True)
    if asked.write is not None:
        before = asked.write.read_text() if asked.write.exists() else ""
        asked.write.write_text(page(COMMAND, measured, bugs, before))
    is_good = not any(outcome.faults for _one, outcome in measured)
    return 0 if is_good and all(outcome.faults for outcome in bugs.values()) else 1


def _run(scenario: Scenario, *, quick: bool) -> Outcome | None:
    try:
        outcome = scenario.run(quick)
    except pytest.skip.Exception as skipped:
        print(f"{scenario.number:>3} skipped: {skipped}", flush=True)
        return None
    except AssertionError as error:
        outcome = Outcome(faults=[str(error)[:500]])
    word = verdict(outcome)
    print(f"{scenario.number:>3} {word}: {scenario.fault}: {outcome.told()}", flush=True)
    for fault in outcome.faults[:5]:
        print(f"      {fault}", flush=True)
    return outcome


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="nobody-") as home:
        os.environ.update(nobody(Path(home)))
        sys.exit(main())
