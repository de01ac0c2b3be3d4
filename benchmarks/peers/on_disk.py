"""This runner with its journal on disk, as a peer of itself in memory."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.ours import Ours

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def peers(_folder: Path) -> Iterator[list[Ours]]:
    """Give the one peer."""
    yield [Ours(durability="fsync", name="ours-fsync")]
