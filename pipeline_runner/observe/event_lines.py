"""Each event as a line to read: how much it matters, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from typing_extensions import assert_never

from pipeline_runner.events import (
    DeadLettered,
    Event,
    ItemFailed,
    Notice,
    Printed,
    StageFinished,
    WorkerExited,
    WorkerFailing,
    WorkerStarted,
)
from pipeline_runner.observe.printed import tame
from pipeline_runner.observe.quantity import clock, duration

# What it takes to be shown: "detail" needs -v, "info" goes under -q, the rest is always there.
Weight = Literal["detail", "info", "printed", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Told:
    """One line: who it is about (``stage[0]`` or the time of day), what happened, what to do."""

    weight: Weight
    who: str
    text: str
    hint: str = ""


def tell(event: Event, *, again: str = "") -> Told:
    """Return the line for ``event``; ``again`` is how to name the same pipeline to a command."""
    match event:
        case Printed():
            return Told("printed", f"{event.stage}[{event.index}]", tame(event.text))
        case WorkerStarted():
            text = f"{event.stage}[{event.index}] started on {event.host}, pid {event.pid}"
            return Told("detail", clock(event.ts), text)
        case WorkerExited():
            cause = tame(event.cause).removeprefix("died: ")
            text = f"{event.stage}[{event.index}] on {event.host} ended: {cause}"
            return Told("detail" if event.expected else "warning", clock(event.ts), text)
        case WorkerFailing():
            times = "once" if event.deaths == 1 else f"{event.deaths} times"
            what = "had settled anything" if event.took_work else "took work"
            text = (
                f"{event.stage}[{event.index}] on {event.host} ended {times} before it {what},"
                f" next start in {duration(event.retry_s)}: {tame(event.reason)}"
            )
            return Told("error", clock(event.ts), text)
        case ItemFailed():
            text = (
                f"{event.stage} {tame(event.error)}  (attempt {event.attempt} of"
                f" {event.attempts}, again in {duration(event.retry_s)})"
            )
            return Told("detail", clock(event.ts), text)
        case DeadLettered():
            text = f"{event.host} {event.stage} {tame(event.error)}"
            hint = f"runner errors show {event.letter}{again}"
            return Told("error", clock(event.ts), text, hint)
        case StageFinished():
            return Told("info", clock(event.ts), f"{event.stage} finished")
        case Notice():
            return Told(event.level, clock(event.ts), tame(event.text), tame(event.hint))
        case _:
            assert_never(event)
