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

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

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
    found: list[DeadLetter] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue  # the last line of a head that was killed while it wrote
        name = record.pop("body_file")
        record["body_file"] = state / _BODIES / name if name else None
        found.append(DeadLetter(**record))
    return found


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
    return record["run"] != run or record["letter"] in numbers


def put_aside(state: Path) -> Path:
    """Move the letters of an earlier run out of the way; return the folder they are in now."""
    number = 1 + sum(1 for _ in state.glob("dead-*"))
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
