"""How a run is to be, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline_runner.errors import ExitCode
    from pipeline_runner.head.hosts.local_agent import SpareAgent
    from pipeline_runner.observe.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class UpOptions:
    """How to run. ``fresh`` forgets what an earlier run left; without ``work`` no worker runs.

    ``local`` keeps to this machine: no other one can join. ``text`` is that of a pipeline made in
    code, which has no file. ``exits`` says that the process ends with the run: it ignores signals
    from then on, for one in the middle of an exit would make what is over look killed. ``spare``
    is an agent's process that was started ahead.
    """

    fresh: bool = False
    work: bool = True
    local: bool = True
    text: str | None = None
    exits: bool = False
    spare: SpareAgent | None = None


@dataclass(frozen=True, slots=True)
class RunResult:
    """How ``run`` ended; ``lost`` items were queued or in work when it had to stop."""

    exit_code: ExitCode
    snapshot: Snapshot
    lost: int
    run: str = ""
