"""What a host that joined says of its work, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline_runner.queues.messages import Desired


def told(desired: Desired) -> str | None:
    """Return what this host is to do, or why nothing; None while that is not settled."""
    if desired.unfit is None:
        return None
    work = ", ".join(f"{stage} x{len(s)}" for stage, s in sorted(desired.slots.items()) if s)
    if work:
        return work
    if desired.unfit:
        return f"none: {'; '.join(desired.unfit)}"
    return "none for this host now; `runner why STAGE` says why"
