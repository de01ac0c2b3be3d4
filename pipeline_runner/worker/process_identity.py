"""Lives of processes: a pid is given again, a pid and when it was born are not."""

from __future__ import annotations

from pathlib import Path


def born(pid: int) -> str:
    """Return when a living process began, in a form to compare; empty if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]


def life(pid: int) -> str:
    """Return what tells this process from any other of this machine, since it was started."""
    return f"{pid}.{born(pid)}"


def lives(name: str) -> bool:
    """Return whether the process that :func:`life` gave ``name`` for is still there."""
    pid, _dot, since = name.partition(".")
    return pid.isdecimal() and bool(since) and born(int(pid)) == since
