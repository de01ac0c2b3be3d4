"""``runner ps --hosts``: every host, how it stands, and what it runs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.text import Text

from pipeline_runner.observe.columns import Column, fit, lay_out
from pipeline_runner.observe.quantity import duration, percent, size
from pipeline_runner.observe.sentences import headline

if TYPE_CHECKING:
    from pipeline_runner.observe.columns import Cell
    from pipeline_runner.observe.snapshot import HostView, Snapshot

_COLUMNS = (
    Column("HOST", "left", width=12),
    Column("STATE", "left", width=8),
    Column("WORKERS", width=7),
    Column("CPU", width=4, drop=2),
    Column("MEM", width=9, drop=3),
    Column("SEEN", width=5),
    Column("CODE", "left", width=8, drop=1),
    Column("RUNS", "left", cut=12),
)
_STYLES = {"away": "bold red", "lost": "bold red", "unfit": "red", "draining": "yellow"}


def hosts(snapshot: Snapshot, width: int) -> list[Text]:
    """Return the lines: a headline, titles, a line for each host; the head's own has a star."""
    rows = [_row(host) for host in snapshot.hosts]
    lines = [fit(Text(headline(snapshot, width), "bold"), width), Text()]
    return [*lines, *lay_out(_COLUMNS, rows, width, gap=2)]


def _row(host: HostView) -> list[Cell]:
    runs = Counter(worker.stage for worker in host.workers)
    memory = "-"
    if host.memory_used is not None and host.memory_total:
        memory = f"{size(host.memory_used)}/{size(host.memory_total)}"
    return [
        f"{host.name}{'*' if host.head else ''}",
        Text(host.state, _STYLES.get(host.state, "")),
        str(len(host.workers)),
        "-" if host.cpu is None else percent(host.cpu),
        memory,
        "now" if host.head or host.seen_s < 1 else duration(host.seen_s),
        host.release[:8] or "-",
        ", ".join(f"{stage} x{count}" for stage, count in sorted(runs.items())) or "-",
    ]
