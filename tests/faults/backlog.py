"""A million items queued under a budget of memory."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.kit import chain, stage, until
from tests.faults.outcome import Outcome

if TYPE_CHECKING:
    from tests.e2e.kit import Project

BUDGET_MIB = 128
MOST_MIB = 192
ITEM_BYTES = 200  # the backlog is larger than the budget

FUNCTIONS = """\
import os

from kept import pass_gate

N, SIZE = {items}, {size}
_out = os.open(os.environ["RUNNER_OUTPUT"] + "/sums", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def source():
    for number in range(N):
        yield number.to_bytes(8, "big") + os.urandom(SIZE - 8)


class Sink:
    def __init__(self):
        self.count = self.sum = 0

    def __call__(self, item):
        pass_gate("gate")
        self.count += 1
        self.sum += int.from_bytes(item[:8], "big")

    def close(self):
        os.write(_out, b"%d %d\\n" % (self.count, self.sum))
"""


def queue_a_backlog(project: Project, *, items: int) -> Outcome:
    """Queue ``items`` of 200 bytes before a sink that waits, then let it have them."""
    document = f'[server]\nmemory = "{BUDGET_MIB}MiB"\n'
    document += stage("source", "functions:source") + stage("sink", "functions:Sink")
    document += chain("source", "sink") + 'capacity = "1GiB"\n'
    project.write(FUNCTIONS.format(items=items, size=ITEM_BYTES), document)
    file = project.root / "pipeline.toml"
    file.write_text(file.read_text().replace('durability = "memory"', 'durability = "fsync"'))
    began = time.monotonic()
    run = project.start("--no-import")
    until(
        lambda: run.stage("source").get("out") == items or run.popen.poll() is not None,
        "every item is queued",
        within_s=120,
    )
    filled = time.monotonic()
    full = _memory_mib(run.pid, "VmHWM")
    project.open_gate()
    ended = run.wait(within_s=120)
    drained = time.monotonic() - filled
    sums = [line.split() for line in (project.root / "sums").read_text().splitlines()]
    count, total = (sum(int(line[place]) for line in sums) for place in (0, 1))
    outcome = Outcome(
        {
            "N": items,
            "lost": items - count,
            "queued, MiB": items * ITEM_BYTES // 2**20,
            "budget, MiB": BUDGET_MIB,
            "head's highest RSS, MiB": full,
            "filled in s": filled - began,
            "drained in s": drained,
        }
    )
    outcome.require(ended.code == 0, f"exit code {ended.code}: {ended.err[-300:]}")
    outcome.require((count, total) == (items, items * (items - 1) // 2), "the sum is another")
    outcome.require(full <= MOST_MIB, f"the head had {full} MiB, over {MOST_MIB}")
    outcome.require(drained < 30, f"drained in {drained:.0f} s")
    return outcome


def _memory_mib(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) // 1024
    return 0
