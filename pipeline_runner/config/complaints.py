"""What the model refused, in words: each of pydantic's errors becomes a fault with a cure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline_runner.config.faults import Fault
from pipeline_runner.config.keys import NOUNS, fields, homes, table_at
from pipeline_runner.config.model import Header, Stage
from pipeline_runner.config.secrets import holds_a_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline_runner.config.faults import Suggestions
    from pipeline_runner.config.locate import KeyPath

_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}
_KINDS = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a table",
}


def complaint(details: Mapping[str, Any], path: KeyPath, suggestions: Suggestions) -> Fault:
    """Return the fault at ``path`` that pydantic's error ``details`` describe."""
    kind, context = details["type"], details.get("ctx", {})
    match kind:
        case "extra_forbidden":
            return _unknown_key(path, suggestions)
        case "missing":
            return _missing_key(path)
        case "literal_error":
            return _other_word(details["input"], context["expected"], path, suggestions)
        case "string_pattern_mismatch" if path == ("pipeline", "name"):
            message = f'"{details["input"]}" is not a pipeline\'s name'
            return Fault(
                "bad-name", message, path, "lower-case letters and digits, with hyphens between"
            )
        case "greater_than_equal" | "less_than_equal":
            return _out_of_range(path, context)
        case "bad-value":
            start, end = context.get("start", -1), context.get("end", -1)
            part = (start, end) if 0 <= start < end else None
            return Fault("bad-value", context["message"], path, context["hint"], part=part)
    if kind in _WANTED:
        return _wrong_type(_WANTED[kind], details["input"], path)
    return Fault("bad-value", details["msg"], path)


def _unknown_key(path: KeyPath, suggestions: Suggestions) -> Fault:
    key, table = str(path[-1]), table_at(path[:-1])
    if holds_a_secret(key):
        hint = "keep it in the environment, or in a file that is not shared"
        message = f"`{key}` looks like a secret, and this file holds none"
        return Fault("secret-in-file", message, path, hint, at="key")
    assert table is not None
    known = fields(table)
    hint = suggestions.did_you_mean(key, known, quote="`")
    if hint:
        meant = hint.split("`")[1]
        places = [str(step) for step in path[:-1] if isinstance(step, str)]
        # A name of the user's says nothing about the key: stages.decode.retry -> stages.retry.
        if places[:1] in (["stages"], ["hosts"]):
            del places[1:2]
        hint += f"     runner explain {'.'.join([*places, meant])}"
    elif found := homes(key):
        hint = f"`{key}` belongs in {' or '.join(found[:2])}"
    else:
        hint = f"known here: {' '.join(known)}"
    return Fault("unknown-key", f"`{key}` is not {NOUNS[table]}", path, hint, at="key")


def _missing_key(path: KeyPath) -> Fault:
    key, table = str(path[-1]), table_at(path[:-1])
    match path:
        case ("pipeline",):
            return Fault("missing-key", "the file has no [pipeline]", path, 'with a name = "..."')
        case ("stages",):
            return Fault("no-stages", "the file has no stages", path, "begin with [stages.NAME]")
        case ("edges", int(), *_):
            message = f"this edge has no `{key}`"
        case _:
            owner = path[1] if table is Stage else ".".join(str(step) for step in path[:-1])
            message = f'"{owner}" has no `{key}`'
    examples = fields(table)[key].examples if table is not None else None
    hint = ""
    if table in {Stage, Header} and examples:
        hint = f'such as {key} = "{examples[0]}"'
    return Fault("missing-key", message, path, hint, at="key")


def _other_word(value: Any, expected: str, path: KeyPath, suggestions: Suggestions) -> Fault:
    words = [word.strip(" '") for word in expected.replace(" or ", ",").split(",")]
    listed = "one of " + ", ".join(f'"{word}"' for word in words)
    meant = suggestions.did_you_mean(value, words) if isinstance(value, str) else ""
    shown = f'"{value}"' if isinstance(value, str) else _kind(value)
    message = f"{shown} is not a value of `{path[-1]}`"
    return Fault("bad-value", message, path, f"{meant} {listed}".strip() if meant else listed)


def _out_of_range(path: KeyPath, context: Mapping[str, Any]) -> Fault:
    if "ge" in context:
        return Fault("out-of-range", f"`{path[-1]}` is at least {context['ge']:g}", path)
    return Fault("out-of-range", f"`{path[-1]}` is at most {context['le']:g}", path)


def _wrong_type(wanted: str, value: Any, path: KeyPath) -> Fault:
    hint = ""
    if wanted == "text" and isinstance(value, (int, float)):
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        hint = f'write "{shown}"'
    elif wanted == "a list" and isinstance(value, str):
        hint = f'write ["{value}"]'
    elif wanted != "text" and isinstance(value, str) and _reads_as(wanted, value):
        hint = f"it needs no quotes: write {value}"
    where = f"`{path[-1]}`" if isinstance(path[-1], str) else "an element of this list"
    is_fraction = wanted == "a whole number" and isinstance(value, float)
    found = "a fraction" if is_fraction else _kind(value)
    return Fault("wrong-type", f"{where} wants {wanted}, not {found}", path, hint)


def _reads_as(wanted: str, text: str) -> bool:
    if wanted == "true or false":
        return text in {"true", "false"}
    digits = text.replace(".", "", 1) if wanted == "a number" else text
    return wanted in {"a number", "a whole number"} and digits.isdecimal()


def _kind(value: Any) -> str:
    return next((words for kind, words in _KINDS.items() if type(value) is kind), "a date or time")
