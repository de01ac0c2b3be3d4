"""Dead letters on disk: what is known of each, and its own item.

``dead/letters`` is one file that is appended to, a group of letters at a time (see
:mod:`pipeline_runner.queues.dead_letter_file`). A group is fsynced before the settles that made its
letters are acknowledged. The file can be read without a head, and so can what earlier versions left
in ``dead/letters.jsonl``.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pipeline_runner.queues import dead_letter_file as letter_file
from pipeline_runner.queues import dead_letters_v01
from pipeline_runner.queues.broker.transaction import Letter, Redrive, item_id
from pipeline_runner.queues.dead_letter_file import Context, Gone, Items
from pipeline_runner.wire.repack import gather

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

FOLDER = Path("dead")
_FILE = FOLDER / "letters"
_AT_ONCE = 512  # letters of a group of a file that is written anew


class DeadLetter(msgspec.Struct, frozen=True, gc=False):
    """An item that failed for good. ``ts`` is Unix time in seconds.

    ``shown`` is the item's repr where its bytes never existed. What is large or can be put
    together from other parts is fetched when it is asked for: there may be 200,000 of these.
    """

    letter: int
    ts: float
    context: Context
    body: int
    index: int
    attempts: int
    error: str
    shown: str
    has_item: bool
    frames: str
    said: str  # behind them, unless that is ``error``
    path: Path
    at: int  # of its group; -1: in a file of its own
    place: int  # in its group, or in that file

    @property
    def run(self) -> str:
        """The run it failed in."""
        return self.context.run

    @property
    def stage(self) -> str:
        """The stage it failed in."""
        return self.context.stage

    @property
    def edge(self) -> str:
        """The edge it came on; empty for a source, whose failure is no item's."""
        return self.context.edge

    @property
    def host(self) -> str:
        """The host of its last attempt."""
        return self.context.host

    @property
    def pid(self) -> int:
        """The process of its last attempt."""
        return self.context.pid

    @property
    def release(self) -> str:
        """The release of the worker that it failed in."""
        return self.context.release

    @property
    def made_by(self) -> str:
        """The release of the worker that made it; empty if that is not known."""
        return self.context.made_by

    @property
    def cause(self) -> str:
        """What kind of failure it was: "raised", "timeout", "died", "undecodable", ..."""
        return self.context.cause

    @property
    def item_id(self) -> str:
        """The item's name through every retry; empty for a source."""
        return item_id(self.run, self.edge, self.body, self.index) if self.edge else ""

    @property
    def is_of_source(self) -> bool:
        """Whether a source failed, and no item: ``index`` is then which of its processes."""
        return not (self.edge or self.has_item or self.shown)

    @property
    def traceback(self) -> str:
        """Where it failed, as Python tells it; empty where nothing was raised."""
        return self.frames + (self.said or (f"{self.error}\n" if self.frames else ""))

    def item(self, items: Items | None = None) -> bytes:
        """Return the item's pickle; who wants many has them from one ``items``.

        Raises LookupError if there is none, OSError, ValueError.
        """
        if not self.has_item:
            raise LookupError("this item could not be pickled; only its text was kept")
        if self.at < 0:
            raise ValueError("an earlier version kept it among others")
        return (items or Items()).item(self.path, self.at, self.place)

    def held_in(self) -> tuple[bytes, int]:
        """Return a body that has the item, and its place there. Raises like :meth:`item`."""
        if self.has_item and self.at < 0:
            return self.path.read_bytes(), self.place
        return gather([((self.body, self.index), self.item())]), 0

    def payload(self) -> object:
        """Decode and return the item. Raises what unpickling raises, or like :meth:`item`."""
        if self.has_item and self.at < 0:
            return dead_letters_v01.payload(self.path, self.place)
        return pickle.loads(self.item())  # noqa: S301  (the key holders' own items)


def append(state: Path, ts: float, letters: Sequence[Letter]) -> None:
    """Write ``letters`` and return once they are on disk. Raises OSError."""
    path = state / _FILE
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    letter_file.append(path, ts, letters)


def read(state: Path) -> list[DeadLetter]:
    """Return every letter kept under ``state``, oldest first; none if there was no failure."""
    return list(_read(state).values())


def _read(state: Path) -> dict[tuple[str, int], DeadLetter]:
    found = {(one.run, one.letter): one for one in _earlier(state)}
    path = state / _FILE
    if not path.exists():
        return found
    for at, group in letter_file.groups(path):
        if isinstance(group, Gone):
            for number in group.letters:
                found.pop((group.run, number), None)
            continue
        ts, contexts, texts = group.ts, group.contexts, group.texts
        for place, row in enumerate(group.rows):
            context = contexts[row.context]
            found[context.run, row.letter] = DeadLetter(
                row.letter,
                ts,
                context,
                row.body,
                row.index,
                row.attempts,
                row.error,
                row.shown,
                row.size >= 0,
                texts[row.frames],
                row.said,
                path,
                at,
                place,
            )
    return found


