"""What a host is and how busy it is."""

from __future__ import annotations

import os
import platform
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

try:
    import psutil
except ImportError:  # no wheel for 32-bit ARM: the host works all the same
    psutil = None  # type: ignore[assignment,unused-ignore]

_CGROUP = Path("/sys/fs/cgroup")


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
    cores, quota = len(_own_cores()), _quota_cores()
    return cores if quota is None else min(cores, max(1, -int(-quota // 1)))


def total_memory() -> int:
    """Return the bytes of memory our processes may use: installed, or the cgroup's limit."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # "max" is no number
        total = min(total, int((_CGROUP / "memory.max").read_text()))
    return total


class Load:
    """How much of the host is in use, since the last look."""

    def __init__(self) -> None:
        self._looked_s = time.monotonic()
        self._used_s = _used_s()
        self.look()

    def look(self) -> tuple[float | None, int | None]:
        """Return (share of the usable cores 0..1, bytes of memory in use); None where unknown."""
        if psutil is None:
            return None, None
        now, used_s = time.monotonic(), _used_s()
        quota = _quota_cores()
        of_quota = 0.0
        if quota is not None and used_s is not None and self._used_s is not None:
            of_quota = (used_s - self._used_s) / (max(now - self._looked_s, 1e-3) * quota)
        self._looked_s, self._used_s = now, used_s
        busy = share(psutil.cpu_percent(percpu=True), _own_cores(), of_quota)
        return busy, psutil.virtual_memory().used


def share(percents: Sequence[float], own: Collection[int], of_quota: float) -> float:
    """Return how busy the cores are that our processes may use, 0..1.

    ``percents`` are of all cores of the machine, of which those in ``own`` are ours; ``of_quota``
    is the share of a container's quota that is used up, 0 without one. A program that is pinned to
    one core of 64, or has a quota of two, is at its limit while the machine looks idle.
    """
    ours = [percent for core, percent in enumerate(percents) if core in own] or percents
    of_cores = sum(ours) / (100 * len(ours)) if ours else 0.0
    return min(1.0, max(of_cores, of_quota))


def _own_cores() -> Collection[int]:
    """Return the numbers of the cores that our processes may run on."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return range(os.cpu_count() or 1)


def _quota_cores() -> float | None:
    """Return the cores' worth of time that the cgroup allows, None where it does not limit it."""
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = (_CGROUP / "cpu.max").read_text().split()
        return int(quota) / int(period)  # "max" is no number
    return None


def _used_s() -> float | None:
    """Return the seconds of cores that the cgroup has used so far, None if it does not tell."""
    with suppress(OSError, ValueError, LookupError):
        lines = (_CGROUP / "cpu.stat").read_text().splitlines()
        return int(dict(line.split(maxsplit=1) for line in lines)["usage_usec"]) / 1e6
    return None
