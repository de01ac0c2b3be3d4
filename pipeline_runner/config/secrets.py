"""Keys, tokens and passwords do not belong in a file that is shared and committed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pipeline_runner.config.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline_runner.config.locate import KeyPath

_SECRET = re.compile(
    r"(^|_)(SECRET|PASSWORD|PASSWD|PASSPHRASE|API_?KEY|ACCESS_KEY|PRIVATE_KEY)(_|$)"
    r"|(^|_)(TOKEN|AUTHKEY)$|^(RUNNER_)?KEY$"
)


def holds_a_secret(name: str) -> bool:
    """Whether a key or a variable of this name is likely to hold a secret."""
    return _SECRET.search(name.upper().replace("-", "_")) is not None


def check_secrets(data: Mapping[str, Any]) -> list[Fault]:
    """Return a fault for each secret that stands in an ``env`` of ``data``, as it was written."""
    return [
        _fault(str(path[-1]), path)
        for path, value in _variables(data)
        if path[-1] == "RUNNER_KEY"
        or (
            isinstance(value, str) and value and "${" not in value and holds_a_secret(str(path[-1]))
        )
    ]


def _fault(name: str, path: KeyPath) -> Fault:
    if name == "RUNNER_KEY":
        message, hint = "user code never gets the pipeline's key", "take it out"
    else:
        message = f"{name} looks like a secret, and this file holds none"
        hint = f'take it from the environment: "${{{name}}}"'
    return Fault("secret-in-file", message, path, hint)


def _variables(data: Mapping[str, Any]) -> Iterator[tuple[KeyPath, Any]]:
    tables: list[tuple[KeyPath, Any]] = [(("defaults",), data.get("defaults"))]
    stages = data.get("stages")
    if isinstance(stages, dict):
        tables += [(("stages", name), stage) for name, stage in stages.items()]
    for path, table in tables:
        env = table.get("env") if isinstance(table, dict) else None
        if isinstance(env, dict):
            yield from (((*path, "env", name), value) for name, value in env.items())
