"""Contents as they arrive: small ones at once, large ones in a part that outlives a cut."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pipeline_runner.errors import RunnerError
from pipeline_runner.sync.objects import BLOCK, write_sparse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline_runner.sync.store import Store


class Damaged(RunnerError):
    """What came is not what it should be."""

    def __init__(self) -> None:
        super().__init__(
            "a file was changed on its way here, and was not kept",
            hint="a relay or a faulty network card does so; it is asked for again",
        )


@dataclass(slots=True)
class _Part:
    content: str
    path: Path
    fd: int
    size: int
    hash: Any


class Arrivals:
    """Takes in pieces of contents whose ``sizes`` are known. Its methods may raise OSError."""

    def __init__(self, store: Store, sizes: Mapping[str, int]) -> None:
        self._store = store
        self._sizes = sizes
        self._part: _Part | None = None

    def here(self, content: str) -> int:
        """Return how many bytes of ``content`` came before a cut: its next offset."""
        try:
            size = self._path(content).lstat().st_size
        except OSError:
            return 0
        if size < self._sizes[content]:
            return size
        self._path(content).unlink()
        return 0

    def take(self, content: str, offset: int, piece: memoryview) -> None:
        """Take in a piece, the next one of its content. Raises Damaged, and keeps nothing of it."""
        size = self._sizes[content]
        if not offset and len(piece) == size:
            if not self._store.objects.put(piece, content):
                raise Damaged
            return
        part = self._open(content)
        if offset != part.size or offset + len(piece) > size:
            raise Damaged
        write_sparse(part.fd, piece)
        part.hash.update(piece)
        part.size += len(piece)
        if part.size == size:
            self._complete(part)

    def close(self) -> None:
        """Close what is open; it can be gone on with."""
        if self._part is not None:
            os.close(self._part.fd)
            self._part = None

    def _complete(self, part: _Part) -> None:
        try:
            if part.hash.hexdigest() != part.content:
                part.path.unlink()
                raise Damaged
            self._store.objects.adopt(part.path, part.fd, part.content)
        finally:
            self.close()

    def _open(self, content: str) -> _Part:
        if self._part is not None and self._part.content == content:
            return self._part
        self.close()
        path = self._path(content)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        part = _Part(content, path, os.open(path, flags, 0o600), 0, sha256())
        while block := os.read(part.fd, BLOCK):  # what came before a cut counts too
            part.hash.update(block)
            part.size += len(block)
        self._part = part
        return part

    def _path(self, content: str) -> Path:
        return self._store.partial / content


def forget(store: Store) -> None:
    """Delete every part: one of them was damaged."""
    for path in store.partial.glob("[0-9a-f]*"):
        with suppress(OSError):
            path.unlink()
