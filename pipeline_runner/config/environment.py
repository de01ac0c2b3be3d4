"""``${VAR}`` and ``${VAR:-default}`` in the file's strings, replaced from the environment.

``$${`` stands for ``${`` itself. An unset variable is a fault at its place, never an empty string.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pipeline_runner.config.faults import Fault, Suggestions
from pipeline_runner.config.values import Substituted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline_runner.config.locate import KeyPath

_VARIABLE = re.compile(
    r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|(?P<broken>\$\{[^}]*\}?)"
)


def substitute(
    data: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[dict[str, Any], list[Fault], frozenset[KeyPath]]:
    """Return ``data`` with every variable replaced, and a fault for each that cannot be.

    Third come the paths of the strings that are no longer what the file says.
    """
    reader = _Reader(environ)
    replaced = {key: reader.value(value, (key,)) for key, value in data.items()}
    return replaced, reader.faults, frozenset(reader.changed)


class _Reader:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.faults: list[Fault] = []
        self.changed: set[KeyPath] = set()
        self._suggestions = Suggestions()

    def value(self, value: Any, path: KeyPath) -> Any:
        if isinstance(value, str):
            return self._text(value, path)
        if isinstance(value, dict):
            return {key: self.value(inner, (*path, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.value(inner, (*path, at)) for at, inner in enumerate(value)]
        return value

    def _text(self, text: str, path: KeyPath) -> str:
        if "${" not in text:
            return text
        self.changed.add(path)
        return Substituted(_VARIABLE.sub(lambda match: self._replace(match, path), text))

    def _replace(self, match: re.Match[str], path: KeyPath) -> str:
        if match.group("broken"):
            message = f'"{match.group()}" is not a variable'
            hint = "write ${NAME} or ${NAME:-default}; $${ stands for ${ itself"
            self.faults.append(Fault("bad-variable", message, path, hint, part=match.span()))
            return ""
        name, default = match.group("name", "default")
        if name is None:
            return "${"
        found = self.environ.get(name, default)
        if found is None:
            meant = self._suggestions.did_you_mean(name, self.environ)
            hint = f"{meant + ' ' if meant else ''}Set it, or give a default: ${{{name}:-value}}"
            message = f"the environment has no {name}"
            self.faults.append(Fault("unset-variable", message, path, hint, part=match.span()))
            return ""
        if not found.isascii() and any("\ud800" <= each <= "\udfff" for each in found):
            message = f"the environment's {name} is not UTF-8 text"
            self.faults.append(Fault("bad-variable", message, path, part=match.span()))
            return ""
        return found
