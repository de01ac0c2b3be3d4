"""The sentences every screen shares, made from a snapshot alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_runner.observe.quantity import duration, plural

if TYPE_CHECKING:
    from pipeline_runner.observe.snapshot import Snapshot

_BY_DURABILITY = {
    "memory": "kept in memory only",
}


def headline(snapshot: Snapshot) -> str:
    """Return who runs, how long, which version, on how much: the first line of a screen."""
    state = "" if snapshot.state == "running" else f"{snapshot.state}, "
    parts = [
        snapshot.name,
        f"{state}up {duration(snapshot.up_s)}",
        f"rev {snapshot.revision}",
    ]
    if snapshot.release:
        parts.append(f"release {snapshot.release[:4]}")
    parts.append(plural(len(snapshot.hosts), "host"))
    parts.append(plural(sum(len(host.workers) for host in snapshot.hosts), "worker"))
    if promise := _BY_DURABILITY.get(snapshot.durability):
        parts.append(promise)
    return "  ".join(parts)


def waiting_for(snapshot: Snapshot) -> str:
    """Return what a draining run still waits for: ``resize (8 in work, 120 queued), upload ...``.

    Empty when nothing is left but the workers' own end.
    """
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
            if number
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


def stays_queued(items: int) -> str:
    """Return what becomes of ``items`` that a run with a journal has left."""
    stay, them = ("1 item stays", "it") if items == 1 else (f"{items:,} items stay", "them")
    return f"{stay} queued: the next `runner up` goes on with {them}"
