"""The book of faults: what is done, what must be true after it, and which test holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.faults import scenarios

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.outcome import Outcome


@dataclass(frozen=True)
class Scenario:
    """A fault, what must be true after it, and the test that holds it.

    ``run(quick)`` does it; quick ones are smaller, and their bar is the same.
    """

    number: str
    fault: str
    bar: str
    test: str
    run: Callable[[bool], Outcome]


_F = "tests/faults"
BOOK = (
    Scenario(
        "1",
        "`kill -9` of workers, at random",
        "re-runs at most what was leased at the kills",
        f"{_F}/test_kills.py",
        scenarios.worker_kills,
    ),
    Scenario(
        "2",
        "25 `kill -9` of the head",
        "the epoch grows by 25",
        f"{_F}/test_head_kills.py",
        scenarios.head_kills,
    ),
    Scenario(
        "3",
        "both together",
        "totals exact",
        f"{_F}/test_head_kills.py",
        scenarios.head_and_worker_kills,
    ),
    Scenario(
        "5",
        "clients of a stock manager killed in a blocking `get`",
        "all 20 delivered",
        "tests/stock/test_clients.py",
        scenarios.stock_clients,
    ),
    Scenario(
        "9",
        "answers to SETTLE dropped, frames cut in the middle",
        "totals exact, nobody charged",
        f"{_F}/test_rough_going.py",
        scenarios.bad_line,
    ),
    Scenario(
        "11",
        "a source killed 20 times: generators, `At` cursors, partitions",
        "every value once",
        f"{_F}/test_sources.py",
        scenarios.source_kills,
    ),
    Scenario(
        "12",
        "power cuts on a disk that forgets what was not synced",
        "nothing acknowledged is lost",
        f"{_F}/test_power.py",
        scenarios.power_goes,
    ),
    Scenario(
        "13",
        "the journal cut short anywhere, or one bit of it flipped",
        "a prefix of the commits; damage is named",
        f"{_F}/test_power.py",
        scenarios.torn,
    ),
    Scenario(
        "14",
        "`fdatasync` returns EIO",
        "the head ends within 1 s and answers nothing after; a restart loses nothing",
        f"{_F}/test_rough_going.py",
        scenarios.disk_error,
    ),
    Scenario(
        "15",
        "the disk is full (8 MiB)",
        "no crash; goes on when there is space",
        f"{_F}/test_head_disk.py",
        scenarios.full_disk,
    ),
    Scenario(
        "16",
        "poison: `os._exit`, a segfault, `kill -9` of itself",
        "a dead letter after exactly `attempts` deaths and at most one more run",
        "tests/worker/test_failures.py",
        scenarios.poison,
    ),
    Scenario(
        "17",
        "Exception, SystemExit, KeyboardInterrupt, an unpicklable output, recursion",
        "a dead letter with its traceback each; the worker lives",
        "tests/worker/test_failures.py",
        scenarios.raising,
    ),
    Scenario(
        "18",
        'an endless loop with `timeout = "2s"`',
        "killed within 3 s",
        "tests/worker/test_limits.py",
        scenarios.endless,
    ),
    Scenario(
        "19a",
        "a leak with `max_memory`",
        "recycled; nothing lost or run again",
        "tests/worker/test_limits.py",
        scenarios.leak,
    ),
    Scenario(
        "19b",
        "a million items queued, budget 128 MiB",
        "RSS of the head at most 192 MiB",
        f"{_F}/test_rough_going.py",
        scenarios.backlog,
    ),
    Scenario(
        "20",
        "a cycle of capacity 3 that emits 50 for each of 100 items",
        "drains and ends",
        "tests/worker/test_limits.py",
        scenarios.cycle,
    ),
    Scenario(
        "21",
        "SIGTERM under load",
        "exit within 30 s, nothing runs again",
        "tests/head/test_signals.py",
        scenarios.stop,
    ),
    Scenario(
        "24",
        "the wall clock jumps a day",
        "nothing expires",
        f"{_F}/test_rough_going.py",
        scenarios.clock,
    ),
)
MARATHON = Scenario(
    "marathon",
    "a million items; heads, agents and workers killed at random all the time",
    "totals exact; the epoch grows by the kills of the head",
    "python -m tests.faults --marathon",
    scenarios.marathon,
)
