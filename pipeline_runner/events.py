"""Everything that can happen in a run, as frozen facts.

The head tells these to whoever watches: the screen, the log files, the metrics. ``ts`` is Unix
time in seconds, for people to read; nothing is decided by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Printed:
    """One line that user code wrote to its stdout or stderr, without its line end."""

    ts: float
    host: str
    stage: str
    index: int
    pid: int
    stream: Literal["stdout", "stderr"]
    text: str


@dataclass(frozen=True, slots=True)
class WorkerStarted:
    """A worker process exists."""

    ts: float
    host: str
    stage: str
    index: int
    pid: int


@dataclass(frozen=True, slots=True)
class WorkerExited:
    """A worker process ended. ``cause`` reads on from its name: "exit 0", "SIGKILL", "timeout"."""

    ts: float
    host: str
    stage: str
    index: int
    pid: int
    cause: str
    expected: bool  # it was asked to, or it had nothing left to do


@dataclass(frozen=True, slots=True)
class WorkerFailing:
    """A worker keeps dying before it has settled anything; the next starts in ``retry_s`` seconds.

    ``took_work`` is False for one that could not even be started, or be loaded.
    """

    ts: float
    host: str
    stage: str
    index: int
    deaths: int
    retry_s: float
    reason: str
    took_work: bool = False


@dataclass(frozen=True, slots=True)
class ItemFailed:
    """An item failed and will be tried again in ``retry_s`` seconds."""

    ts: float
    stage: str
    item_id: str
    attempt: int
    attempts: int
    error: str
    retry_s: float


@dataclass(frozen=True, slots=True)
class DeadLettered:
    """An item failed for good and was kept, with its payload, as letter ``letter``."""

    ts: float
    letter: int
    stage: str
    item_id: str
    host: str
    error: str


@dataclass(frozen=True, slots=True)
class StageFinished:
    """Nothing is left for a stage and nothing can come."""

    ts: float
    stage: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence for the person watching, and what could be done about it."""

    ts: float
    level: Literal["info", "warning", "error"]
    text: str
    hint: str = ""


Event = (
    Printed
    | WorkerStarted
    | WorkerExited
    | WorkerFailing
    | ItemFailed
    | DeadLettered
    | StageFinished
    | Notice
)
