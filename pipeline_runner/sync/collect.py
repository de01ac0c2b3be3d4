"""Deletes what nobody needs any more: old trees, and contents that no tree is made of."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_runner.sync import local_writes
from pipeline_runner.sync.discard import discard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_runner.sync.manifest import Manifest
    from pipeline_runner.sync.store import Store

KEPT_BEFORE = 2  # trees before the current one
KEPT_S = 24 * 3600.0  # so long a content is kept that no tree is made of


def collect(
    store: Store, output: Path, now: float, *, keep: int = KEPT_BEFORE, keep_s: float = KEPT_S
) -> list[Path]:
    """Delete what is neither current nor in use nor young; return what was moved to ``output``.

    ``now`` is Unix time in seconds, as files have it. Raises OSError.
    """
    with store.locked():
        moved: list[Path] = []
        current = store.current()
        older = [name for name in store.names() if name != current]
        for name in older[: max(0, len(older) - keep)]:
            moved += drop(store, name, output)
        _drop_objects(store, now - keep_s)
        return moved


def drop(store: Store, name: str, output: Path) -> list[Path]:
    """Delete a tree that nobody uses; return what user code had written there, moved.

    The store is locked. What cannot be moved keeps its tree. Raises OSError.
    """
    with store.alone(name) as is_free:
        if not is_free:
            return []
        manifest = store.manifest(name)
        moved = [] if manifest is None else sweep(store, name, manifest, output)[0]
        # First what says that it is whole: a kill in between leaves a tree that is not.
        store.manifest_file(name).unlink(missing_ok=True)
        store.doubted_file(name).unlink(missing_ok=True)
        discard(store.tree(name))
        return moved


def sweep(store: Store, name: str, manifest: Manifest, output: Path) -> tuple[list[Path], bool]:
    """Move what user code wrote into a tree that nobody uses to ``output``.

    Returns where that is now, and whether the tree is still whole. Raises OSError.
    """
    tree = store.tree(name)
    found, is_whole = local_writes.compare(tree, manifest)
    return local_writes.move(tree, found, output), is_whole


def _drop_objects(store: Store, before: float) -> None:
    used: set[str] = set()
    for name in store.names():
        manifest = store.manifest(name)
        if manifest is not None:
            used.update(manifest.objects)
    for folder in (store.objects.folder, store.unsure, store.partial):
        for path in _contents(folder):
            with suppress(OSError):
                # A link made of it counts as use: that changes the ctime too.
                if (
                    path.name not in used
                    and path.name != ".lock"
                    and path.lstat().st_ctime < before
                ):
                    path.unlink()
    for folder in _folders(store.unsure):
        with suppress(OSError):  # it is not empty yet
            folder.rmdir()


def _contents(folder: Path) -> Iterator[Path]:
    for where, _folders, files in os.walk(folder):
        for name in files:
            if not name.startswith("."):
                yield Path(where) / name


def _folders(folder: Path) -> list[Path]:
    """Return the folders at and below ``folder``, the innermost first."""
    return [Path(where) for where, _folders, _files in os.walk(folder, topdown=False)]
