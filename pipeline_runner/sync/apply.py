"""Makes a release from its manifest: a tree beside all others, that nobody sees half done."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from pipeline_runner.errors import RunnerError
from pipeline_runner.sync import paths
from pipeline_runner.sync.discard import discard
from pipeline_runner.sync.objects import BLOCK, FOLDER, MTIME_NS, NEW, write_sparse
from pipeline_runner.sync.store import Halted, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_runner.sync.manifest import Entry, Manifest
    from pipeline_runner.sync.objects import Objects
    from pipeline_runner.sync.store import Store

_MODES = {"file": 0o444, "program": 0o555}


class MissingObject(RunnerError):
    """A release cannot be made: a content is not there."""


def missing(store: Store, manifest: Manifest) -> dict[str, int]:
    """Return the contents, with their sizes, that the store lacks for a release."""
    return {
        content: size
        for content, size in manifest.objects.items()
        if not store.objects.has(content, size)
    }


def build(store: Store, manifest: Manifest, go_on: Callable[[], bool] = lambda: True) -> str:
    """Make the tree of a release and make it current; return its name. The store is locked.

    Raises RunnerError if this host cannot hold it, OSError if the disk does not take it, Halted
    once ``go_on`` says no.
    """
    _refuse_twins(store.staging, manifest)
    tree = store.staging / secrets.token_hex(8)
    tree.mkdir(mode=0o700)
    try:
        _Tree(tree, store.objects, go_on).write(manifest)
        name = store.next_name(manifest.release)
        tree.rename(store.tree(name))
    except BaseException:
        discard(tree)
        raise
    store.tree(name).chmod(0o555)  # a folder that nobody may write to cannot be renamed either
    write_whole(store.manifest_file(name), manifest.data)
    store.make_current(name)
    return name


def _refuse_twins(folder: Path, manifest: Manifest) -> None:
    """Raise RunnerError where two paths would be one file here."""
    probe = folder / f"{secrets.token_hex(8)}.Case"
    probe.touch()
    try:
        folds = probe.with_suffix(".cASE").exists()
    finally:
        probe.unlink()
    twins = paths.twins(entry.path for entry in manifest.entries) if folds else []
    if twins:
        pairs = ", ".join(f"{first} and {second}" for first, second in twins[:3])
        raise RunnerError(
            f"this host takes names for one that differ only in case or accents: {pairs}",
            hint="rename one of each pair in the project",
        )


class _Tree:
    """Writes below one new folder, one component at a time: no link is ever gone through."""

    def __init__(self, root: Path, objects: Objects, go_on: Callable[[], bool]) -> None:
        self._root = root
        self._go_on = go_on
        self._objects = objects
        # Root may write to a file that nobody may write to: a link would change the object too.
        self._links = os.geteuid() != 0
        self._open: list[tuple[str, int]] = []

    def write(self, manifest: Manifest) -> None:
        """Write every entry; the folders are closed to writers as they are left."""
        self._open.append(("", os.open(self._root, FOLDER)))
        try:
            for entry in manifest.entries:
                if not self._go_on():
                    raise Halted
                folder, _, name = entry.path.rpartition("/")
                self._entry(entry, name, self._enter(folder))
            self._leave(1)
        finally:
            for _name, fd in self._open:
                os.close(fd)

    def _enter(self, folder: str) -> int:
        """Return a descriptor of ``folder``, made if need be. Entries come sorted by path."""
        names = folder.split("/") if folder else []
        same = 0
        while (
            same < min(len(names), len(self._open) - 1) and self._open[same + 1][0] == names[same]
        ):
            same += 1
        self._leave(same + 1)
        for name in names[same:]:
            above = self._open[-1][1]
            os.mkdir(name, 0o700, dir_fd=above)  # sorted as they are, each folder comes up once
            fd = os.open(name, FOLDER, dir_fd=above)
            self._open.append((name, fd))
            os.fchmod(fd, 0o700)
        return self._open[-1][1]

    def _leave(self, depth: int) -> None:
        while len(self._open) > depth:
            fd = self._open.pop()[1]
            os.fchmod(fd, 0o555)
            os.close(fd)

    def _entry(self, entry: Entry, name: str, folder: int) -> None:
        if entry.kind == "link":
            os.symlink(entry.content, name, dir_fd=folder)
        elif entry.kind == "folder":
            os.mkdir(name, 0o555, dir_fd=folder)
        elif not self._linked(entry, name, folder):
            self._copy(entry, name, folder)

    def _linked(self, entry: Entry, name: str, folder: int) -> bool:
        # A program has another mode, so it is a file of its own; an empty one is no gain.
        if not self._links or entry.kind != "file" or not entry.size:
            return False
        try:
            os.link(self._objects.name(entry.content), name, dst_dir_fd=folder)
        except FileNotFoundError as error:
            raise self._missing(entry) from error
        except OSError:  # no file system links everything, nor as often as one likes
            return False
        return True

    def _copy(self, entry: Entry, name: str, folder: int) -> None:
        fd = os.open(name, NEW, 0o600, dir_fd=folder)
        try:
            left = entry.size
            if left:
                left -= self._fill(fd, entry)
            if left:
                raise self._missing(entry)
            os.fchmod(fd, _MODES[entry.kind])
            os.utime(fd, ns=(MTIME_NS, MTIME_NS))
        finally:
            os.close(fd)

    def _fill(self, fd: int, entry: Entry) -> int:
        try:
            source = os.open(self._objects.name(entry.content), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise self._missing(entry) from error
        try:
            copied = 0
            while block := os.read(source, BLOCK):
                write_sparse(fd, block)
                copied += len(block)
                if not self._go_on():
                    raise Halted
            return copied
        finally:
            os.close(source)

    def _missing(self, entry: Entry) -> MissingObject:
        return MissingObject(
            f"{entry.path} is not among the files that were kept",
            hint="somebody deleted it from the cache: begin again, and it is fetched",
        )
