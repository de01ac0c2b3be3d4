"""How the last run of a pipeline ended, for whoever asks when no head is there any more."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline_runner.errors import ExitCode
from pipeline_runner.observe.snapshot import Snapshot

if TYPE_CHECKING:
    from pathlib import Path

_NAME = "last.json"


@dataclass(frozen=True, slots=True)
class LastRun:
    """``ended`` is Unix time in seconds; ``error`` is what ended it, if it was a fault."""

    run: str
    ended: float
    exit_code: ExitCode
    snapshot: Snapshot
    error: str = ""

    @property
    def is_over(self) -> bool:
        """Whether every stage had ended: only what is parked can be left of it."""
        return self.snapshot.state == "finished" and not self.error


def remember(state: Path, last: LastRun) -> None:
    """Note how a run ended, in one step. Raises OSError."""
    facts = {
        "run": last.run,
        "ended": last.ended,
        "exit_code": int(last.exit_code),
        "snapshot": last.snapshot.as_json(),
        "error": last.error,
    }
    part = state / f"{_NAME}.part"
    part.write_text(json.dumps(facts))
    part.replace(state / _NAME)


def recall(state: Path) -> LastRun | None:
    """Return how the last run ended; None if none has, or it was killed before it could tell."""
    try:
        facts: dict[str, Any] = json.loads((state / _NAME).read_text())
        return LastRun(
            str(facts["run"]),
            float(facts["ended"]),
            ExitCode(facts["exit_code"]),
            Snapshot.from_json(facts["snapshot"]),
            str(facts["error"]),
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def forget(state: Path) -> None:
    """Another run begins: nothing is known of how it ends. Raises OSError."""
    (state / _NAME).unlink(missing_ok=True)


def now(run: str, exit_code: ExitCode, snapshot: Snapshot, error: str = "") -> LastRun:
    """Return a run that ends at this moment."""
    return LastRun(run, time.time(), exit_code, snapshot, error)
