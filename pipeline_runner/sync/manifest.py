"""What is in a release: one entry a file, and the name that follows from all of them."""

from __future__ import annotations

import re
from functools import cached_property
from hashlib import sha256
from typing import Literal

import msgspec

from pipeline_runner.errors import RunnerError
from pipeline_runner.sync import paths

MOST_BYTES = 256 * 1024**2  # of a manifest: a million files and their names
MOST_SIZE = 1 << 50

_SHA256 = re.compile(r"[0-9a-f]{64}")
_CODE = (".py", ".so", ".pyd")

Kind = Literal["file", "program", "link", "folder"]


class BadManifest(RunnerError):
    """A manifest that no head of ours writes: nothing of it may be used."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"the head's list of files cannot be trusted: {why}",
            hint="nothing was written; is it the head you meant?",
        )


class Entry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One path. A "program" is a file that may be executed; a "folder" is an empty one.

    ``size`` is in bytes; ``content`` the sha256 of a file in hex, or what a link points to.
    """

    path: str
    kind: Kind
    size: int = 0
    content: str = ""

    @property
    def is_file(self) -> bool:
        """Whether it has bytes of its own."""
        return self.kind in ("file", "program")


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal[1]
    packages: tuple[str, ...]
    entries: tuple[Entry, ...]


class Manifest:
    """The entries of a release, sorted by path, and the packages that the project names."""

    def __init__(self, entries: tuple[Entry, ...], packages: tuple[str, ...] = ()) -> None:
        self.entries = tuple(sorted(entries, key=lambda entry: entry.path))
        self.packages = tuple(sorted(packages))

    @cached_property
    def data(self) -> bytes:
        """The manifest as it travels."""
        return msgspec.json.encode(_Document(1, self.packages, self.entries))

    @cached_property
    def release(self) -> str:
        """The release's name: 64 hex digits over every path, kind, size and content."""
        return sha256(self.data).hexdigest()

    @cached_property
    def code(self) -> str:
        """A name for the Python modules alone, as 16 hex digits.

        Workers of equal code need no restart: results and data also lie among the files.
        """
        modules = [entry for entry in self.entries if entry.path.endswith(_CODE)]
        return sha256(msgspec.json.encode(modules)).hexdigest()[:16]

    @cached_property
    def objects(self) -> dict[str, int]:
        """The size of each content, in the order of the paths; what is empty is left out."""
        return {e.content: e.size for e in self.entries if e.is_file and e.size}

    @property
    def files(self) -> int:
        """How many files there are."""
        return sum(entry.is_file for entry in self.entries)

    @property
    def size_bytes(self) -> int:
        """The size of all files together."""
        return sum(entry.size for entry in self.entries)


def read(data: bytes | bytearray | memoryview, release: str) -> Manifest:
    """Return the manifest that ``data`` is, judged whole. Raises BadManifest."""
    if sha256(data).hexdigest() != release:
        raise BadManifest("it is not the one that its release is named after")
    try:
        document = msgspec.json.decode(data, type=_Document)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadManifest(f"it cannot be read ({error})") from error
    for why in _faults(document.entries):
        raise BadManifest(why)
    return Manifest(document.entries, document.packages)


def _faults(entries: tuple[Entry, ...]) -> list[str]:
    """Return what is wrong with ``entries``: the first fault is enough."""
    leaves = {entry.path for entry in entries}
    sizes: dict[str, int] = {}
    before = ""
    for entry in entries:
        path = entry.path
        why = paths.fault(path) or _entry_fault(entry)
        if why:
            return [f"{path!r} {why}"]
        if path <= before:
            return [f"{path!r} is there twice, or not in its place"]
        if sizes.setdefault(entry.content, entry.size) != entry.size:
            return [f"{path!r} has a content of two sizes"]
        above = next((folder for folder in paths.parents(path) if folder in leaves), None)
        if above is not None:
            return [f"{path!r} is below {above!r}, which is not a folder with files in it"]
        before = path
    return []


def _entry_fault(entry: Entry) -> str:
    if entry.is_file:
        if not 0 <= entry.size <= MOST_SIZE:
            return "has no size that a file can have"
        return "" if _SHA256.fullmatch(entry.content) else "has no sha256"
    if entry.size:
        return "has a size, and is no file"
    if entry.kind == "link":
        return paths.link_fault(entry.path, entry.content)
    return "is a folder, and has a content" if entry.content else ""
