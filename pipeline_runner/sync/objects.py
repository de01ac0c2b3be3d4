"""The contents of files by their sha256: each is there once, whole and never changed."""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

BLOCK = 1024 * 1024
_HOLE = 64 * 1024  # the least that is worth one
_ZEROS = memoryview(bytes(_HOLE))
# One time for all: when a content was kept says nothing of it, and what changed it shows.
MTIME_NS = 1_000_000_000 * 10**9
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Objects:
    """``folder/ab/abcd...`` holds the content of that sha256; ``scratch`` what is not whole yet.

    ``unsure`` holds what was there when the machine went down: a power cut may have emptied any of
    it, so each is hashed before it counts again.
    """

    def __init__(self, folder: Path, scratch: Path, unsure: Path) -> None:
        self.folder = folder
        self._base = os.fspath(folder)
        self._scratch = scratch
        self._unsure = unsure

    def path(self, content: str) -> Path:
        """Return where ``content`` is, if it is there."""
        return self.folder / content[:2] / content

    def name(self, content: str) -> str:
        """Return the same as text: of thousands, paths would take longer than the disk."""
        return f"{self._base}/{content[:2]}/{content}"

    def has(self, content: str, size: int) -> bool:
        """Return whether the ``size`` bytes of ``content`` are there; none always are."""
        if not size:
            return True
        try:
            facts = os.lstat(self.name(content))
        except OSError:
            return self._has_again(content)
        # Whoever owns a file may make it writable, and a release's may be a link of this one.
        return facts.st_size == size and facts.st_mtime_ns == MTIME_NS

    def put(self, data: bytes | memoryview, content: str) -> bool:
        """Keep ``data`` if it is ``content``; return whether it is. Raises OSError."""
        if sha256(data).hexdigest() != content:
            return False
        with self.draft() as draft:
            draft.write(data)
            draft.keep(content)
        return True

    def draft(self) -> Draft:
        """Return a new file to write a content into. Raises OSError."""
        return Draft(self, self._scratch / secrets.token_hex(8))

    def adopt(self, path: Path, fd: int, content: str) -> None:
        """Move in the file at ``path``, open as ``fd``, whose sha256 is known to be ``content``.

        Raises OSError.
        """
        os.fchmod(fd, 0o444)
        os.utime(fd, ns=(MTIME_NS, MTIME_NS))
        target = self.name(content)
        try:
            path.replace(target)
        except FileNotFoundError:
            self.path(content).parent.mkdir(mode=0o700, exist_ok=True)
            path.replace(target)

    def _has_again(self, content: str) -> bool:
        for path in self._unsure.glob(f"*/{content[:2]}/{content}"):
            with suppress(OSError):
                if digest(path) != content:
                    path.unlink()
                    continue
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    self.adopt(path, fd, content)
                finally:
                    os.close(fd)
                return True
        return False


class Draft:
    """A file that becomes an object when it is kept, and goes when it is not."""

    def __init__(self, objects: Objects, path: Path) -> None:
        self._objects = objects
        self._path = path
        self._fd = os.open(path, NEW, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)  # it is somebody's: see sweep_staging
        self._kept = False

    def write(self, data: bytes | memoryview) -> None:
        """Append ``data``, zeros as holes. Raises OSError."""
        write_sparse(self._fd, data)

    def keep(self, content: str) -> None:
        """Make it the object ``content``, whose sha256 it is known to have. Raises OSError."""
        self._objects.adopt(self._path, self._fd, content)
        self._kept = True

    def __enter__(self) -> Draft:  # noqa: PYI034  (Python 3.10 has no Self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        os.close(self._fd)
        if not self._kept:
            self._path.unlink(missing_ok=True)


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of ``data``: one write may take only a part. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_sparse(fd: int, data: bytes | memoryview) -> None:
    """Append all of ``data`` to a file; long runs of zeros become holes. Raises OSError.

    A disk image of which most was never written takes no more room than where it comes from.
    """
    view = memoryview(data)
    begun, at = 0, 0
    while at < len(view):
        piece = view[at : at + _HOLE]
        if not piece[0] and not piece[-1] and piece == _ZEROS[: len(piece)]:
            write_all(fd, view[begun:at])
            begun = at + len(piece)
            os.ftruncate(fd, os.lseek(fd, len(piece), os.SEEK_CUR))
        at += len(piece)
    write_all(fd, view[begun:])


def digest(path: Path) -> str:
    """Return the sha256 of a file in hex. Raises OSError."""
    found = sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            found.update(block)
    return found.hexdigest()
