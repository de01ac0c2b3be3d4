"""What workers printed, kept as JSON lines: a file a stage, and one older one."""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_runner.events import Printed

LARGEST = 16 * 1024**2  # bytes of one file; with the older one a stage keeps twice that


class LogFiles:
    """``logs/STAGE.jsonl`` under the state folder."""

    def __init__(self, state: Path) -> None:
        self._folder = state / "logs"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._files: dict[str, IO[str]] = {}

    def write(self, line: Printed) -> None:
        """Append one line. Raises OSError when the disk does not take it."""
        file = self._files.get(line.stage)
        if file is None or file.tell() > LARGEST:
            file = self._files[line.stage] = self._fresh(line.stage, file)
        record = {
            "ts": line.ts,
            "host": line.host,
            "stage": line.stage,
            "index": line.index,
            "pid": line.pid,
            "stream": line.stream,
            "text": line.text,
        }
        file.write(json.dumps(record, ensure_ascii=False) + "\n")

    def flush(self) -> None:
        """Hand what was written to the system."""
        for file in self._files.values():
            file.flush()

    def close(self) -> None:
        """Close every file."""
        for file in self._files.values():
            file.close()
        self._files = {}

    def _fresh(self, stage: str, full: IO[str] | None) -> IO[str]:
        path = self._folder / f"{stage}.jsonl"
        if full is not None:
            full.close()
            path.replace(path.with_suffix(".1.jsonl"))
        return path.open("a", encoding="utf-8")
