"""From a project's folder to a manifest, and every content to the store: what is served and run
is what was hashed, whatever happens to the file next.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from pipeline_runner.errors import RunnerError
from pipeline_runner.sync.index import Index, key
from pipeline_runner.sync.manifest import Entry, Kind, Manifest
from pipeline_runner.sync.objects import BLOCK
from pipeline_runner.sync.paths import link_fault
from pipeline_runner.sync.store import Halted
from pipeline_runner.sync.walk import Left, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pipeline_runner.sync.ignore import Rules
    from pipeline_runner.sync.store import Store
    from pipeline_runner.sync.walk import Found

TRIES = 3
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class TooLarge(RunnerError):
    """A file is larger than ``max_file`` of ``[sync]`` allows."""


@dataclass(frozen=True, slots=True)
class Scan:
    """A manifest, what was left out, and how many files had to be read."""

    manifest: Manifest
    left: tuple[Left, ...]
    read: int


@dataclass(slots=True)
class Scanner:
    """Reads the project at ``root`` into ``store``.

    Files that hold one of ``secrets`` stay where they are. Once ``go_on`` says no, Halted is
    raised.
    """

    root: Path
    store: Store
    rules: Rules
    max_file: int
    packages: tuple[str, ...] = ()
    secrets: Sequence[bytes] = ()
    go_on: Callable[[], bool] = lambda: True  # asked before each file and each block of one
    _left: list[Left] = field(default_factory=list)
    _read: int = 0

    def scan(self) -> Scan:
        """Return what the project is now. Raises TooLarge, and OSError if the disk fails."""
        self._left, self._read = [], 0
        file = self.store.root / "index"
        index = Index.load(file, str(self.root))
        entries: list[Entry] = []
        large: list[tuple[int, str]] = []
        for found in walk(self.root, self.rules, self._left.append):
            if not self.go_on():
                raise Halted
            if stat.S_ISREG(found.facts.st_mode) and found.facts.st_size > self.max_file:
                large.append((found.facts.st_size, found.path))
                continue
            entry = self._entry(found, index)
            if entry is not None:
                entries.append(entry)
        if large:
            raise too_large(large, self.max_file)
        with suppress(OSError):  # without it the next scan reads everything again, no more
            index.save(file)
        return Scan(Manifest(tuple(entries), self.packages), tuple(self._left), self._read)

    def _entry(self, found: Found, index: Index) -> Entry | None:
        if stat.S_ISLNK(found.facts.st_mode):
            return self._link(found)
        if stat.S_ISDIR(found.facts.st_mode):
            return Entry(found.path, "folder")
        content = index.known(found.path, found.facts)
        if content and self.store.objects.has(content, found.facts.st_size):
            return Entry(found.path, _kind(found.facts), found.facts.st_size, content)
        return self._file(found, index)

    def _link(self, found: Found) -> Entry | None:
        try:
            target = os.readlink(found.name, dir_fd=found.folder_fd)
        except OSError:  # it is something else by now
            return None
        why = link_fault(found.path, target)
        if not why:
            return Entry(found.path, "link", 0, target)
        self._leave(found.path, f"it is a link that {why}")
        return None

    def _file(self, found: Found, index: Index) -> Entry | None:
        """Return the entry of a file that stood still while it was read.

        One that never does is taken as it was before, if it was.
        """
        for _attempt in range(TRIES):
            try:
                fd = os.open(found.name, _READ, dir_fd=found.folder_fd)
            except FileNotFoundError:
                return None  # it went while we looked
            except OSError as error:
                self._leave(found.path, f"it cannot be read: {error.strerror}")
                return None
            try:
                now = time.time_ns()
                before = os.fstat(fd)
                if not stat.S_ISREG(before.st_mode):
                    return None  # another scan sees what it has become
                content = self._keep(fd, before, found.path)
                after = os.fstat(fd)
            finally:
                os.close(fd)
            if not content:
                return None
            if content != _MOVED and key(before) == key(after):
                self._read += 1
                index.note(found.path, after, content, now)
                return Entry(found.path, _kind(after), after.st_size, content)
        self._leave(found.path, "it changed while it was read, three times over")
        earlier = index.last(found.path)
        if earlier is None or not self.store.objects.has(earlier[1], earlier[0]):
            return None
        return Entry(found.path, _kind(found.facts), earlier[0], earlier[1])

    def _keep(self, fd: int, facts: os.stat_result, path: str) -> str:
        """Keep the bytes of an open file and return their sha256; ``_MOVED`` if it is growing."""
        size = facts.st_size
        if size > BLOCK:
            return self._keep_large(fd, size)
        data = _whole(fd, size + 1)
        if len(data) != size:
            return _MOVED
        if any(secret in data for secret in self.secrets):
            self._leave(path, "it holds a key of this pipeline")
            return ""
        content = sha256(data).hexdigest()
        if size and not self.store.objects.has(content, size):
            self.store.objects.put(data, content)
        return content

    def _keep_large(self, fd: int, size: int) -> str:
        found, left = sha256(), size
        with self.store.objects.draft() as draft:
            while left > 0 and (block := os.read(fd, min(BLOCK, left))):
                found.update(block)
                draft.write(block)
                left -= len(block)
                if not self.go_on():
                    raise Halted
            if left or os.read(fd, 1):
                return _MOVED
            content = found.hexdigest()
            if not self.store.objects.has(content, size):
                draft.keep(content)
        return content

    def _leave(self, path: str, why: str) -> None:
        self._left.append(Left(path, why, ruled=False))


_MOVED = "moved"


def too_large(files: list[tuple[int, str]], max_file: int) -> TooLarge:
    """Return the error for files of (size in bytes, path) over ``max_file``, the largest first."""
    size, path = max(files)
    others = len(files) - 1
    more = f", and {others:,} more {'is' if others == 1 else 'are'}" if others else ""
    return TooLarge(
        f"{path} is {about(size)}, larger than max_file allows ({about(max_file)}){more}",
        hint=f'leave it out: ignore = ["{path}"] in [sync]; or raise max_file there',
    )


def about(size_bytes: int) -> str:
    """Return a size as a person would say it: one unit, at most one decimal."""
    for unit, name in ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB")):
        if size_bytes >= unit:
            return f"{size_bytes / unit:.1f}".removesuffix(".0") + f" {name}"
    return f"{size_bytes} B"


def _kind(facts: os.stat_result) -> Kind:
    return "program" if facts.st_mode & stat.S_IXUSR else "file"


def _whole(fd: int, most: int) -> bytes:
    parts = []
    while most > 0 and (part := os.read(fd, most)):
        parts.append(part)
        most -= len(part)
    return b"".join(parts)
