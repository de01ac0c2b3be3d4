"""How a run ended, for the program that started it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline_runner.errors import ExitCode
    from pipeline_runner.observe.snapshot import RunState, Snapshot, StageView
    from pipeline_runner.queues.deadletters import DeadLetter


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended.

    ``exit_code`` is that of ``runner up``; ``snapshot`` is the run at its last moment;
    ``dead_letters`` are the items that failed for good, oldest first, each with its traceback and
    its ``payload()``; ``lost`` items were queued or in work when it had to stop, and are gone.
    """

    exit_code: ExitCode
    snapshot: Snapshot
    dead_letters: tuple[DeadLetter, ...]
    lost: int

    def __repr__(self) -> str:
        """Return how it ended, short enough for a console; the counts are in ``stages``."""
        left = f"dead_letters={len(self.dead_letters)}, lost={self.lost}"
        return f"<Result of {self.snapshot.name}: {self.state}, ok={self.ok}, {left}>"

    @property
    def ok(self) -> bool:
        """Whether everything went through, or what was begun did before a stop."""
        return self.exit_code == 0

    @property
    def state(self) -> RunState:
        """``"finished"``, ``"stopped"`` or ``"failed"``."""
        return self.snapshot.state

    @property
    def stages(self) -> dict[str, StageView]:
        """The final counts by stage: ``in_``, ``out``, ``failed`` and ``dead`` items."""
        return {stage.name: stage for stage in self.snapshot.stages}
