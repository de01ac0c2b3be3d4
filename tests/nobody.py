"""The environment of the tests' own pipelines: nothing of the person who runs them, no network."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def nobody(home: Path) -> dict[str, str]:
    """Return what keeps keys and caches of the tests apart, and their heads off the network."""
    return {
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_DATA_HOME": str(home / "data"),
        "RUNNER_LOCAL": "1",
    }
