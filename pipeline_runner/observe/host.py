"""What this host has and how busy it is: usable cores and memory, not installed ones."""

from __future__ import annotations

import os
import platform
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipeline_runner.plan.hosts import Host

try:
    import psutil  # type: ignore[import-untyped]
except ImportError:  # boards without a wheel: what it would have told is left out
    psutil = None

if TYPE_CHECKING:
    from collections.abc import Mapping

_CGROUPS = Path("/sys/fs/cgroup")
_NVIDIA = Path("/proc/driver/nvidia/gpus")


class Load(NamedTuple):
    """How busy this host is: ``cpu`` 0..1 of all its cores, memory in bytes; None if unknown."""

    cpu: float | None
    memory_used: int | None
    memory_total: int | None


def this_host(*, head: bool = False, max_procs: int | None = None) -> Host:
    """Return the facts of the machine this runs on, by which workers are placed."""
    return Host(
        name=socket.gethostname().partition(".")[0].lower() or "localhost",
        os=sys.platform,
        arch=platform.machine().lower(),
        python=platform.python_version(),
        cores=usable_cores(),
        memory=usable_memory(),
        gpus=visible_gpus(os.environ),
        head=head,
        max_procs=max_procs,
    )


def load() -> Load:
    """Return how busy this host is since the last call; the first call knows no ``cpu``."""
    if psutil is None:
        return Load(None, None, None)
    memory = psutil.virtual_memory()
    return Load(psutil.cpu_percent() / 100, memory.total - memory.available, memory.total)


def usable_cores(cgroups: Path = _CGROUPS) -> int:
    """Return how many cores this process may use, at least 1: by affinity and by cgroup quota."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has no affinity
        cores = os.cpu_count() or 1
    quota = _words(cgroups / "cpu.max")  # "150000 100000", or "max 100000"
    if not quota:  # version 1 has two files
        in_two = ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")
        quota = tuple(word for name in in_two for word in _words(cgroups / name))
    if len(quota) == 2 and quota[0].isdecimal() and int(quota[1]) > 0:
        # Rounded up: half a core more than a whole number is still worth a process.
        cores = min(cores, max(1, -(-int(quota[0]) // int(quota[1]))))
    return cores


def usable_memory(cgroups: Path = _CGROUPS) -> int:
    """Return how many bytes of memory this process may use: those installed, or its cgroup's."""
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [
        int(words[0])
        for file in ("memory.max", "memory/memory.limit_in_bytes")
        if (words := _words(cgroups / file)) and words[0].isdecimal()
    ]
    return min([installed, *limits])


def visible_gpus(environ: Mapping[str, str], nvidia: Path = _NVIDIA) -> int:
    """Return how many NVIDIA devices there are, and ``CUDA_VISIBLE_DEVICES`` shows."""
    try:
        found = len(list(nvidia.iterdir()))
    except OSError:
        return 0
    shown = environ.get("CUDA_VISIBLE_DEVICES")
    if shown is None:
        return found
    # CUDA stops reading at the first device that does not exist, and -1 is how to say "none".
    names = [name.strip() for name in shown.split(",") if name.strip()]
    return min(found, names.index("-1") if "-1" in names else len(names))


def _words(file: Path) -> tuple[str, ...]:
    try:
        return tuple(file.read_text(encoding="ascii").split())
    except OSError:
        return ()
