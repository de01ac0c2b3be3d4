"""The live view on a terminal: a block that stays at the bottom, user output scrolling above it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from rich.text import Text

from pipeline_runner.events import DeadLettered, Event, ItemFailed, Printed
from pipeline_runner.observe.bottleneck import bottleneck
from pipeline_runner.observe.frame import Scene, frame
from pipeline_runner.observe.painter import Painter, Row
from pipeline_runner.observe.stream import Stream
from pipeline_runner.observe.summary import Finish, summary
from pipeline_runner.observe.told import Told, tell
from pipeline_runner.observe.trend import Trend

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from pipeline_runner.observe.snapshot import Snapshot

# A terminal takes a few thousand lines a second; past this many a frame, the rest is counted.
_MOST_LINES = 500
_FAULTS_SHOWN = 3

_COLOURS = ("cyan", "green", "magenta", "blue", "yellow")
_STYLES = {"error": "red", "warning": "yellow", "info": "", "detail": "dim"}


class Live:
    """A screen for a terminal. ``verbose`` also tells of each worker that starts and ends.

    ``again`` is how to name the same pipeline to a command; ``count_keys`` names for each stage
    the setting that decides how many workers it has. Without ``owns`` Ctrl-C does not stop the run.
    """

    def __init__(
        self,
        console: Console,
        *,
        again: str = "",
        quiet: bool = False,
        verbose: bool = False,
        count_keys: Mapping[str, str] | None = None,
        owns: bool = True,
    ) -> None:
        self._console = console
        self._stream = Stream(console.file)
        self._again = again
        self._owns = owns
        self._count_keys = count_keys or {}
        self._hidden = {"detail"} if not verbose else set()
        if quiet:
            self._hidden |= {"info"}
        self._painter = Painter()
        self._trend = Trend()
        self._finish = Finish()
        self._above: list[Text] = []
        self._unshown = 0
        self._faults: deque[Told] = deque(maxlen=_FAULTS_SHOWN)
        self._colours: dict[str, str] = {}
        self._closed = False

    def event(self, event: Event) -> None:
        """Keep what happened for the next frame."""
        if isinstance(event, Printed) and len(self._above) >= _MOST_LINES:
            self._unshown += 1  # counted before it is made readable: a flood has to stay cheap
            return
        told = tell(event, again=self._again)
        if isinstance(event, (ItemFailed, DeadLettered)):
            self._faults.append(told)
        elif told.weight not in self._hidden:
            self._above.append(self._line(told))

    def snapshot(self, snapshot: Snapshot) -> None:
        """Draw the next frame."""
        self._trend.add(snapshot)
        self._finish.add(snapshot)
        width, height = self._console.size
        scene = Scene(
            snapshot,
            self._trend,
            bottleneck(snapshot, self._trend, self._count_keys),
            tuple(self._faults),
            self._owns,
        )
        block = [Row(self._ansi(line), line.cell_len) for line in frame(scene, width, height - 1)]
        self._stream.write(self._painter.paint(block, self._take_above(), width))

    def close(self, final: Snapshot, lost: int) -> None:
        """Put the summary where the block stood; the cursor is back."""
        self._finish.add(final)
        width = self._console.size.width
        lines = summary(final, self._finish, lost, width, again=self._again)
        above = [*self._take_above(), *map(self._ansi, lines)]
        self._stream.write(self._painter.erase(above, width))
        self._closed = True

    def restore(self) -> None:
        """Give the terminal back without a summary: for a run that ended in an error."""
        if not self._closed:
            self._stream.write(self._painter.erase(self._take_above(), self._console.size.width))
            self._closed = True

    def _take_above(self) -> list[str]:
        lines = self._above
        if self._unshown:
            lines.append(Text(f"… {self._unshown:,} more lines, too many to show", "dim"))
        self._above, self._unshown = [], 0
        return [self._ansi(line) for line in lines]

    def _line(self, told: Told) -> Text:
        if told.weight == "printed":
            stage = told.who.partition("[")[0]
            colour = self._colours.setdefault(stage, _COLOURS[len(self._colours) % len(_COLOURS)])
            return Text.assemble((told.who, colour), " ", told.text)
        line = Text.assemble((told.who, "dim"), " ", (told.text, _STYLES[told.weight]))
        if told.hint:
            line.append("  ")
            line.append(told.hint, "cyan")
        return line

    def _ansi(self, line: Text) -> str:
        # Assembled anew, because a line that is all of one style is rendered without it.
        system = self._console._color_system  # noqa: SLF001  (rich has no public way to a string)
        return "".join(
            segment.style.render(segment.text, color_system=system)
            if segment.style
            else segment.text
            for segment in Text.assemble(line).render(self._console)
        )
