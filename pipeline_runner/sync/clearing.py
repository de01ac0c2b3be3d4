"""Takes a whole cache away, when nobody works in it."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from pipeline_runner.sync.cache_dirs import caches, machine
from pipeline_runner.sync.collect import drop
from pipeline_runner.sync.discard import discard
from pipeline_runner.sync.store import Store

if TYPE_CHECKING:
    from pathlib import Path

_NAME = re.compile(r"(?P<pipeline>.+)-[0-9a-f]{16}-(?P<machine>[0-9a-f]{8})")


def joined() -> dict[Path, str]:
    """Return the caches that this machine has of pipelines it joined, and the pipelines' names."""
    found: dict[Path, str] = {}
    with suppress(OSError):
        for path in sorted(caches().iterdir()):
            name = _NAME.fullmatch(path.name)
            if name is not None and name["machine"] == machine():
                found[path] = name["pipeline"]
    return found


def is_used(cache: Path) -> bool:
    """Return whether a process of this machine works in ``cache``. Raises OSError."""
    store = Store(cache)
    if not store.releases.is_dir():
        return False
    for name in store.names():
        with store.alone(name) as is_free:
            if not is_free:
                return True
    return False


def clear(cache: Path, output: Path) -> list[Path]:
    """Delete ``cache``; return what user code had written into it, moved to ``output``.

    A tree in use stays, with its objects. Raises OSError.
    """
    store = Store(cache)
    store.open()
    moved: list[Path] = []
    with store.locked():
        for name in store.names():
            moved += drop(store, name, output)
        if store.names():
            return moved
        discard(cache)
    return moved
