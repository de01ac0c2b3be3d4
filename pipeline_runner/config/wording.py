"""Types and values in words: what a key takes, and how a value is written in the file."""

from __future__ import annotations

import json
import re
from typing import Any

from pipeline_runner.config.quantities import (
    DURATION_PATTERN,
    PERCENT_PATTERN,
    RATE_PATTERN,
    SIZE_PATTERN,
)
from pipeline_runner.config.values import COUNT_PATTERN

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "text",
    "array": "a list",
    "object": "a table",
}
_QUANTITIES = {
    DURATION_PATTERN: 'a duration such as "30s" (ms s m h d)',
    SIZE_PATTERN: 'a size such as "64MiB" (B KB MB GB KiB MiB GiB)',
    RATE_PATTERN: 'a rate such as "100/s" (/s /m /h)',
    PERCENT_PATTERN: 'a percentage such as "25%"',
    COUNT_PATTERN: 'an expression such as "cores-1"',
}


def type_words(node: dict[str, Any]) -> str:
    """Return what a value may be, from its JSON schema: "a whole number (at least 1)"."""
    choices = [choice for choice in node.get("anyOf", [node]) if not _is_variable(choice)]
    return " or ".join(dict.fromkeys(_word(choice) for choice in choices))


def _is_variable(node: dict[str, Any]) -> bool:
    return bool(node.get("$ref", "").endswith("/FromEnvironment"))


def _word(node: dict[str, Any]) -> str:
    if "$ref" in node:
        return "a table"
    if "enum" in node:
        return " | ".join(json.dumps(value) for value in node["enum"])
    if "const" in node:
        return json.dumps(node["const"])
    if "pattern" in node:
        return _QUANTITIES.get(node["pattern"], "text")
    word = _KINDS[node["type"]]
    if node["type"] == "array":
        return "a list of tables" if "$ref" in node["items"] else "a list of texts"
    bounds = [
        f"{name} {node[key]:g}"
        for key, name in (("minimum", "at least"), ("maximum", "at most"))
        if key in node
    ]
    return f"{word} ({', '.join(bounds)})" if bounds else word


def toml_value(value: Any) -> str:
    """Return plain data as it is written in the file."""
    if isinstance(value, dict):
        pairs = [
            f"{key if _BARE.fullmatch(key) else json.dumps(key)} = {toml_value(inner)}"
            for key, inner in value.items()
        ]
        return "{ " + ", ".join(pairs) + " }" if pairs else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(toml_value(inner) for inner in value) + "]"
    return json.dumps(value, ensure_ascii=False)
