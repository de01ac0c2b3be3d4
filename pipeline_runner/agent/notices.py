"""What an agent says: of its work, in words; and of its own faults, for they must not be silent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline_runner.config.faults import listed

if TYPE_CHECKING:
    import asyncio

    from pipeline_runner.wire.control_messages import Desired


def told(desired: Desired) -> str | None:
    """Return what this host is to do, or why nothing; None while that is not settled."""
    if desired.unfit is None:
        return None
    work = ", ".join(f"{stage} x{len(s)}" for stage, s in sorted(desired.slots.items()) if s)
    if work:
        return work
    if desired.lacks:
        return None  # that is told by itself
    if desired.unfit:
        return f"none: {'; '.join(desired.unfit)}"
    return "none for this host now; `runner why STAGE` says why"


def lacked(desired: Desired) -> list[str]:
    """Return a sentence for each thing that stages want and this host lacks."""
    stages: dict[str, list[str]] = {}
    for stage, reason in desired.lacks.items():
        stages.setdefault(reason, []).append(stage)
    return [f"no work of {listed(names)} here: {reason}" for reason, names in stages.items()]


def waits_after(why: str) -> str:
    """Return what a host says when a run is over that it was dismissed from."""
    ended = {"finished": "has finished", "stopped": "was stopped"}.get(why, "is over")
    return f"the run {ended}: waits for the next one"


def say_nothing(_label: str, _text: str) -> None:
    """Say nothing: the head's own agent has no terminal."""


def tell_fault(task: asyncio.Task[Any]) -> None:
    """Tell the event loop's handler of a task that failed: nobody awaits it."""
    if not task.cancelled() and (error := task.exception()) is not None:
        task.get_loop().call_exception_handler({"message": "a task failed", "exception": error})
