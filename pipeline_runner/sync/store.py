"""What a host keeps of a project: objects, and the releases that are made of them.

::

    objects/ab/abcd...         a file's content under its sha256, 0444
    partial/                   contents that are still arriving
    staging/                   trees that are being made; nothing in it outlives its maker
    releases/3-1f2e3d4c/       a whole tree, 0555 and 0444
    releases/3-1f2e3d4c.json   its manifest: there once the tree is whole; locked while in use
    CURRENT                    the name of the tree that was made current last
    lock                       held by whoever changes anything here
"""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_runner.errors import RunnerError
from pipeline_runner.filesystem import refuse_network
from pipeline_runner.sync.discard import sweep_staging
from pipeline_runner.sync.manifest import BadManifest, Manifest, read
from pipeline_runner.sync.objects import Objects, digest

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = re.compile(r"([1-9][0-9]*)-[0-9a-f]{8}")
_ELSEWHERE = "XDG_CACHE_HOME on a host that joined, `state` in [server] on the head's"
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Halted(Exception):
    """What was being read or made was given up: nobody waits for it any more."""


@dataclass(slots=True)
class Lease:
    """A release in use: nobody deletes it until :meth:`end`, or the end of this process."""

    root: Path
    manifest: Manifest
    fd: int
    is_new: bool = False  # it was not there before

    def end(self) -> None:
        """Let it go; a second time does nothing."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Store:
    """One pipeline's files on one host. Every method may raise OSError: the disk decides.

    For one thread of a process; any number of processes may use the same folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.releases = root / "releases"
        self.staging = root / "staging"
        self.partial = root / "partial"
        self.unsure = root / "unsure"
        self.objects = Objects(root / "objects", self.staging, self.unsure)
        self._locks = 0
        self._lock = -1

    def open(self) -> None:
        """Make what is not there. What was written before the machine last started is unsure.

        Raises UsageError on a network file system.
        """
        refuse_network(self.root, "where files cannot be kept for one machine alone", _ELSEWHERE)
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.releases, self.staging, self.partial, self.objects.folder):
            folder.mkdir(mode=0o700, exist_ok=True)
        with self.locked():
            self._doubt()
            sweep_staging(self.staging)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from changing anything meanwhile; may be taken again inside."""
        if not self._locks:
            self._lock = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._locks += 1
        try:
            yield
        finally:
            self._locks -= 1
            if not self._locks:
                os.close(self._lock)

    def names(self) -> list[str]:
        """Return the trees that are there, whole or not, the oldest first."""
        with os.scandir(self.releases) as entries:
            found = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        return sorted(filter(_NAME.fullmatch, found), key=_number)

    def current(self) -> str:
        """Return the name of the tree that was made current last; empty if there is none."""
        try:
            name = (self.root / "CURRENT").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return ""
        return name if _NAME.fullmatch(name) else ""

    def make_current(self, name: str) -> None:
        """Say in one step that ``name`` is the current tree."""
        if self.current() != name:
            write_whole(self.root / "CURRENT", f"{name}\n".encode())

    def next_name(self, release: str) -> str:
        """Return the name of a new tree."""
        return f"{max(map(_number, self.names()), default=0) + 1}-{release[:8]}"

    def tree(self, name: str) -> Path:
        """Return where the tree ``name`` is."""
        return self.releases / name

    def manifest_file(self, name: str) -> Path:
        """Return where the manifest of the tree ``name`` is once that is whole."""
        return self.releases / f"{name}.json"

    def doubted_file(self, name: str) -> Path:
        """Return where that manifest is once the machine has started again."""
        return self.releases / f"{name}.doubted"

    def manifest(self, name: str) -> Manifest | None:
        """Return what the tree ``name`` was made of; None where it never was whole."""
        for file in (self.manifest_file(name), self.doubted_file(name)):
            with suppress(OSError, BadManifest):
                return read(file.read_bytes(), digest(file))
        return None

    def find(self, release: str) -> str:
        """Return the name of a tree that was made of ``release``; empty if there is none."""
        for name in reversed(self.names()):
            if name.endswith(f"-{release[:8]}"):
                with suppress(OSError):
                    if digest(self.manifest_file(name)) == release:
                        return name
        return ""

    def lease(self, name: str, manifest: Manifest, *, is_new: bool) -> Lease:
        """Hold the tree ``name``, which is whole."""
        fd = os.open(self.manifest_file(name), os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(fd, fcntl.LOCK_SH)
        return Lease(self.tree(name), manifest, fd, is_new)

    @contextmanager
    def alone(self, name: str) -> Iterator[bool]:
        """Give whether nobody uses the tree ``name``; nobody begins to while this is locked."""
        try:
            fd = os.open(self.manifest_file(name), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # it never was whole: nobody was told of it
            yield True
            return
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(fd)

    def begin_fetching(self) -> int | None:
        """Return a descriptor to close once done; None while another process fetches for us both.

        A part that two wrote to would be of no use to either.
        """
        fd = os.open(self.partial / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        return fd

    def _doubt(self) -> None:
        """Set aside what an earlier boot wrote: unsynced writes may be lost without a trace."""
        try:
            boot = _BOOT.read_text(encoding="ascii").strip()
        except OSError:
            return
        mark = self.root / "boot"
        before = mark.read_text(encoding="utf-8").strip() if mark.exists() else ""
        if before == boot:
            return
        for name in self.names():
            with suppress(FileNotFoundError):
                self.manifest_file(name).rename(self.doubted_file(name))
        if any(self.objects.folder.iterdir()):
            self.unsure.mkdir(mode=0o700, exist_ok=True)
            self.objects.folder.rename(self.unsure / os.urandom(8).hex())
            self.objects.folder.mkdir(mode=0o700)
        write_whole(mark, f"{boot}\n".encode())


def write_whole(path: Path, data: bytes) -> None:
    """Replace ``path`` in one step: whoever reads it finds the old or the new, never a part."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def full(error: OSError, folder: Path) -> RunnerError:
    """Return what a person should know of a disk that would not take a file of the project."""
    return RunnerError(
        f"the project's files cannot be kept in {folder}: {error.strerror or error}",
        hint=f"free some space there, or move it: {_ELSEWHERE}",
    )


def _number(name: str) -> int:
    return int(name.partition("-")[0])
