"""What would travel, counted without reading it."""

from __future__ import annotations

import os
import stat
from collections import Counter
from dataclasses import dataclass, field
from os.path import realpath  # of links in a circle, Path.resolve raises
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_runner.sync.ignore import rules
from pipeline_runner.sync.paths import link_fault
from pipeline_runner.sync.walk import Left, walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.sync.ignore import Rules

# A project that is worth a word before it is copied to every host.
LARGE_BYTES = 1024**3
MANY_FILES = 20_000


@dataclass(slots=True)
class Survey:
    """The files by path with their size in bytes, the links, and what is left where it is."""

    files: dict[str, int] = field(default_factory=dict)
    links: int = 0
    left: list[Left] = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        """The size of all files together."""
        return sum(self.files.values())

    def largest_folders(self, most: int = 5) -> list[tuple[str, int]]:
        """Return the folders at the project's top and the files beside them, the largest first."""
        sizes: Counter[str] = Counter()
        for path, size in self.files.items():
            sizes[_top(path)] += size
        return sizes.most_common(most)

    def fullest_folders(self, most: int = 5) -> list[tuple[str, int]]:
        """Return the same with how many files are in each, the fullest first."""
        return Counter(map(_top, self.files)).most_common(most)


def is_everything(pipeline: Pipeline) -> bool:
    """Whether the project would be a whole home directory, or the whole file system."""
    root = pipeline.root.resolve()
    return not pipeline.sync.include and root in (Path.home().resolve(), Path(root.anchor))


def rules_of(pipeline: Pipeline) -> Rules:
    """Return what ``pipeline`` says travels. Its own state never does, wherever it is."""
    root, state = Path(realpath(pipeline.root)), Path(realpath(pipeline.state_dir.parent))
    inside = state != root and state.is_relative_to(root)
    denied = [state.relative_to(root).as_posix()] if inside else []
    if state == root:
        denied = [pipeline.name]
    return rules(pipeline.sync.include, pipeline.sync.ignore, denied)


def survey(pipeline: Pipeline) -> Survey:
    """Return what of the project would travel now. Raises OSError if it cannot be read at all."""
    seen = Survey()
    for found in walk(pipeline.root, rules_of(pipeline), seen.left.append):
        mode = found.facts.st_mode
        if stat.S_ISREG(mode):
            seen.files[found.path] = found.facts.st_size
        elif stat.S_ISLNK(mode):
            why = link_fault(found.path, os.readlink(found.name, dir_fd=found.folder_fd))
            if why:
                seen.left.append(Left(found.path, f"it is a link that {why}", ruled=False))
            else:
                seen.links += 1
    return seen


def _top(path: str) -> str:
    name, slash, _rest = path.partition("/")
    return name + slash


def size_of(path: Path) -> int:
    """Return the bytes of all files at and below ``path``; what cannot be read counts nothing."""
    return sum(_sizes(path))


def _sizes(path: Path) -> Iterator[int]:
    try:
        facts = path.lstat()
        if not stat.S_ISDIR(facts.st_mode):
            yield facts.st_size
            return
        with os.scandir(path) as entries:
            inner = [Path(entry.path) for entry in entries]
    except OSError:
        return
    for each in inner:
        yield from _sizes(each)
