"""What of a project travels, and what hides what does not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline_runner.sync.paths import parents
from pipeline_runner.sync.patterns import Patterns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

IGNORE_FILES = (".gitignore", ".runnerignore")  # of one folder: the later one has the last word

NEVER = (  # nobody's source: not even `include` brings these
    ".git",
    ".hg",
    ".svn",
    ".jj",
    ".runner",
    "__pycache__",
    "*.py[cod]",
    ".venv",
    "venv",
    ".tox",
    ".nox",
    "node_modules",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
    ".import_linter_cache",
    ".ipynb_checkpoints",
    ".coverage",
    ".coverage.*",
    "*.egg-info",
    ".DS_Store",
)
BUILT = ("dist", "build", "*.swp", "*~")
SECRET = (
    ".env*",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    ".ssh",
    ".aws",
    ".gnupg",
    ".netrc",
    ".pypirc",
    ".git-credentials",
    "*.token",
    ".token",
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a path travels. ``why`` says what hides it; ``enter``: look into it all the same."""

    why: str = ""
    enter: bool = False


_TRAVELS = Verdict(enter=True)


@dataclass(frozen=True, slots=True)
class _Own:
    """The ignore file of one folder, ``below`` it: a path with a slash at its end, or nothing."""

    below: str
    patterns: Patterns


@dataclass(frozen=True)
class Rules:
    """The rules that hold in one folder of the project. Immutable: a folder's own make new ones.

    With ``include`` only what it names travels, whatever ignore files say. The deny list is asked
    first and nothing overrules it.
    """

    include: Patterns | None = None
    roots: tuple[str, ...] = ()  # how each include begins, up to its first wildcard
    ignore: Patterns | None = None
    deny: tuple[Patterns, ...] = ()
    never: Patterns | None = None
    own: tuple[_Own, ...] = ()  # the nearest last

    @property
    def reads_ignore_files(self) -> bool:
        """Whether a folder's own ignore files have a say."""
        return self.include is None

    def inside(self, folder: str, texts: Mapping[str, str]) -> Rules:
        """Return the rules in ``folder``, "" for the project's, with ``texts`` of ignore files."""
        below = f"{folder}/" if folder else ""
        more = tuple(
            _Own(below, Patterns(f"{below}{name}", texts[name].removeprefix("\ufeff").split("\n")))
            for name in IGNORE_FILES
            if name in texts
        )
        return replace(self, own=(*self.own, *more)) if more else self

    def judge(self, path: str, *, is_folder: bool) -> Verdict:
        """Return whether ``path`` travels; the folders above it do, or are entered."""
        for patterns in self.deny:
            found = patterns.match(path, is_folder=is_folder)
            if found is not None:
                return Verdict(f"{patterns.source} `{found.text}`")
        assert self.never is not None
        found = self.never.match(path, is_folder=is_folder)
        if found is not None:
            return Verdict(f"{self.never.source} `{found.text}`")
        if self.ignore is not None:
            found = self.ignore.match(path, is_folder=is_folder)
            if found is not None and found.hides:
                return Verdict(f"{self.ignore.source} `{found.text}`")
        if self.include is not None:
            return self._included(self.include, path, is_folder=is_folder)
        for own in reversed(self.own):
            found = own.patterns.match(path[len(own.below) :], is_folder=is_folder)
            if found is not None:
                if found.hides:
                    return Verdict(f"{own.patterns.source}:{found.line} `{found.text}`")
                break
        else:
            found = _BUILT.match(path, is_folder=is_folder)
            if found is not None:
                return Verdict(f"{_BUILT.source} `{found.text}`")
        return _TRAVELS

    def _included(self, include: Patterns, path: str, *, is_folder: bool) -> Verdict:
        for each, folder in ((path, is_folder), *((above, True) for above in parents(path))):
            found = include.match(each, is_folder=folder)
            if found is not None:
                if found.hides:  # that is: it is named
                    return _TRAVELS
                break
        enter = is_folder and any(
            root.startswith(f"{path}/") or f"{path}/".startswith(root) for root in self.roots
        )
        return Verdict(f"not in {include.source}", enter=enter)


_BUILT = Patterns("the default", BUILT)


def rules(
    include: Iterable[str] = (), ignore: Iterable[str] = (), denied: Iterable[str] = ()
) -> Rules:
    """Return the rules at a project's top, from ``[sync]`` and ``denied`` paths of ours."""
    wanted = tuple(include)
    unwanted = tuple(ignore)
    own = [f"/{as_pattern(path)}" for path in denied]
    return Rules(
        include=Patterns("`include` of [sync]", map(_anchored, wanted)) if wanted else None,
        roots=tuple(_root(text) for text in wanted if not text.startswith("!")),
        ignore=Patterns("`ignore` of [sync]", unwanted) if unwanted else None,
        deny=(
            Patterns("a secret:", SECRET, fold=True),
            *([Patterns("built in:", own)] if own else []),
        ),
        never=Patterns("the default", NEVER),
    )


def as_pattern(path: str) -> str:
    """Return the pattern that matches exactly ``path``."""
    return "".join(f"\\{char}" if char in "\\*?[!# " else char for char in path)


def _anchored(text: str) -> str:
    """Return an include so that it begins at the project, as a person reads a path."""
    sign, body = ("!", text[1:]) if text.startswith("!") else ("", text)
    if body.startswith(("/", "**")) or "/" not in body.rstrip("/"):
        return text
    return f"{sign}/{body}"


def _root(text: str) -> str:
    """Return the folders an include begins with, up to its first wildcard."""
    if "/" not in text.rstrip("/"):
        return ""  # a bare name, in any folder
    plain = text.removeprefix("/")
    wild = min((plain.find(char) for char in "*?[\\" if char in plain), default=len(plain))
    return plain[: plain.rfind("/", 0, wild) + 1]
