"""What workers had started, when they and their agent are dead: nobody is left to end it.

The kernel ends a worker with its agent, and an agent ends what a dead worker leaves behind. Where
an agent was killed, the next one of this user does that, for every pipeline. A process that left
its worker's group meant to live on, and may.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_runner.worker.process_identity import born, lives

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = "RUNNER_AGENT"  # in the environment of workers, and so of what they start


def end_orphans() -> int:
    """End the orphans of dead agents, and return how many process groups that were."""
    groups = set(_orphaned())
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    return len(groups)


def _orphaned() -> Iterator[int]:
    mark, user = f"{MARK}=".encode(), os.getuid()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):  # it ended, or is not ours to look at
            if folder.stat().st_uid != user:
                continue
            marks = [
                v for v in (folder / "environ").read_bytes().split(b"\0") if v.startswith(mark)
            ]
            if not marks or lives(marks[0][len(mark) :].decode()):
                continue
            group = os.getpgid(int(folder.name))
            if not born(group):  # gone, or dead and not yet buried by a slow init
                yield group
