"""How a run ended, for the program that started it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline_runner.errors import ExitCode
    from pipeline_runner.observe.snapshot import RunState, Snapshot, StageView
    from pipeline_runner.queues.dead_letters import DeadLetter


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended: what :meth:`Pipeline.run` returns.

    ``exit_code`` is that of ``runner up``; ``snapshot`` is the run at its last moment;
    ``dead_letters`` are the items that failed for good, oldest first, each with its traceback and
    its ``payload()``; ``lost`` items were queued or in work when it had to stop, and are gone.
    ``functions.py``::

        def texts():
            yield from ("1", "2", "three")

        def parse(text):
            return int(text)

        def show(number):
            pass

    Here it runs:

        >>> from pipeline_runner import Pipeline
        >>> stages = {name: {"run": f"functions:{name}"} for name in ("texts", "parse", "show")}
        >>> stages["parse"]["retry"] = {"attempts": 1}
        >>> result = Pipeline.build("parse", stages, [("texts", "parse", "show")]).run()
        >>> result.ok, result.stages["show"].in_
        (False, 2)
        >>> for letter in result.dead_letters:
        ...     print(letter.payload(), letter.error)
        three ValueError: invalid literal for int() with base 10: 'three'
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
