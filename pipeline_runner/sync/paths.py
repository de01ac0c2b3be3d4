"""What a path of a release may be: judged before anything is written at it."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_PATH = 4000  # bytes; Linux takes 4,095 with the folder in front
MOST_NAME = 255  # bytes; no file system of ours takes more
MOST_DEPTH = 100  # folders one inside the other: each is a descriptor while a tree is written

_DRIVE = re.compile(r"[A-Za-z]:")


def fault(path: str) -> str:
    """Return why ``path`` may not be in a release, as the end of a sentence; empty if it may."""
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        return "is not Unicode"
    names = path.split("/")
    if "\0" in path:
        return "holds a zero character"
    if path.startswith("/"):
        return "is absolute"
    if _DRIVE.match(path):
        return "begins with a drive letter"
    if any(name in ("", ".", "..") for name in names):
        return "is not a plain path below the project"
    if size > MOST_PATH or any(len(name.encode()) > MOST_NAME for name in names):
        return "is too long"
    if len(names) > MOST_DEPTH:
        return f"is more than {MOST_DEPTH} folders deep"
    return ""


def link_fault(path: str, target: str) -> str:
    """Return why a symbolic link at ``path`` may not point to ``target``; empty if it may.

    ``..`` may only come first: after a name that is itself a link it would climb from wherever
    that leads, and what looks as if it stayed inside could leave.
    """
    try:
        size = len(target.encode())
    except UnicodeEncodeError:
        return "points to a name that is not Unicode"
    if not target or "\0" in target or size > MOST_PATH:
        return "points nowhere"
    if target.startswith("/"):
        return "points to an absolute path"
    names = [name for name in target.split("/") if name not in ("", ".")]
    climbs = 0
    while climbs < len(names) and names[climbs] == "..":
        climbs += 1
    if climbs > path.count("/"):
        return "points out of the project"
    if ".." in names[climbs:]:
        return "climbs after it has gone down"
    return ""


def parents(path: str) -> Iterable[str]:
    """Yield the folders above ``path``, the nearest first; none for a name at the top."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def twins(paths: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs of paths that are one where case or Unicode's ways of writing do not count.

    Folders count too: ``A/x`` and ``a/y`` would share one. Each path is in at most one pair.
    """
    seen: dict[str, str] = {}
    found: dict[str, tuple[str, str]] = {}
    for path in paths:
        for each in (path, *parents(path)):
            first = seen.setdefault(_folded(each), each)
            if first != each:
                found.setdefault(each, (first, each))
    return list(found.values())


def _folded(path: str) -> str:
    # Folding can undo a normal form, so it is made anew.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
