"""Dead letters as version 0.1 kept them: JSON lines, and each item's whole body as a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pipeline_runner.wire.codec import decode

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_LOG = "letters.jsonl"
_BODIES = "bodies"


def read(folder: Path) -> list[dict[str, Any]]:
    """Return the facts of each letter in ``folder``, oldest first. Raises OSError.

    ``body_file`` is the path of its body, in which it has the place ``index``; None if it has none.
    """
    path = folder / _LOG
    if not path.exists():
        return []
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue  # the last line of a head that was killed while it wrote
        if "gone" in record:
            found.pop((record["run"], record["gone"]), None)
            continue
        name = record["body_file"]
        record["body_file"] = folder / _BODIES / name if name else None
        found[record["run"], record["letter"]] = record
    return list(found.values())


def payload(body: Path, index: int) -> object:
    """Decode and return one item. Raises OSError, or what unpickling raises."""
    return decode(body.read_bytes())[index]


def sweep(folder: Path, used: Collection[Path]) -> None:
    """Delete bodies that are not ``used`` any more, the log with the last. Raises OSError."""
    for path in (folder / _BODIES).glob("*"):
        if path not in used:
            path.unlink(missing_ok=True)
    if not used:
        (folder / _LOG).unlink(missing_ok=True)
