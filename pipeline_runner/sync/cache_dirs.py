"""Where a host that joined keeps a pipeline's files and its results."""

from __future__ import annotations

import os
import re
import uuid
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_MACHINE = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))


def store_of(pipeline: str, tag: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder for the files of ``pipeline``; ``tag`` tells two of one name apart.

    The machine's own name is in it: a home directory may be shared by many.
    """
    return caches(environ) / f"{_plain(pipeline)}-{_plain(tag)}-{machine()}"


def output_of(pipeline: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder for what a joined host's workers write: kept until a person deletes it."""
    return _home(environ, "XDG_DATA_HOME", ".local/share") / "runner" / _plain(pipeline)


def caches(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder that holds every pipeline's on this host."""
    return _home(environ, "XDG_CACHE_HOME", ".cache") / "runner"


def machine() -> str:
    """Return 8 hex digits that name this machine, the same at every start."""
    for path in _MACHINE:
        try:
            text = path.read_text(encoding="ascii", errors="replace").strip()
        except OSError:
            continue
        if text:
            break
    else:
        text = f"{uuid.getnode():012x}"
    return sha256(text.encode()).hexdigest()[:8]


def _home(environ: Mapping[str, str], variable: str, default: str) -> Path:
    named = environ.get(variable, "")
    # As the XDG specification has it, a path that is not absolute counts as none.
    return Path(named) if named.startswith("/") else Path.home() / default


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", name)
