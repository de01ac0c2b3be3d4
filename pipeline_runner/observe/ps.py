"""``runner ps``: a run at this moment, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from pipeline_runner.observe.columns import Column, fit, lay_out
from pipeline_runner.observe.frame import host_table, stage_table
from pipeline_runner.observe.quantity import duration, plural
from pipeline_runner.observe.sentences import headline, parked, parked_cure, waiting_for
from pipeline_runner.observe.trend import Trend

if TYPE_CHECKING:
    from pipeline_runner.observe.snapshot import Snapshot

_WORKERS = (
    Column("WORKER", "left", width=12),
    Column("HOST", "left", width=8),
    Column("PID", width=7),
    Column("STATE", "left", width=8),
    Column("AGE", width=6, drop=1),
)


def ps(snapshot: Snapshot, width: int, *, workers: bool = False, again: str = "") -> list[Text]:
    """Return the lines of one look at a run; ``workers`` adds a line for each process."""
    lines = [fit(Text(headline(snapshot, width), "bold"), width)]
    if snapshot.state == "draining":
        left = waiting_for(snapshot) or "its workers"
        lines.append(Text(f"Stopping: waits for {left}", "yellow"))
    if snapshot.note:
        lines.append(Text(snapshot.note, "yellow"))
    lines += [Text(), *stage_table(snapshot, Trend(), width)]
    lines += [
        Text(f"{stage.name} is {stage.state}: {stage.reason}", "red")
        for stage in snapshot.stages
        if stage.reason
    ]
    lines += [
        Text(f"{parked(one.queued, one.name)}; {parked_cure(one.name, again=again)}", "red")
        for one in snapshot.parked
    ]
    lines += [Text(), *host_table(snapshot.hosts, width)]
    if workers and any(host.workers for host in snapshot.hosts):
        rows = [
            [f"{w.stage}[{w.index}]", host.name, str(w.pid), w.state, duration(w.age_s)]
            for host in snapshot.hosts
            for w in host.workers
        ]
        lines += [Text(), *lay_out(_WORKERS, rows, width, gap=2)]
    if snapshot.dead_letters:
        letters = plural(snapshot.dead_letters, "dead letter")
        lines += [
            Text(),
            Text.assemble((letters, "red"), ": ", (f"runner errors list{again}", "cyan")),
        ]
    return lines
