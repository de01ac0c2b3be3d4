"""The sentences every screen shares, made from a snapshot alone."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from rich.cells import cell_len

from pipeline_runner.observe.quantity import duration, plural

if TYPE_CHECKING:
    from pipeline_runner.observe.snapshot import Snapshot

_BY_DURABILITY = {
    "memory": "kept in memory only",
}


def headline(snapshot: Snapshot, width: int | None = None) -> str:
    """Return who runs, how long, which version, on how much: the first line of a screen.

    What does not fit into ``width`` cells is left out whole, what matters least first.
    """
    state = "" if snapshot.state == "running" else f"{snapshot.state}, "
    workers = sum(len(host.workers) for host in snapshot.hosts)
    parts = [  # and how soon each gives way; 0: never
        (snapshot.name, 0),
        (f"{state}up {duration(snapshot.up_s)}", 0),
        (f"rev {snapshot.revision}", 4),
        (f"release {snapshot.release[:4]}" if snapshot.release else "", 5),
        (plural(len(snapshot.hosts), "host"), 3),
        (plural(workers, "worker"), 2),
        (_BY_DURABILITY.get(snapshot.durability, ""), 1),
    ]
    for least in (6, 5, 4, 3, 2, 1):
        line = "  ".join(part for part, gives_way in parts if part and gives_way < least)
        if width is None or cell_len(line) <= width:
            break
    return line


def waiting_for(snapshot: Snapshot) -> str:
    """Return what a draining run still waits for: ``resize (8 in work, 120 queued), upload ...``.

    What a journal keeps is not waited for. Empty when nothing is left but the workers' own end.
    """
    keeps_backlog = snapshot.durability != "memory"
    queued: dict[str, int] = {}
    for edge in snapshot.edges:
        queued[edge.to] = queued.get(edge.to, 0) + edge.queued
    parts = []
    for stage in snapshot.stages:
        left = [
            f"{number:,} {what}"
            for number, what in (
                (stage.leased, "in work"),
                (queued.get(stage.name, 0), "queued"),
                (stage.waiting, "to be tried again"),
            )
            if number and not (keeps_backlog and what != "in work")
        ]
        if left:
            parts.append(f"{stage.name} ({', '.join(left)})")
    return ", ".join(parts)


def draining(snapshot: Snapshot, *, owns: bool = True) -> str:
    """Return the sentence of a run that was asked to stop; ``owns`` if Ctrl-C here stops it."""
    left = waiting_for(snapshot)
    if not left:
        workers = sum(len(host.workers) for host in snapshot.hosts)
        left = f"{plural(workers, 'worker')} to end" if workers else "the last results"
    again = " (Ctrl-C again: now)" if owns else ""
    return f"Stopping{again}: waits for {left}"


def parked(items: int, edge: str) -> str:
    """Return what is wrong with ``items`` of an edge that the file has no more."""
    verb = "is" if items == 1 else "are"
    return f"{plural(items, 'item')} of {edge} {verb} parked: the file has no such edge"


def parked_cure(edge: str, *, again: str = "") -> str:
    """Return what a person can do about it; ``again`` names the same pipeline to a command."""
    purge = f"runner queue purge {shlex.quote(edge)}{again}"
    return f"they go on once the file has it again; to throw them away: {purge}"


def stays_queued(items: int) -> str:
    """Return what becomes of ``items`` that a run with a journal has left."""
    stay, them = ("1 item stays", "it") if items == 1 else (f"{items:,} items stay", "them")
    return f"{stay} queued: the next `runner up` goes on with {them}"
