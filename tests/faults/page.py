"""``docs/faults.md``: what was measured, and which test holds each promise."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

from tests.faults.book import BOOK, MARATHON

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.faults.book import Scenario
    from tests.faults.outcome import Outcome

HEAD = """\
# What survives

Each row is a fault, done to real processes, and what was counted afterwards. The figures are of
{cores} cores of {machine}, Python {python}, busy with other things too. This does it all again, and
writes this page:

```
{command}
```

*Lost* and *duplicates* compare what came out of the pipeline, by item id, with what had to.
A *re-run* is a function called again for an item; what it returned counted once all the same.

| | fault | must hold | figures | | held by |
|---|---|---|---|---|---|
"""
CONTROL = """
## Would it be noticed?

The same kills and the same totals, with a bug planted in the head. Each has to be caught, or the
table above would prove nothing.

| planted | what it does | found | |
|---|---|---|---|
"""
PROMISES = """
## The promises, and the tests that hold them

| promise | test |
|---|---|
| A hop from stage to stage is exactly-once through `kill -9` of any worker | \
`tests/faults/test_kills.py`, `tests/faults/test_workers.py` |
| ... of the agent | `tests/faults/test_workers.py` |
| ... of the head, with a journal | `tests/faults/test_head_kills.py` |
| ... of a host, its agent or its network | `tests/hosts/test_struck.py`, \
`tests/hosts/test_five_machines.py` |
| ... through power loss, on a disk that honours fsync | `tests/faults/test_power.py` |
| ... and through a line that loses answers | `tests/faults/test_rough_going.py` |
| A late worker's results are refused | `tests/queues/test_rules_settle.py`, \
`tests/queues/test_simulator.py` |
| A crashing item is quarantined with its traceback, its neighbours are never charged | \
`tests/worker/test_failures.py` |
| Nothing is dropped in silence: damage is named with what it cost | \
`tests/faults/test_power.py`, `tests/queues/journal/test_recovery.py` |
| A dead worker's items are taken again at once, a dead host's after about 10 s | \
`tests/faults/test_workers.py`, `tests/hosts/test_struck.py` |
| Bounded queues do not deadlock, cycles included | `tests/worker/test_limits.py`, \
`tests/queues/test_simulator.py` |
| Each rule of the protocol: without it a schedule is found that loses, doubles or charges | \
`tests/queues/test_simulator.py` |

Not promised: service while the head is down, the survival of its disk, and that a function runs
only once: what it does outside the pipeline is done again when it runs again. `item_id` is the same
each time.
"""
PLANTED = {
    "emit-then-ack": "outputs go out, and the input is crossed off 20 ms later",
    "ack-then-emit": "the input is crossed off, and its outputs go out 20 ms later",
    "destructive-get": "what was handed out is gone",
}


def page(
    command: str,
    measured: Sequence[tuple[Scenario, Outcome]],
    planted: Mapping[str, Outcome],
    before: str = "",
) -> str:
    """Return the whole page. Rows that were not measured this time are those of ``before``."""
    rows = {
        scenario.number: f"| {scenario.number} | {scenario.fault} | {scenario.bar} "
        f"| {outcome.told()} | {_held(outcome)} | {_where(scenario)} |"
        for scenario, outcome in measured
    }
    for what, outcome in planted.items():
        caught = "caught" if outcome.faults else "**not seen**"
        rows[what] = f"| {what} | {PLANTED[what]} | {outcome.told()} | {caught} |"
    for line in before.splitlines():
        rows.setdefault(line[2:].partition(" |")[0], line)
    text = HEAD.format(
        command=command,
        cores=os.cpu_count(),
        machine=platform.machine(),
        python=platform.python_version(),
    )
    text += "".join(f"{rows[one.number]}\n" for one in (*BOOK, MARATHON) if one.number in rows)
    text += CONTROL + "".join(f"{rows[what]}\n" for what in PLANTED if what in rows)
    return text + PROMISES


def _where(scenario: Scenario) -> str:
    return ", ".join(f"`{each}`" for each in scenario.held_by)


def _held(outcome: Outcome) -> str:
    return f"**missed**: {'; '.join(outcome.faults[:2])}" if outcome.faults else "held"


def verdict(outcome: Outcome) -> str:
    """Return one word."""
    return "missed" if outcome.faults else "held"
