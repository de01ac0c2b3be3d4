"""Deletes what is write-protected, and what was left half done."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def discard(path: Path) -> None:
    """Delete a tree or a file, write-protected or not; what cannot be deleted stays."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for folder, _folders, _files in os.walk(path):
        with suppress(OSError):
            os.chmod(folder, 0o700)  # noqa: PTH101  (os.walk gives text)
    shutil.rmtree(path, ignore_errors=True)


def sweep_staging(staging: Path) -> None:
    """Delete what makers that were killed left. The store is locked: no tree is being made.

    A file may be another's that is writing it at this moment: it is locked then.
    """
    with os.scandir(staging) as left:
        names = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in left]
    for name, is_tree in names:
        path = staging / name
        if is_tree:
            discard(path)
            continue
        with suppress(OSError):
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(fd)
