"""What user code wrote into a release, which is no place to write: moved out, never deleted."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_runner.sync.apply import is_as_made
from pipeline_runner.sync.walk import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_runner.sync.manifest import Manifest

_SHOWN = 3


def find(tree: Path, manifest: Manifest) -> list[str]:
    """Return the paths of ``tree`` that are not as its manifest made them, sorted.

    Bytecode is left out: it can be made again.
    """
    made = {entry.path: entry for entry in manifest.entries}
    found: list[str] = []
    for folder, folders, files in os.walk(tree):
        folders[:] = [name for name in folders if name != "__pycache__"]
        linked = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in (*files, *linked):
            path = Path(folder) / name
            relative = path.relative_to(tree).as_posix()
            entry = made.get(relative)
            if not name.endswith(".pyc") and (entry is None or not is_as_made(path, entry)):
                found.append(relative)
    return sorted(found)


def move(tree: Path, strays: list[str], output: Path) -> list[Path]:
    """Move ``strays`` of ``tree`` to the same paths below ``output``; return where they are now.

    What is there already stays: a stray then gets a name of its own. Raises OSError, and what was
    not moved by then is where it was.
    """
    return [_move(tree, stray, output) for stray in strays]


def _move(tree: Path, stray: str, output: Path) -> Path:
    source = tree / stray
    target = output / stray
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        taken = os.path.lexists(target)
    except (FileExistsError, NotADirectoryError):  # a file is where a folder would have to be
        target = output / stray.replace("/", "-")
        taken = os.path.lexists(target)
    number = 1
    free = target
    while taken:
        number += 1
        free = target.with_name(f"{target.stem}-{number}{target.suffix}")
        taken = os.path.lexists(free)
    with _writable(source.parent):
        shutil.move(source, free)
    if not free.is_symlink():
        with suppress(OSError):
            free.chmod(free.stat().st_mode | 0o200)
    return free


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    """Let something be taken out of ``folder``, which is ours and write-protected."""
    fd = os.open(folder, FOLDER)
    try:
        os.fchmod(fd, 0o700)
        yield
    finally:
        os.fchmod(fd, 0o555)
        os.close(fd)


def told(moved: list[Path], output: Path) -> tuple[str, str]:
    """Return (what happened, what to do about it) for a person."""
    names = ", ".join(os.path.relpath(path, output) for path in moved[:_SHOWN])
    more = f" and {len(moved) - _SHOWN:,} more" if len(moved) > _SHOWN else ""
    what = "a file was" if len(moved) == 1 else f"{len(moved):,} files were"
    return (
        f"{what} written where the code lies, and moved to {output}: {names}{more}",
        "write below context().output: pipeline_runner.context().output / name, or $RUNNER_OUTPUT",
    )
