"""What user code wrote into a release, which is no place to write: moved out, never deleted."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pipeline_runner.sync.objects import FOLDER, MTIME_NS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline_runner.sync.manifest import Entry, Manifest

_SHOWN = 3


def compare(tree: Path, manifest: Manifest) -> tuple[list[str], bool]:
    """Return the paths of ``tree`` that are not as its manifest made them, sorted, and whether
    nothing is missing or changed.

    Bytecode is left out: it can be made again. Raises OSError.
    """
    made = {entry.path: entry for entry in manifest.entries}
    strays: list[str] = []
    _look(os.fspath(tree), "", made, strays)
    # What is as it was made was taken out of the list on the way.
    return sorted(strays), not made


def _look(folder: str, below: str, made: dict[str, Entry], strays: list[str]) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = below + entry.name
            wanted = made.get(path)
            if wanted is not None and _is_as_made(entry, wanted):
                del made[path]
            elif not entry.is_dir(follow_symlinks=False):
                if not entry.name.endswith(".pyc"):
                    strays.append(path)
                continue
            if entry.is_dir(follow_symlinks=False) and entry.name != "__pycache__":
                _look(entry.path, f"{path}/", made, strays)


def _is_as_made(entry: os.DirEntry[str], wanted: Entry) -> bool:
    if wanted.kind == "folder":
        return entry.is_dir(follow_symlinks=False)
    if wanted.kind == "link":
        if not entry.is_symlink():
            return False
        target = os.readlink(entry.path)  # noqa: PTH115  (a Path would tidy it up)
        return target == wanted.content
    facts = entry.stat(follow_symlinks=False)
    return (
        stat.S_ISREG(facts.st_mode)
        and facts.st_size == wanted.size
        and facts.st_mtime_ns == MTIME_NS
    )


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
