"""Which file system a folder is on: over a network, neither locks nor fsync can be relied on."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline_runner.errors import UsageError

_NETWORK = frozenset(
    {
        "9p",
        "afs",
        "ceph",
        "cifs",
        "fuse.glusterfs",
        "fuse.sshfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "smb2",
        "smb3",
        "smbfs",
    }
)
_MOUNTS = Path("/proc/self/mountinfo")


def refuse_network(folder: Path, why: str, cure: str, mounts: str | None = None) -> None:
    """Raise UsageError if ``folder`` is on a network file system.

    ``why`` ends the sentence that says so, and ``cure`` is the hint. ``mounts`` is the text of
    Linux's ``mountinfo``; where there is none, nothing is refused.
    """
    if mounts is None:
        try:
            mounts = _MOUNTS.read_text(errors="surrogateescape")
        except OSError:
            return
    kind = kind_of(folder.resolve(), mounts)
    if kind in _NETWORK:
        raise UsageError(f"{folder} is on a network file system ({kind}), {why}", hint=cure)


def kind_of(path: Path, mounts: str) -> str:
    """Return the type of the file system that holds ``path``; empty if it is not known."""
    best, kind = -1, ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        point = Path(re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), fields[4]))
        # Of two mounts on one point the later covers the earlier.
        if (point == path or point in path.parents) and len(point.parts) >= best:
            best, kind = len(point.parts), after.split(" ")[0]
    return kind
