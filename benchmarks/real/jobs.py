"""The jobs: what gives the items, the work on each, and a sink, as a user would write them.

This file is also copied, as it is, into the project that ``runner up`` runs, so it imports
nothing of ours. A job NAME has ``NAME_items``, ``NAME_work`` and a class ``NAME_sink``, which
writes ``result.json`` when it is closed: what it got in all, to be compared with a plain loop's.
``REAL_SIZE`` is the size of the job, ``REAL_OUT`` the folder for what comes of it.
"""

from __future__ import annotations

import hashlib
import io
import json
import keyword
import os
import sqlite3
import sysconfig
import time
import tokenize
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

NOT_COUNTED = {*keyword.kwlist, "self"}
NAP_S = 0.02
TEXT = 900  # characters of a row, which is 1 KiB with the rest


def _size() -> int:
    return int(os.environ["REAL_SIZE"])


def _out() -> Path:
    return Path(os.environ["REAL_OUT"])


def _close(count: int, total: object) -> None:
    (_out() / "result.json").write_text(json.dumps({"count": count, "total": total}))


def wordcount_items() -> Iterator[str]:
    """Yield at most ``REAL_SIZE`` files of the standard library, always the same."""
    folder = Path(sysconfig.get_path("stdlib"))
    installed = {"site-packages", "dist-packages"}
    paths = sorted(folder.rglob("*.py"))
    own = [path for path in paths if installed.isdisjoint(path.relative_to(folder).parts)]
    yield from map(str, own[:: max(1, len(own) // _size())])


def wordcount_work(path: str) -> tuple[str, dict[str, int]]:
    """Count the names in one file."""
    found: Counter[str] = Counter()
    try:
        with tokenize.open(path) as source:
            for token in tokenize.generate_tokens(source.readline):
                if token.type == tokenize.NAME and token.string not in NOT_COUNTED:
                    found[token.string] += 1
    except (SyntaxError, UnicodeDecodeError, tokenize.TokenError):
        pass  # some of Python's tests are broken on purpose
    return path, dict(found)


class wordcount_sink:  # noqa: N801  (a job's names begin with the job's)
    """Keeps a row a file in a database, and adds them up at the end."""

    def __init__(self) -> None:
        self.rows = sqlite3.connect(_out() / "counts.sqlite", isolation_level=None)
        self.rows.execute("PRAGMA journal_mode = WAL")
        self.rows.execute("PRAGMA synchronous = NORMAL")
        self.rows.execute("CREATE TABLE IF NOT EXISTS counts (file TEXT PRIMARY KEY, names TEXT)")

    def __call__(self, counted: tuple[str, dict[str, int]]) -> None:
        name, found = counted
        self.rows.execute("INSERT OR REPLACE INTO counts VALUES (?, ?)", (name, json.dumps(found)))

    def close(self) -> None:
        sums, files = Counter[str](), 0
        for (found,) in self.rows.execute("SELECT names FROM counts"):
            sums.update(json.loads(found))
            files += 1
        self.rows.close()
        _close(files, sums.total())


def thumbnails_items() -> Iterator[int]:
    yield from range(_size())


def thumbnails_work(number: int) -> tuple[str, bytes]:
    """Draw a picture, encode it as a camera does, decode it and make a thumbnail of it."""
    from PIL import Image, ImageOps  # for this job alone

    shift = number % 97 / 97
    extent = (-2.0 + shift, -1.0, 0.4 + shift, 0.8)
    drawn = ImageOps.colorize(Image.effect_mandelbrot((960, 720), extent, 60), "#0b132b", "#f6f7d7")
    photo = io.BytesIO()
    drawn.save(photo, "JPEG", quality=88)
    image = Image.open(photo)
    image.thumbnail((200, 150), Image.Resampling.LANCZOS)
    thumb = io.BytesIO()
    image.save(thumb, "PNG")
    return f"{number:06}.png", thumb.getvalue()


class thumbnails_sink:  # noqa: N801
    """Writes each thumbnail to a file of its own, and tells a digest of all."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, thumb: tuple[str, bytes]) -> None:
        name, data = thumb
        (_out() / name).write_bytes(data)
        self.names.append(name)

    def close(self) -> None:
        digest = hashlib.sha256()
        for name in sorted(self.names):
            digest.update((_out() / name).read_bytes())
        _close(len(self.names), digest.hexdigest())


class _Sum:
    """Counts and adds up."""

    def __init__(self) -> None:
        self.count = self.total = 0

    def __call__(self, number: int) -> None:
        self.count += 1
        self.total += number

    def close(self) -> None:
        _close(self.count, self.total)


def naps_items() -> Iterator[int]:
    yield from range(_size())


def naps_work(number: int) -> int:
    """Wait as on a network."""
    time.sleep(NAP_S)
    return number * number


class naps_sink(_Sum):  # noqa: N801
    """Adds up the squares."""


def dicts_items() -> Iterator[dict[str, Any]]:
    """Yield rows of about 1 KiB, all different."""
    for number in range(_size()):
        head = f"{number:08}"
        yield {
            "id": number,
            "name": f"row {head}",
            "price": number / 8,
            "tags": ["a", head],
            "text": head + "x" * (TEXT - len(head)),
        }


def dicts_work(row: dict[str, Any]) -> dict[str, Any]:
    """Change a row a little."""
    return {**row, "price": row["price"] * 2, "length": len(row["text"])}


class dicts_sink(_Sum):  # noqa: N801
    """Adds up what it can check of each row."""

    def __call__(self, row: dict[str, Any]) -> None:  # type: ignore[override]
        if row["text"][:8] != row["tags"][1] or row["id"] * 2 / 8 != row["price"]:
            raise ValueError(f"row {row['id']} came changed")
        super().__call__(row["id"] + row["length"])