def _earlier(state: Path) -> Iterator[DeadLetter]:
    for one in dead_letters_v01.read(state / FOLDER):
        names = ("run", "stage", "edge", "host", "pid", "release", "cause")
        context = Context(**{name: one[name] for name in names}, made_by="")
        has_item = one["body_file"] is not None
        yield DeadLetter(
            one["letter"],
            one["ts"],
            context,
            one["body"],
            one["index"],
            one["attempts"],
            one["error"],
            one["shown"],
            has_item,
            "",
            one["traceback"],
            one["body_file"] if has_item else state / _FILE,
            -1,
            one["index"],
        )


@dataclass(frozen=True, slots=True)
class Dead:
    """Letters as they can be retried, their runs, and why others cannot; by number.

    ``sources`` are the letters of sources that failed: the stage and which of its processes.
    """

    revivals: dict[int, Redrive]
    runs: dict[int, str]
    refused: dict[int, str]
    sources: dict[int, tuple[str, int]]


def redrive(state: Path, numbers: Collection[int]) -> Dead:
    """Read the letters ``numbers`` with their items. Raises OSError."""
    dead = Dead({}, {}, {}, {})
    wanted, items = set(numbers), Items()
    for letter in read(state):
        if letter.letter not in wanted:
            continue
        if letter.is_of_source:
            dead.sources[letter.letter] = letter.stage, letter.index
            dead.runs[letter.letter] = letter.run
            continue
        if not letter.has_item:
            dead.refused[letter.letter] = _NO_ITEM
            continue
        try:
            item = letter.item(items)
        except ValueError as error:
            dead.refused[letter.letter] = f"its item cannot be read: {error}"
            continue
        name = letter.body, letter.index
        dead.revivals[letter.letter] = Redrive(letter.edge, *name, item, letter.made_by)
        dead.runs[letter.letter] = letter.run
    return dead


_NO_ITEM = "its item could not be pickled, and only its text was kept"


def forget_letters(state: Path, run: str, numbers: Iterable[int]) -> None:
    """Note that letters were retried or dropped. Raises OSError.

    Not fsynced: with a journal that is the one to ask, and without it a letter too many is told.
    """
    letter_file.append_gone(state / _FILE, run, list(numbers))


def forget_each(state: Path, runs: Mapping[int, str]) -> None:
    """Note it of letters of several runs; ``runs`` says of which each is. Raises OSError."""
    for run in dict.fromkeys(runs.values()):
        forget_letters(state, run, [number for number, of in runs.items() if of == run])


def keep_only(state: Path, run: str, numbers: Collection[int]) -> None:
    """Drop the letters of ``run`` but ``numbers``: their head died before their items were gone.

    Raises OSError.
    """
    kept = set(numbers)
    gone = [number for of, number in _read(state) if of == run and number not in kept]
    if gone:
        forget_letters(state, run, gone)


def sweep(state: Path) -> None:
    """Give back the room of letters that are none any more. Not while a head runs.

    The file is written anew once half of its letters are gone. Raises OSError.
    """
    letters = read(state)
    earlier = {one.path for one in letters if one.at < 0}
    dead_letters_v01.sweep(state / FOLDER, earlier)
    path = state / _FILE
    if earlier or not path.exists():  # it says too which of the earlier ones are none any more
        return
    mine = [one for one in letters if one.at >= 0]
    written = sum(len(g.rows) for _at, g in letter_file.groups(path) if not isinstance(g, Gone))
    if 2 * len(mine) > written:
        return
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    items = Items()
    for start in range(0, len(mine), _AT_ONCE):
        for ts, some in _by_time(mine[start : start + _AT_ONCE], items):
            letter_file.append(part, ts, some)
    if mine:
        part.replace(path)
    else:
        path.unlink()
    letter_file.sync_folder(path.parent)


def _by_time(letters: Sequence[DeadLetter], items: Items) -> Iterator[tuple[float, list[Letter]]]:
    """Yield letters as they were when they were written, those of one moment together."""
    together: list[DeadLetter] = []
    for one in letters:
        if together and together[-1].ts != one.ts:
            yield together[-1].ts, [_again(each, items) for each in together]
            together = []
        together.append(one)
    yield together[-1].ts, [_again(each, items) for each in together]


def _again(one: DeadLetter, items: Items) -> Letter:
    context = one.context
    return Letter(
        letter=one.letter,
        run=context.run,
        stage=context.stage,
        edge=context.edge,
        body=one.body,
        index=one.index,
        attempts=one.attempts,
        host=context.host,
        pid=context.pid,
        release=context.release,
        made_by=context.made_by,
        cause=context.cause,
        error=one.error,
        traceback=one.traceback,
        item=one.item(items) if one.has_item else None,
        shown=one.shown,
    )
