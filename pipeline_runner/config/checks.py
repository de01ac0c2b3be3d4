"""Every check of a file that needs more than one key at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_runner.config.callable_checks import check_callables
from pipeline_runner.config.graph_checks import check_graph
from pipeline_runner.config.placement_checks import check_placement
from pipeline_runner.config.settings_checks import check_settings

if TYPE_CHECKING:
    from pipeline_runner.config.faults import Fault
    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.config.validate import Draft

__all__ = ["check", "check_callables", "durability_note"]


def check(draft: Draft) -> list[Fault]:
    """Return every fault of the sound part of a file, its callables left aside."""
    return [*check_graph(draft), *check_placement(draft.file), *check_settings(draft)]


def durability_note(pipeline: Pipeline) -> str:
    """Return the one line that says what of a run survives its head."""
    match pipeline.durability:
        case "memory":
            return "The run is kept in memory only: what is queued dies with `runner up`."
        case "relaxed":
            return "What is queued outlives `runner up`; a power cut may undo its last second."
        case _:
            return "What is queued outlives `runner up`, a crash and a power cut."
