"""Files to another host beside rsync, in turns: ``python -m benchmarks.sync [FILES] [ROUNDS]``.

Ours is a head's reading of the project and a host's fetching of it, both stores on this disk, in
one process that lives already and without a network between them. rsync copies the same folder on
this disk with ``rsync -a``, its start included. Prints medians of wall and CPU time and the ratio.
"""

from __future__ import annotations

import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_runner.agent.fetching import Fetcher
from pipeline_runner.sync.fetch import PIECE
from pipeline_runner.sync.ignore import rules
from pipeline_runner.sync.scan import Scanner
from pipeline_runner.sync.store import Store
from pipeline_runner.wire.control_messages import (
    ManifestData,
    ObjectData,
    WantManifest,
    WantObjects,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_runner.sync.manifest import Manifest
    from pipeline_runner.wire.messages import Message

SIZE_BYTES = 7000


def make(root: Path, files: int) -> None:
    """Write ``files`` files of a few folders, as a project has them."""
    chance = random.Random(1)
    for number in range(files):
        path = root / f"pkg{number % 40}" / f"sub{number % 7}" / f"m{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(SIZE_BYTES))


class Ours:
    """A head and a host."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = root
        self.head = Store(folder / "head")
        self.head.open()
        self.host = Store(folder / "host")
        self.output = folder / "output"
        self.received_bytes = 0

    def sync(self) -> None:
        """Read the project and make it present on the host."""
        scan = Scanner(self.root, self.head, rules(), 1 << 40).scan()
        asked: deque[Message] = deque()
        ready: list[Path | None] = []
        fetcher = Fetcher(
            self.host,
            self.output,
            asked.append,
            lambda _ready, root: ready.append(root),
            lambda _moved: None,
            lambda _seconds, _call: None,
        )
        fetcher.want(scan.manifest.release)
        while asked:
            fetcher.take_in(*self._answer(scan.manifest, asked.popleft()))
        assert ready[-1] is not None
        fetcher.close()

    def _answer(self, manifest: Manifest, message: Message) -> tuple[Message, bytes]:
        if isinstance(message, WantManifest):
            data = manifest.data[message.offset : message.offset + PIECE]
            return ManifestData(message.release, message.offset, len(manifest.data)), data
        assert isinstance(message, WantObjects)
        parts = []
        for content, offset, size in message.wants:
            fd = os.open(self.head.objects.path(content.hex()), os.O_RDONLY)
            parts.append(os.pread(fd, size, offset))
            os.close(fd)
        data = b"".join(parts)
        self.received_bytes += len(data)
        return ObjectData(message.seq, message.release), data


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds, and the CPU seconds, that ``work`` and its children took."""
    before, began = _cpu_s(), time.perf_counter()
    work()
    return time.perf_counter() - began, _cpu_s() - before


def _cpu_s() -> float:
    use = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in use)


def main(files: int, rounds: int) -> None:
    """Run the cases in turns and print them."""
    times: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for turn in range(rounds):
        with tempfile.TemporaryDirectory(prefix="bench-") as name:
            folder = Path(name)
            root = folder / "project"
            make(root, files)
            for path in root.rglob("*"):
                os.utime(path, (1, 1))
            time.sleep(2.1)  # what was written just now is read twice, and that is another case
            ours = Ours(root, folder / "ours")
            rsync = ["rsync", "-a", f"{root}/", str(folder / "rsync")]
            edited = root / "pkg0" / "sub0" / "m0.py"
            for case in ("full", "nothing new", "one edit"):
                if case == "one edit":
                    edited.write_bytes(b"x" * SIZE_BYTES)
                both: list[tuple[str, Callable[[], object]]] = [
                    ("ours", ours.sync),
                    ("rsync", lambda: subprocess.run(rsync, check=True)),  # noqa: B023
                ]
                for who, work in both[:: 1 if turn % 2 else -1]:
                    times.setdefault((case, who), []).append(measured(work))
    print(f"{files:,} files of {SIZE_BYTES:,} bytes, {rounds} rounds in turns, medians")
    for case in ("full", "nothing new", "one edit"):
        wall, cpu = (
            {who: statistics.median(t[part] for t in times[case, who]) for who in ("ours", "rsync")}
            for part in (0, 1)
        )
        print(
            f"{case:<12} ours {wall['ours'] * 1e3:6.0f} ms ({cpu['ours'] * 1e3:.0f} ms CPU)   "
            f"rsync {wall['rsync'] * 1e3:6.0f} ms ({cpu['rsync'] * 1e3:.0f} ms CPU)   "
            f"ratio {wall['ours'] / wall['rsync']:.2f} (CPU {cpu['ours'] / cpu['rsync']:.2f})"
        )


if __name__ == "__main__":
    main(*(int(word) for word in (*sys.argv[1:], "2000", "5")[:2]))
