"""Which stages are granted nothing, and why: a stop, a failure for good, a disk that is full."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline_runner.queues.broker.state import BrokerState


class Pauses:
    """Sets the reasons in the books; an empty one resumes."""

    def __init__(self, state: BrokerState) -> None:
        self._state = state
        self._held = ""  # why stages with outputs are

    def pause(self, reason: str, *, sources_only: bool) -> None:
        """Pause the sources, or every stage."""
        for name, stage in self._state.stages.items():
            if stage.spec.is_source or not sources_only:
                stage.paused = reason
                self._state.dirty[name] = None

    def hold_outputs(self, reason: str) -> None:
        """Pause the stages that make something new to keep.

        A stage that is paused for another reason stays as it is.
        """
        held, self._held = self._held, reason
        for name, stage in self._state.stages.items():
            if stage.spec.outputs and stage.paused == (held if not reason else ""):
                stage.paused = reason
                self._state.dirty[name] = None
