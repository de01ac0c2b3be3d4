"""What the project names and what is installed here."""

from __future__ import annotations

import platform
from contextlib import suppress
from typing import TYPE_CHECKING

from pipeline_runner.sync.environment import (
    Environment,
    normal,
    project_requirements,
    requirements,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def named(root: Path) -> dict[str, str]:
    """Return the packages that the project at ``root`` names, with the versions it allows."""
    import tomli  # a host that joins has no use for it

    found: dict[str, str] = {}
    with suppress(tomli.TOMLDecodeError):  # pip will say what is wrong with it
        found |= project_requirements(tomli.loads(_text(root / "pyproject.toml")))
    return found | requirements(_text(root / "requirements.txt"))


def environment(packages: Iterable[str]) -> Environment:
    """Return this Python, and the versions of ``packages`` that it finds."""
    return Environment(platform.python_version(), {name: _version(name) for name in packages})


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(normal(name)) or ""
    except (PackageNotFoundError, ValueError):
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
