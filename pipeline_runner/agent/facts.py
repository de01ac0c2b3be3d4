"""What a host is and how busy it is."""

from __future__ import annotations

import os
import platform
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

try:
    import psutil
except ImportError:  # no wheel for 32-bit ARM: the host works all the same
    psutil = None  # type: ignore[assignment,unused-ignore]


def facts() -> dict[str, Any]:
    """Return this host's facts by the names of :class:`pipeline_runner.plan.hosts.Host`."""
    return {
        "os": sys.platform,
        "arch": platform.machine().lower(),
        "python": platform.python_version(),
        "cores": usable_cores(),
        "memory": total_memory(),
        "gpus": len(list(Path("/dev").glob("nvidia[0-9]*"))),
    }


def machine() -> str:
    """Return what tells this machine, since it was started, from any other; empty if unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def usable_cores() -> int:
    """Return the cores our processes may use: affinity and the cgroup's quota, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            cores = min(cores, -(-int(quota) // int(period)))
    return cores


def total_memory() -> int:
    """Return the bytes of memory our processes may use: installed, or the cgroup's limit."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # "max" is no number
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return total


class Load:
    """How much of the host is in use, since the last look."""

    def __init__(self) -> None:
        self.look()

    def look(self) -> tuple[float | None, int | None]:
        """Return (share of all cores 0..1, bytes of memory in use); None where unknown."""
        if psutil is None:
            return None, None
        return psutil.cpu_percent() / 100, psutil.virtual_memory().used
