"""The Pythons whose own managers the tests connect with: those of this machine, by version."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from pathlib import Path

VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14")


@functools.cache
def interpreters() -> dict[str, str]:
    """Return each version that runs here with its program; the one that runs the tests is one."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = {version: path for version in VERSIONS if (path := _find(version))}
    return found | {own: sys.executable}


def _find(version: str) -> str | None:
    built = (Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python")
    for path in (*map(str, built), shutil.which(f"python{version}")):
        # A name on the PATH may be a shim that knows no such version.
        if (
            path
            and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0
        ):
            return path
    return None
