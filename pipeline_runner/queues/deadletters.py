"""Dead letters on disk: an append-only log of facts, and each failed item's body beside it.

``dead/letters.jsonl`` holds one JSON object a line; ``dead/bodies/RUN-ID`` the encoded batch a
letter's item is in. Both are fsynced before the settle that made the letter is acknowledged, and
can be read without a head.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline_runner.queues.codec import decode
from pipeline_runner.queues.transaction import Body, Revival

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from pipeline_runner.queues.transaction import Letter

_LOG = Path("dead") / "letters.jsonl"
_BODIES = Path("dead") / "bodies"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An item that failed for good. ``ts`` is Unix time in seconds."""

    letter: int
    ts: float
    run: str
    stage: str
    edge: str
    body: int
    index: int
    item_id: str
    attempts: int
    host: str
    pid: int
    release: str
    cause: str
    error: str
    traceback: str
    shown: str  # the item's repr, where its bytes never existed
    body_file: Path | None
    n: int = 0  # items in that body

    def payload(self) -> object:
        """Decode and return the item. Raises what unpickling raises, or LookupError if none."""
        if self.body_file is None:
            raise LookupError("this item could not be pickled; only its text was kept")
        return decode(self.body_file.read_bytes())[self.index]


def append(state: Path, ts: float, letters: Sequence[Letter]) -> None:
    """Write ``letters`` and return once they are on disk. Raises OSError."""
    bodies = state / _BODIES
    bodies.mkdir(parents=True, exist_ok=True)
    lines = []
    for letter in letters:
        name = ""
        if letter.data is not None:
            name = f"{letter.run}-{letter.body}"
            _write_once(bodies / name, letter.data)
        record: dict[str, Any] = asdict(letter)
        del record["data"], record["payload"]
        record |= {
            "ts": ts,
            "item_id": letter.item_id,
            "shown": letter.payload,
            "body_file": name,
        }
        lines.append(json.dumps(record))
    path = state / _LOG
    with path.open("a", encoding="utf-8") as log:
        log.write("\n".join(lines) + "\n")
        log.flush()
        os.fsync(log.fileno())
    _sync_folder(path.parent)
    _sync_folder(bodies)


def read(state: Path) -> list[DeadLetter]:
    """Return every letter kept under ``state``, oldest first; none if there was no failure."""
    path = state / _LOG
    if not path.exists():
        return []
    found: dict[tuple[str, int], DeadLetter] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue  # the last line of a head that was killed while it wrote
        if "gone" in record:
            found.pop((record["run"], record["gone"]), None)
            continue
        name = record.pop("body_file")
        record["body_file"] = state / _BODIES / name if name else None
        found[record["run"], record["letter"]] = DeadLetter(**record)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Dead:
    """Letters as they can be retried, their runs, and why others cannot; by number."""

    revivals: dict[int, Revival]
    runs: dict[int, str]
    refused: dict[int, str]


def revive(state: Path, numbers: Collection[int]) -> Dead:
    """Read the letters ``numbers`` with their bodies, once each. Raises OSError."""
    dead = Dead({}, {}, {})
    bodies: dict[Path, bytes] = {}
    for letter in read(state):
        if letter.letter not in numbers:
            continue
        if letter.body_file is None:
            dead.refused[letter.letter] = _NO_ITEM if letter.shown else _NO_VALUE
            continue
        if not letter.n:
            dead.refused[letter.letter] = "another version wrote it"
            continue
        if letter.body_file not in bodies:
            bodies[letter.body_file] = letter.body_file.read_bytes()
        body = Body(letter.body, letter.n, bodies[letter.body_file])
        dead.revivals[letter.letter] = Revival(letter.edge, body, letter.index)
        dead.runs[letter.letter] = letter.run
    return dead


_NO_ITEM = "its item could not be pickled, and only its text was kept"
_NO_VALUE = "a source failed, and no item with it"


def strike(state: Path, run: str, numbers: Iterable[int]) -> None:
    """Note that letters were retried or dropped. Raises OSError.

    Not fsynced: with a journal that is the one to ask, and without it a letter too many is told.
    """
    lines = [json.dumps({"gone": number, "run": run}) for number in numbers]
    with (state / _LOG).open("a", encoding="utf-8") as log:
        # On a line of its own, also behind one that a kill cut short.
        log.write("".join(f"\n{line}" for line in lines) + "\n")


def sweep(state: Path) -> None:
    """Delete the bodies that no letter refers to any more. Not while a head runs."""
    used = {letter.body_file for letter in read(state)}
    for path in (state / _BODIES).glob("*"):
        if path not in used:
            path.unlink(missing_ok=True)


def keep_only(state: Path, run: str, numbers: Collection[int]) -> None:
    """Drop the letters of ``run`` but ``numbers``: their head died before their items were gone.

    Raises OSError.
    """
    path = state / _LOG
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if _is_kept(line, run, numbers)]
    if kept == lines:
        return
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as log:
        log.writelines(f"{line}\n" for line in kept)
        log.flush()
        os.fsync(log.fileno())
    part.replace(path)
    _sync_folder(path.parent)


def _is_kept(line: str, run: str, numbers: Collection[int]) -> bool:
    try:
        record = json.loads(line)
    except ValueError:
        return False  # the last line of a head that was killed while it wrote
    # A number may come again after it was struck: of both and the line between, the last counts.
    return record["run"] != run or record.get("letter", record.get("gone")) in numbers


def put_aside(state: Path) -> Path:
    """Move the letters of an earlier run out of the way; return the folder they are in now."""
    older = (path.name.removeprefix("dead-") for path in state.glob("dead-*"))
    number = 1 + max((int(name) for name in older if name.isdecimal()), default=0)
    kept = state / f"dead-{number}"
    (state / _LOG).parent.rename(kept)
    return kept


def _write_once(path: Path, data: bytes) -> None:
    if path.exists():
        return
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
