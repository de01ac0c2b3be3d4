"""The screen without a terminal: plain lines, a line per stage every ten seconds.

While nothing changes they come ever less often.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, TextIO

from pipeline_runner.events import DeadLettered, Event, ItemFailed, Printed
from pipeline_runner.observe import quantity
from pipeline_runner.observe.event_lines import Told, tell
from pipeline_runner.observe.sentences import draining, headline
from pipeline_runner.observe.stream import Stream
from pipeline_runner.observe.summary import summary
from pipeline_runner.observe.trend import queued_for

if TYPE_CHECKING:
    from pipeline_runner.observe.snapshot import Snapshot, StageView

EVERY_S = 10.0
_LONGEST_S = 640.0  # between lines that say the same
_WIDTH = 100
_COUNTED = ("running", "waiting")
# Ten thousand items that fail alike need three examples and a count.
_MOST_DEAD = 3


class Plain:
    """A screen of lines for logs and pipes: no control codes, nothing drawn twice.

    ``quiet`` leaves what user code prints, warnings and errors, and the first failure of each
    stage is one; ``verbose`` adds each worker's start and end and each failed attempt. With
    ``out``, what user code writes to its stdout goes there: it is the run's data, and the rest is
    about it. Without ``owns`` Ctrl-C does not stop the run.
    """

    def __init__(
        self,
        file: TextIO,
        *,
        out: TextIO | None = None,
        again: str = "",
        quiet: bool = False,
        verbose: bool = False,
        owns: bool = True,
    ) -> None:
        self._stream = Stream(file)
        self._out = self._stream if out is None else Stream(out)
        self._again = again
        self._quiet = quiet
        self._owns = owns
        self._hidden = {"detail"} if not verbose else set()
        if quiet:
            self._hidden |= {"info"}
        self._next_s = self._every_s = EVERY_S
        self._told: list[str] = []  # of the stages, when last
        self._state = ""
        self._dead: Counter[str] = Counter()
        self._failed: set[str] = set()  # stages whose first failure has been told

    def event(self, event: Event) -> None:
        """Write one line about what happened, if it matters enough."""
        if isinstance(event, DeadLettered):
            self._dead[event.stage] += 1
            if self._dead[event.stage] > _MOST_DEAD:
                return
        told = tell(event, again=self._again)
        if isinstance(event, (ItemFailed, DeadLettered)) and event.stage not in self._failed:
            self._failed.add(event.stage)
            if told.weight == "detail":  # whether a retry helps may show minutes later
                told = replace(told, weight="warning")
        if told.weight not in self._hidden:
            printed = event if isinstance(event, Printed) else None
            out = printed is not None and printed.stream == "stdout"
            (self._out if out else self._stream).write(_line(told), exact=printed is not None)

    def snapshot(self, snapshot: Snapshot) -> None:
        """Write a line for each stage that goes on, when it is time to."""
        if snapshot.state != self._state:
            self._state = snapshot.state
            self._tell_state(snapshot)
        if snapshot.up_s < self._next_s:
            return
        name = max((len(stage.name) for stage in snapshot.stages), default=0)
        lines = [_stage(snapshot, s, name) for s in snapshot.stages if s.state != "finished"]
        same = lines == self._told
        self._every_s = min(2 * self._every_s, _LONGEST_S) if same else EVERY_S
        self._told = lines
        self._next_s = snapshot.up_s - snapshot.up_s % EVERY_S + self._every_s
        self._tell_dead()
        if not self._quiet:
            at = quantity.duration(snapshot.up_s)
            self._stream.write("".join(f"{at:>6} {line}\n" for line in lines))

    def close(self, final: Snapshot, lost: int) -> None:
        """Write how the run ended."""
        self._tell_dead()
        left = lost or final.dead_letters or final.parked
        if not self._quiet or left or final.state == "failed":
            lines = summary(final, lost, _WIDTH, again=self._again)
            self._stream.write("".join(f"{line.plain}\n" for line in lines))

    def restore(self) -> None:
        """Do nothing: plain lines leave no trace on a terminal."""

    def _tell_state(self, snapshot: Snapshot) -> None:
        if snapshot.state == "draining":
            self._stream.write(f"{draining(snapshot, owns=self._owns)}\n")
        elif snapshot.state == "running" and not self._quiet:
            self._stream.write(f"{headline(snapshot)}\n")

    def _tell_dead(self) -> None:
        for stage, number in self._dead.items():
            if number > _MOST_DEAD:
                more = quantity.plural(number - _MOST_DEAD, "more dead letter")
                self._stream.write(f"{stage}: {more}  runner errors list{self._again}\n")
        self._dead.clear()


def _line(told: Told) -> str:
    weight = f"{told.weight}: " if told.weight in ("warning", "error") else ""
    return f"{told.who} {weight}{told.text}{'  ' + told.hint if told.hint else ''}\n"


def _stage(snapshot: Snapshot, stage: StageView, name_width: int) -> str:
    parts = [
        f"{stage.name:<{name_width}}",
        f"{stage.running}/{stage.desired} workers" if stage.state in _COUNTED else stage.state,
    ]
    if stage.kind != "source":
        parts.append(f"queue {quantity.count(queued_for(snapshot, stage.name))}")
        parts.append(f"in {stage.in_:,} ({quantity.rate(stage.in_rate)}/s)")
    if stage.kind != "sink":
        parts.append(f"out {stage.out:,} ({quantity.rate(stage.out_rate)}/s)")
    parts.append(f"busy {quantity.percent(stage.busy)}")
    if stage.failed:
        parts.append(f"failed {stage.failed:,}")
    if stage.dead:
        parts.append(f"dead {stage.dead:,}")
    if stage.reason:
        parts.append(stage.reason)
    return "  ".join(parts)
