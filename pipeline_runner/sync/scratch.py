"""A copy of a release for a moment: what workers would find of the project, and no more.

Python's files are copied, so that code finds itself in the copy; all others are links to the
project's own, so that a project of any size is there at once. Nothing is hashed and nothing kept.
"""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

from pipeline_runner.sync.paths import link_fault, parents
from pipeline_runner.sync.survey import MANY_FILES, rules_of
from pipeline_runner.sync.walk import walk

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.sync.walk import Left

_CODE = (".py", ".pyi", ".pth")


def scratch_copy(pipeline: Pipeline, to: Path) -> None:
    """Make at ``to``, a folder that is not there yet, what a worker of ``pipeline`` would find.

    Raises OSError if the project cannot be read, or the disk does not take the copy.
    """
    root = pipeline.root.resolve()
    left: list[Left] = []
    files: list[str] = []
    links: dict[str, str] = {}
    folders: list[str] = []
    for found in walk(root, rules_of(pipeline), left.append):
        mode = found.facts.st_mode
        if stat.S_ISREG(mode):
            files.append(found.path)
        elif stat.S_ISDIR(mode):
            folders.append(found.path)
        else:
            target = os.readlink(found.name, dir_fd=found.folder_fd)
            if not link_fault(found.path, target):
                links[found.path] = target
    to.mkdir()
    tree = _Tree(root, to)
    for folder in folders:
        tree.enter(folder)
    for path, target in links.items():
        tree.enter(path.rpartition("/")[0])
        (to / path).symlink_to(target)
    whole = _whole(files, [*links, *folders, *(each.path for each in left)])
    for path in files:
        tree.add(path, whole.get(path.rpartition("/")[0], ""))
    tree.close()


def _whole(files: list[str], others: list[str]) -> dict[str, str]:
    """Return for folders of a large project the topmost one above that can be one link.

    That is, all in it travels, and nothing in it is code.
    """
    if len(files) <= MANY_FILES:
        return {}
    split = {
        folder
        for path in (*others, *(path for path in files if path.endswith(_CODE)))
        for folder in parents(path)
    }
    found: dict[str, str] = {}
    for folder in {path.rpartition("/")[0] for path in files}:
        above = [each for each in (folder, *parents(folder)) if each and each not in split]
        if above:
            found[folder] = above[-1]
    return found


class _Tree:
    def __init__(self, root: Path, to: Path) -> None:
        self._root = root
        self._to = to
        self._there = {""}
        self._folders = [""]

    def enter(self, folder: str) -> None:
        """Make ``folder``, and those around it."""
        if folder not in self._there:
            self.enter(folder.rpartition("/")[0])
            (self._to / folder).mkdir()
            self._there.add(folder)
            self._folders.append(folder)

    def add(self, path: str, whole: str) -> None:
        """Put a file in its place, or its folder ``whole`` if that is not empty."""
        if whole in self._there and whole:
            return
        path = whole or path
        self.enter(path.rpartition("/")[0])
        if path.endswith(_CODE) and not whole:
            shutil.copyfile(self._root / path, self._to / path)
            (self._to / path).chmod(0o444)
        else:
            (self._to / path).symlink_to(self._root / path)
        self._there.add(path)

    def close(self) -> None:
        """Let nobody write into it, as into a release."""
        for folder in reversed(self._folders):
            (self._to / folder).chmod(0o555)
