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


def cure(root: Path, module: str) -> str:
    """Return what gives another host a module that this one has: a command, or where it is from."""
    from importlib.metadata import PackageNotFoundError, distribution, packages_distributions

    top, below = module.partition(".")[0], module.replace(".", "/")
    if any(path.exists() for path in (root / top, root / f"{top}.py")):
        return "let it travel (`runner files` tells what hides it)"
    found = []
    for name in dict.fromkeys(packages_distributions().get(top, ())):
        with suppress(PackageNotFoundError, ValueError):  # somebody renamed its folder
            found.append(distribution(name))
    # Several packages may have a part of one name, as those of google.* do.
    found.sort(key=lambda each: not any(str(f).startswith(below) for f in each.files or ()))
    if not found:
        return f"pip install {top}"
    name, version = found[0].metadata["Name"], found[0].version
    if '"dir_info"' in (found[0].read_text("direct_url.json") or ""):
        return f"install {name} there as well, which here comes from a folder"
    return f"pip install {name}=={version}"


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
