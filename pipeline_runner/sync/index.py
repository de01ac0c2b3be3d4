"""What files were when they were last read: those that look the same are not read again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pipeline_runner.sync.store import write_whole

if TYPE_CHECKING:
    import os
    from pathlib import Path

RACY_NS = 2 * 10**9  # a file that changed so lately may change again and look the same
_SKEW_NS = 3600 * 10**9  # so far ahead a file server's clock may be

Key = tuple[int, int, int, int]  # size, mtime_ns, ctime_ns, inode


def key(facts: os.stat_result) -> Key:
    """Return what changes when a file does."""
    return facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino


class _Document(msgspec.Struct, frozen=True, array_like=True):
    root: str
    files: dict[str, tuple[Key, str]]


class Index:
    """The sha256 of files by path, for as long as their keys stay what they were."""

    def __init__(self, root: str, files: dict[str, tuple[Key, str]] | None = None) -> None:
        self._root = root
        self._before = files or {}
        self._now: dict[str, tuple[Key, str]] = {}

    @staticmethod
    def load(path: Path, root: str) -> Index:
        """Return what was saved of the project at ``root``; an empty index if that is no use."""
        try:
            saved = msgspec.msgpack.decode(path.read_bytes(), type=_Document)
        except (OSError, msgspec.MsgspecError):
            return Index(root)
        return Index(root, saved.files if saved.root == root else None)

    def known(self, path: str, facts: os.stat_result) -> str:
        """Return the sha256 of the file at ``path`` if it is as it was; else nothing."""
        found = self._before.get(path)
        if found is None or found[0] != key(facts):
            return ""
        self._now[path] = found
        return found[1]

    def last(self, path: str) -> tuple[int, str] | None:
        """Return (size, sha256) of what was at ``path`` when it was last read."""
        found = self._before.get(path)
        return None if found is None else (found[0][0], found[1])

    def note(self, path: str, facts: os.stat_result, content: str, read_ns: int) -> None:
        """Remember a file that was read at ``read_ns``, Unix time, unless it was just written."""
        if not _is_racy(facts, read_ns):
            self._now[path] = (key(facts), content)

    def save(self, path: Path) -> None:
        """Write it down if it changed. Raises OSError."""
        if self._now != self._before:
            write_whole(path, msgspec.msgpack.encode(_Document(self._root, self._now)))


def _is_racy(facts: os.stat_result, read_ns: int) -> bool:
    """Whether a write just after ``read_ns`` might leave both times of a file as they are.

    A time that lies well in the future is no sign of one: the next write sets it back to now.
    """
    since = read_ns - RACY_NS
    return (
        since <= facts.st_mtime_ns <= read_ns + RACY_NS
        or since <= facts.st_ctime_ns <= read_ns + _SKEW_NS
    )
