"""Plain data as the text of a pipeline file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def written(tables: Mapping[str, Any]) -> str:
    """Return ``tables``, by name, as TOML: a list becomes ``[[name]]``, the rest ``[name]``.

    A table that holds nothing but tables is written one by one, as ``[name.key]``. Raises
    TypeError for a value that TOML has no form for.
    """
    blocks: list[str] = []
    for name, table in tables.items():
        if isinstance(table, Mapping):
            if table and all(isinstance(inner, Mapping) for inner in table.values()):
                blocks += [_block(f"[{_key(name)}.{_key(k)}]", t) for k, t in table.items()]
            else:
                blocks.append(_block(f"[{_key(name)}]", table))
        else:
            blocks += [_block(f"[[{_key(name)}]]", row) for row in table]
    return "\n".join(blocks)


def _block(header: str, table: Mapping[str, Any]) -> str:
    lines = [f"{_key(key)} = {_value(value, key)}\n" for key, value in table.items()]
    return f"{header}\n{''.join(lines)}"


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _value(value: Any, key: str) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value)
        case int():
            return str(int(value))
        case float():
            return repr(float(value))
        case Mapping():
            inner = ", ".join(f"{_key(k)} = {_value(v, k)}" for k, v in value.items())
            return f"{{ {inner} }}" if inner else "{}"
        case Sequence() if not isinstance(value, (bytes, bytearray)):
            return f"[{', '.join(_value(element, key) for element in value)}]"
    raise TypeError(
        f"`{key}` cannot be {value!r}: a pipeline holds text, numbers, lists and tables"
    )


def _text(text: str) -> str:
    # Every escape of JSON is one of TOML; TOML alone forbids a bare DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
