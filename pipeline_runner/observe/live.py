"""The live view on a terminal: a block that stays at the bottom, user output scrolling above it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from rich.text import Text

from pipeline_runner.events import DeadLettered, Event, ItemFailed, Printed
from pipeline_runner.observe.bottleneck import bottleneck
from pipeline_runner.observe.event_lines import Told, tell
from pipeline_runner.observe.frame import Scene, frame
from pipeline_runner.observe.painter import Painter, Row
from pipeline_runner.observe.stream import Stream
from pipeline_runner.observe.summary import summary
from pipeline_runner.observe.trend import Trend
from pipeline_runner.observe.tty import Tty

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rich.console import Console

    from pipeline_runner.observe.snapshot import Snapshot

# A terminal takes a few thousand lines a second; past this many a frame, the rest is counted.
_MOST_LINES = 500
_FAULTS_SHOWN = 3
_ANSWER_S = 5.0  # so long an answer to a key stands
_NO_QUIT = "Ctrl-C stops this run; q leaves only `runner top`, which looks on"

_COLOURS = ("cyan", "green", "magenta", "blue", "yellow")
_STYLES = {"error": "red", "warning": "yellow", "info": "", "detail": "dim"}


class Live:
    """A screen for a terminal. ``verbose`` also tells of each worker that starts and ends.

    ``again`` is how to name the same pipeline to a command; ``count_keys`` names for each stage
    the setting that decides how many workers it has. Without ``owns`` Ctrl-C does not stop the run,
    and ``q`` calls ``leave``. ``keys`` is the descriptor they are read from, None for no keys.
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
        keys: int | None = None,
        leave: Callable[[], None] | None = None,
    ) -> None:
        self._console = console
        self._tty: Tty | None = None
        if console.file.isatty():
            self._tty = Tty(console.file.fileno(), keys, self._key, self._returned)
        self._leave = leave
        self._keys = "q quits" if keys is not None and leave is not None else ""
        self._returns = False  # others have written to the terminal since the last frame
        self._answer, self._answered_s = "", 0.0
        self._asked = False
        self._stream = Stream(console.file)
        self._again = again
        self._owns = owns
        self._count_keys = count_keys or {}
        self._hidden = {"detail"} if not verbose else set()
        if quiet:
            self._hidden |= {"info"}
        self._painter = Painter()
        self._trend = Trend()
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
        """Draw the next frame; behind a shell that has the terminal, only what comes above it."""
        self._trend.add(snapshot)
        if self._tty is None:
            self._draw(snapshot)
            return
        self._tty.hold()
        with self._tty.drawing():
            if self._tty.is_ours:
                self._draw(snapshot)
            else:
                self._returns = True
                self._stream.write("".join(f"{line}\r\n" for line in self._take_above()))

    def _draw(self, snapshot: Snapshot) -> None:
        if self._returns:
            self._returns = False
            self._painter.forget()
        if self._asked:
            self._asked, self._answer, self._answered_s = False, _NO_QUIT, snapshot.up_s
        elif snapshot.up_s - self._answered_s > _ANSWER_S:
            self._answer = ""
        width, height = self._console.size
        scene = Scene(
            snapshot,
            self._trend,
            bottleneck(snapshot, self._trend, self._count_keys),
            tuple(self._faults),
            self._owns,
            self._keys,
            self._answer,
        )
        block = [Row(self._ansi(line), line.cell_len) for line in frame(scene, width, height - 1)]
        self._stream.write(self._painter.paint(block, self._take_above(), width))

    def close(self, final: Snapshot, lost: int) -> None:
        """Put the summary where the block stood; the cursor is back."""
        width = self._console.size.width
        lines = summary(final, lost, width, again=self._again)
        above = [*self._take_above(), *map(self._ansi, lines)]
        self._give_back(above, width)

    def restore(self) -> None:
        """Give the terminal back without a summary: for a run that ended in an error."""
        if not self._closed:
            self._give_back(self._take_above(), self._console.size.width)

    def _give_back(self, above: list[str], width: int) -> None:
        if self._returns:
            self._painter.forget()
        self._stream.write(self._painter.erase(above, width))
        if self._tty is not None:
            self._tty.release()
        self._closed = True

    def _key(self, key: str) -> None:
        if key in "qQ":
            if self._leave is not None:
                self._leave()
            else:
                self._asked = True

    def _returned(self) -> None:
        self._returns = True

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
