"""The JSON schema of the file, for editors: made from the model, so that it cannot disagree.

``python -m pipeline_runner.config.schema > schemas/pipeline.schema.json`` writes it anew.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from pipeline_runner.config.keys import NOUNS, defaults_of, fields
from pipeline_runner.config.model import File

if TYPE_CHECKING:
    from collections.abc import Iterator

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FROM_ENVIRONMENT = {"$ref": "#/$defs/FromEnvironment"}
_FROM_ENVIRONMENT = {
    "type": "string",
    "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}",
    "description": "${VAR} or ${VAR:-default}, from the environment.",
}
_ABOUT = ("description", "default", "examples", "deprecated")
_NAMES = {"propertyNames": {"pattern": "^[A-Za-z0-9_][A-Za-z0-9_-]*$"}}


def schema() -> dict[str, Any]:
    """Return the schema as plain data, every default as a person would write it."""
    made = File.model_json_schema(by_alias=True)
    tables = made.pop("$defs")
    for model in NOUNS:
        table = made if model is File else tables[model.__name__]
        del table["title"]
        defaults = defaults_of(model)
        for name, info in fields(model).items():
            node = _value(table["properties"][name])
            node.pop("default", None)
            node["description"] = info.description
            if model is not File and defaults.get(name) not in (None, [], {}, ""):
                node["default"] = defaults[name]
            table["properties"][name] = node
    tables["FromEnvironment"] = _FROM_ENVIRONMENT
    made["properties"]["stages"] |= {"minProperties": 1, **_NAMES}
    made["properties"]["hosts"] |= _NAMES
    return {"$schema": DIALECT, "title": "A pipeline of Python functions", **made, "$defs": tables}


def schema_text() -> str:
    """Return the schema as the text that is shipped."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _value(node: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a value without what only Python means, open to the environment."""
    about = {key: node[key] for key in _ABOUT if key in node}
    choices = list(_choices(node))
    if any(_is_narrow(choice) for choice in choices):
        choices.append(FROM_ENVIRONMENT)
    return {**(choices[0] if len(choices) == 1 else {"anyOf": choices}), **about}


def _choices(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the schemas of which one holds, each without its title; TOML has no null."""
    for key in ("anyOf", "oneOf"):
        if key in node:
            for inner in node[key]:
                yield from _choices(inner)
            return
    if node != {"type": "null"}:
        plain = {key: inner for key, inner in node.items() if key not in {*_ABOUT, "title"}}
        for key in ("items", "additionalProperties"):
            if isinstance(plain.get(key), dict):
                plain[key] = _value(plain[key])
        yield plain


def _is_narrow(node: dict[str, Any]) -> bool:
    """Whether only some texts are allowed, so that one from the environment has to be named."""
    return bool({"enum", "pattern", "const"} & node.keys()) or node.get("type") in {
        "integer",
        "number",
        "boolean",
    }


if __name__ == "__main__":
    sys.stdout.write(schema_text())
