"""Whether a host has what the project needs: its Python, and the packages that it names.

Pure. A host needs what the project names and the head has: a package that the head does without,
hosts can do without.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_REQUIREMENT = re.compile(
    r"\s*(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*\(?(?P<versions>[^;#@)]*)"
)
_CLAUSE = re.compile(r"\s*(===|==|~=|!=|<=|>=|<|>)\s*([^\s,]+)\s*")
_VERSION = re.compile(
    r"v?(?:\d+!)?(?P<release>\d+(?:\.\d+)*)"
    r"(?:[-_.]?(?P<pre>a|b|c|rc|alpha|beta|pre|preview)[-_.]?(?P<number>\d*))?"
    r"(?P<post>[-_.]?(?:post|rev|r)[-_.]?\d*)?(?P<dev>[-_.]?dev[-_.]?\d*)?(?:\+.*)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Environment:
    """A host's Python, "3.11.4", and packages by name: "" for one that is not installed."""

    python: str
    packages: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Fit:
    """Why a host cannot work, and what is only worth a word; each sentence ends with its cure."""

    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()


def requirements(text: str) -> dict[str, str]:
    """Return the packages of a requirements file, with the versions each allows."""
    lines = text.replace("\\\n", " ").splitlines()
    return _read(line for line in lines if not line.lstrip().startswith(("#", "-", "git+", ".")))


def project_requirements(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the same of a parsed ``pyproject.toml``."""
    project = document.get("project")
    listed = project.get("dependencies") if isinstance(project, dict) else None
    return _read(each for each in listed if isinstance(each, str)) if listed else {}


def compare(head: Environment, host: Environment, allowed: Mapping[str, str]) -> Fit:
    """Return whether ``host`` can run what ``head`` runs; ``allowed`` versions by package."""
    problems: list[str] = []
    notes: list[str] = []
    ours, theirs = _minor(head.python), _minor(host.python)
    if ours != theirs:
        problems.append(
            f"it has Python {host.python}, and the head {head.python}: "
            f"start it with python{ours}, in an environment made by `python{ours} -m venv`"
        )
    to_install: list[str] = []
    wrong: list[str] = []
    for name, version in sorted(head.packages.items()):
        if not version:
            continue
        found = host.packages.get(name, "")
        if not found:
            wrong.append(f"no {name}")
        elif not satisfies(found, allowed.get(name, "")):
            wrong.append(f"{name} {found}, not {allowed[name].strip()}")
        else:
            if found != version:
                notes.append(f"it has {name} {found}, and the head {version}")
            continue
        to_install.append(f"{name}=={version}")
    if wrong:
        problems.append(f"it has {', '.join(wrong)}: pip install {' '.join(to_install)}")
    return Fit(tuple(problems), tuple(notes))


def normal(name: str) -> str:
    """Return a package's name as every way of writing it has it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def satisfies(version: str, clauses: str) -> bool:
    """Return whether ``version`` is one of those that ``clauses``, ">=1.2,<2", allow.

    What we cannot read is taken to allow it: pip was there first.
    """
    return all(_holds(version, sign, wanted) for sign, wanted in _CLAUSE.findall(clauses))


def _holds(version: str, sign: str, wanted: str) -> bool:
    if sign == "===":
        return version == wanted
    prefix = wanted.endswith(".*")
    ours, other = _key(version), _key(wanted.removesuffix(".*"))
    if ours is None or other is None:
        return True
    if sign in ("==", "!=") and prefix:
        length = wanted.count(".")
        same = _padded(ours[0], length)[:length] == _padded(other[0], length)[:length]
        return same == (sign == "==")
    longest = max(len(ours[0]), len(other[0]))
    a = (_padded(ours[0], longest), *ours[1:])
    b = (_padded(other[0], longest), *other[1:])
    match sign:
        case "==":
            return a == b
        case "!=":
            return a != b
        case "<=":
            return a <= b
        case ">=":
            return a >= b
        case "<":
            return a < b and not (ours[1] < 0 == other[1] == other[3] and a[0] == b[0])
        case ">":
            return a > b and not (ours[3] and other[1] == other[3] == 0 and a[0] == b[0])
        case _:  # ~=: at least, and the same but for the last number
            length = len(other[0]) - 1
            return a >= b and a[0][:length] == b[0][:length]


def _key(version: str) -> tuple[tuple[int, ...], int, int, int] | None:
    """Return (release, stage, number of the stage, post) so that keys compare as versions do."""
    found = _VERSION.fullmatch(version.strip())
    if found is None:
        return None
    release = tuple(map(int, found["release"].split(".")))
    stage, number = 0, 0
    if found["pre"]:
        stage = {"a": -3, "b": -2}.get(found["pre"][0].lower(), -1)
        number = int(found["number"] or 0)
    elif found["dev"]:
        stage = -4
    post = 0
    if found["post"]:
        post = int(re.sub(r"\D", "", found["post"]) or 0) + 1
    return release, stage, number, post


def _padded(release: tuple[int, ...], length: int) -> tuple[int, ...]:
    return release + (0,) * (length - len(release))


def _minor(python: str) -> str:
    return ".".join(python.split(".")[:2])


def _read(lines: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        match = _REQUIREMENT.match(line)
        if match is not None:
            found[normal(match["name"])] = match["versions"].strip().strip("()").strip()
    return found
