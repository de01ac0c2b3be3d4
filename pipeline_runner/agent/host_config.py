"""How a host takes part in a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline_runner.agent.facts import facts, machine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class HostConfig:
    """How a host takes part in a run.

    ``local`` is the head's own host: its agent ends with the head. Any other holds its workers
    for as long as the head is away, and then waits for the next run, unless ``once``. The project's
    files are kept in ``store``, and its workers write to ``output``.
    """

    host: str
    store: Path
    output: Path
    local: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    max_procs: int | None = None
    once: bool = False

    def about(self, agent: str) -> dict[str, Any]:
        """Return what HELLO says of this host; ``agent`` names the life of its agent."""
        return facts() | {
            "agent": agent,
            "machine": machine(),
            "local": self.local,
            "labels": dict(self.labels),
            "max_procs": self.max_procs,
        }
