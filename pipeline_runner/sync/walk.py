"""Walks a project: every path that travels, and what hides each that does not.

Folders are opened one inside the other and no link is followed, so that nothing outside of the
project is ever read, whatever somebody moves about meanwhile.
"""

from __future__ import annotations

import os
import stat
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline_runner.sync import paths
from pipeline_runner.sync.ignore import IGNORE_FILES, Rules
from pipeline_runner.sync.objects import FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A file, a link or an empty folder that travels.

    ``facts`` are of the path itself; it is ``name`` in the folder that ``folder_fd`` has open until
    the next one is asked for.
    """

    path: str
    name: str
    folder_fd: int
    facts: os.stat_result


@dataclass(frozen=True, slots=True)
class Left:
    """A path that does not travel, and ``why``. ``ruled``: a rule says so, and nothing is wrong."""

    path: str
    why: str
    ruled: bool = True
    is_folder: bool = False


def walk(root: Path, rules: Rules, leave: Callable[[Left], None]) -> Iterator[Found]:
    """Yield all of the project at ``root`` that travels; ``leave`` hears of the rest.

    Raises OSError when not even ``root`` can be read.
    """
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield from _inside(fd, "", rules, leave)
    finally:
        os.close(fd)


def _inside(fd: int, folder: str, rules: Rules, leave: Callable[[Left], None]) -> Iterator[Found]:
    with closing(os.scandir(fd)) as scan:
        entries = sorted(scan, key=lambda entry: entry.name)
    if rules.reads_ignore_files:
        names = {entry.name for entry in entries}
        texts = {name: _text(fd, name) for name in IGNORE_FILES if name in names}
        rules = rules.inside(folder, texts) if texts else rules
    below = f"{folder}/" if folder else ""
    for entry in entries:
        path = below + entry.name
        is_folder = entry.is_dir(follow_symlinks=False)
        fault = paths.fault(path)
        if fault:
            leave(Left(path, f"its path {fault}", ruled=False, is_folder=is_folder))
            continue
        verdict = rules.judge(path, is_folder=is_folder)
        if verdict.why and not verdict.enter:
            leave(Left(path, verdict.why, is_folder=is_folder))
            continue
        try:
            facts = entry.stat(follow_symlinks=False)
            if is_folder:
                inner = os.open(entry.name, FOLDER, dir_fd=fd)
        except FileNotFoundError:
            continue  # it went while we looked
        except OSError as error:
            leave(Left(path, f"it cannot be read: {error.strerror}", ruled=False))
            continue
        if not is_folder:
            kind = _KINDS.get(stat.S_IFMT(facts.st_mode))
            if kind is None:
                yield Found(path, entry.name, fd, facts)
            else:
                leave(Left(path, f"it is {kind}", ruled=False))
            continue
        is_empty = True
        try:
            for found in _inside(inner, path, rules, leave):
                is_empty = False
                yield found
        finally:
            os.close(inner)
        if is_empty and not verdict.why:
            yield Found(path, entry.name, fd, facts)


def _text(fd: int, name: str) -> str:
    """Return an ignore file's text; as for git, one that is a link says nothing."""
    try:
        with open(
            name,
            encoding="utf-8",
            errors="surrogateescape",
            newline="",
            opener=lambda path, _flags: os.open(
                path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=fd
            ),
        ) as file:
            return file.read()
    except OSError:
        return ""
