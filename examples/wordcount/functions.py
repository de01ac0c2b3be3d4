"""Counts the names in every Python file of a folder: the standard library's, unless FOLDER says.

Nothing here knows of processes or queues; ``plain.py`` calls the same functions in a loop.
"""

from __future__ import annotations

import json
import keyword
import os
import sqlite3
import sysconfig
import tokenize
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_runner import context

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(os.environ.get("FOLDER") or sysconfig.get_path("stdlib")).expanduser()
INSTALLED = {"site-packages", "dist-packages"}  # not the standard library's own
NOT_COUNTED = {*keyword.kwlist, "self"}
COMMONEST = 20
BAR = 34  # columns
EIGHTHS = " ▏▎▍▌▋▊▉"


def files() -> Iterator[str]:
    """The source. Sorted, because a source that is run again has to yield the same again."""
    for path in sorted(FOLDER.rglob("*.py")):
        name = path.relative_to(FOLDER)
        if INSTALLED.isdisjoint(name.parts) and path.is_file():
            yield name.as_posix()


def count(name: str) -> tuple[str, dict[str, int]]:
    """A map: one file in, one count out. Runs in as many processes as there are cores."""
    found: Counter[str] = Counter()
    try:
        with tokenize.open(FOLDER / name) as source:
            for token in tokenize.generate_tokens(source.readline):
                if token.type == tokenize.NAME and token.string not in NOT_COUNTED:
                    found[token.string] += 1
    except (SyntaxError, UnicodeDecodeError, tokenize.TokenError):
        pass  # some of Python's tests are broken on purpose: what came before the fault counts
    return name, dict(found)


class Tally:
    """The sink: built once in its process, called for each item, closed at the end.

    What an object remembers dies with its process, so counts go to a database, and by file: a
    function may run twice for an item when its process dies at the wrong moment, and the second
    row then replaces the first. (Items without a name of their own have ``context().item_id``.)
    """

    def __init__(self) -> None:
        self.store = Store(context().output / ".runner" / "wordcount.sqlite")

    def __call__(self, counted: tuple[str, dict[str, int]]) -> None:
        self.store.keep(*counted)

    def close(self) -> None:
        """Called at every orderly exit; ``finished`` only when there is nothing more to come."""
        if context().finished:
            print(table(*self.store.totals(set(files()))))
        self.store.close()


class Store:
    """One row a file. Rows of files that are no more, from a run of long ago, do not count."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        self.rows = sqlite3.connect(path, isolation_level=None)
        self.rows.execute("PRAGMA journal_mode = WAL")
        self.rows.execute("PRAGMA synchronous = NORMAL")  # a killed process loses nothing
        self.rows.execute("CREATE TABLE IF NOT EXISTS counts (file TEXT PRIMARY KEY, names TEXT)")

    def keep(self, name: str, found: dict[str, int]) -> None:
        self.rows.execute("INSERT OR REPLACE INTO counts VALUES (?, ?)", (name, json.dumps(found)))

    def totals(self, wanted: set[str]) -> tuple[Counter[str], int]:
        """The sums over the rows of ``wanted`` files, and how many rows those are."""
        sums, among = Counter[str](), 0
        with closing(self.rows.execute("SELECT file, names FROM counts")) as rows:
            for name, found in rows:
                if name in wanted:
                    sums.update(json.loads(found))
                    among += 1
        return sums, among

    def close(self) -> None:
        self.rows.close()


def table(sums: Counter[str], among: int) -> str:
    """The commonest names as lines of at most 66 columns."""
    ranked = sorted(sums.items(), key=lambda pair: (-pair[1], pair[0]))[:COMMONEST]
    most = ranked[0][1] if ranked else 1
    lines = [f"{sums.total():,} names in {among:,} files, {len(sums):,} different ones", ""]
    lines += [f"{name:>18.18}  {bar(times / most):<{BAR}} {times:>10,}" for name, times in ranked]
    return "\n".join(lines)


def bar(part: float) -> str:
    """A bar as long as ``part`` of the longest, to an eighth of a column."""
    whole, eighth = divmod(round(part * BAR * 8), 8)
    return "█" * whole + EIGHTHS[eighth].strip()
