"""What one key of the file means, in words: ``runner explain stages.processes``."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any

from pipeline_runner.config.faults import did_you_mean
from pipeline_runner.config.keys import (
    defaults_of,
    every_key,
    fields,
    is_list,
    is_named,
    table_at,
    table_of,
)
from pipeline_runner.config.model import File, Model, Settings
from pipeline_runner.config.schema import schema
from pipeline_runner.config.settings_checks import NOT_YET
from pipeline_runner.config.wording import toml_value, type_words
from pipeline_runner.errors import UsageError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

WIDTH = 88
_TABLES = ("edges", "hosts", "sync", "reload", "server")


def explain(key: str) -> str:
    """Return what ``key`` means, with its type, its default and an example.

    ``key`` is dotted: ``stages.retry.attempts``. A stage's or a group's own name may stand where
    it does in the file, a setting of a stage may stand alone, and an empty key gives every table.
    Raises UsageError for a key the file does not have.
    """
    if not key.strip():
        return _overview()
    path = _resolved([step for step in re.split(r"[.\s]+", key.strip("[] ")) if step])
    if path is None:
        raise UsageError(f"the file has no key `{key}`", hint=_nearest(key))
    holder = table_at(_with_names(path[:-1]))
    assert holder is not None
    info = fields(holder)[path[-1]]
    table = table_of(info.annotation)
    lines = [".".join(path), *_wrapped(info.description or "")]
    if path in NOT_YET:
        lines += _wrapped(f"No effect yet: {NOT_YET[path]}.")
    lines += ["", *_facts(holder, info, path[-1])]
    if table is not None and len(path) < 3:
        lines += ["", "Keys:", *_listing(table)]
    else:
        lines += ["", "Example:", *_example(path)]
    return "\n".join(lines)


def _resolved(steps: list[str]) -> tuple[str, ...] | None:
    """Return the key that was meant, without the user's own names; None when there is none."""
    known = set(every_key())
    candidates = [steps, ["stages", *steps], ["pipeline", *steps], *([t, *steps] for t in _TABLES)]
    for candidate in candidates:
        if tuple(candidate) in known:
            return tuple(candidate)
        if len(candidate) > 2 and candidate[0] in {"stages", "hosts", "edges"}:
            unnamed = (candidate[0], *candidate[2:])
            if unnamed in known:
                return unnamed
    return None


def _with_names(path: tuple[str, ...]) -> tuple[str, ...]:
    """Return ``path`` with a name after ``stages`` and ``hosts``, as the file would have."""
    if path[:1] in {("stages",), ("hosts",)}:
        return (path[0], "NAME", *path[1:])
    return path


def _nearest(key: str) -> str:
    paths = [path for path in every_key() if path[0] != "defaults"]
    known = [".".join(path) for path in paths]
    meant = did_you_mean(key, known, quote="`")
    if not meant:
        last = key.rpartition(".")[2]
        ends = {path[-1]: ".".join(path) for path in reversed(paths)}
        found = did_you_mean(last, ends, quote="`")
        meant = f"did you mean `{ends[found.split('`')[1]]}`?" if found else ""
    return meant or "`runner explain` alone lists every key"


def _overview() -> str:
    lines = ["The pipeline file. `runner explain TABLE.KEY` says more of a key."]
    for name, info in fields(File).items():
        table = table_of(info.annotation)
        assert table is not None
        lines += ["", f"{_header(name, info)}  {info.description}"]
        if table is Settings:
            lines.append("  every key of [stages.NAME] but `run` and `was`")
        else:
            lines += textwrap.wrap(
                " ".join(fields(table)), WIDTH, initial_indent="  ", subsequent_indent="  "
            )
    return "\n".join(lines)


def _header(name: str, info: FieldInfo) -> str:
    if is_named(info.annotation):
        return f"[{name}.NAME]"
    return f"[[{name}]]" if is_list(info.annotation) else f"[{name}]"


def _listing(table: type[Model]) -> list[str]:
    width = max(len(name) for name in fields(table))
    indent = " " * (width + 4)
    lines: list[str] = []
    ordered = sorted(fields(table).items(), key=lambda field: not field[1].is_required())
    for name, info in ordered:
        text = textwrap.wrap(info.description or "", WIDTH - len(indent))
        lines.append(f"  {name:<{width}}  {text[0] if text else ''}")
        lines += [indent + more for more in text[1:]]
    return lines


def _facts(holder: type[Model], info: FieldInfo, key: str) -> list[str]:
    if holder is File:
        return [f"Written:  {_header(key, info)}", *(["Required."] if info.is_required() else [])]
    node = _node(holder, key)
    facts = [f"Type:     {type_words(node)}"]
    if info.is_required():
        facts.append("Required.")
    else:
        default = defaults_of(holder).get(key)
        empty = default in (None, "", [], {})
        facts.append(f"Default:  {'none' if empty else toml_value(default)}")
    return facts


def _node(holder: type[Model], key: str) -> dict[str, Any]:
    made = schema()
    table = made if holder is File else made["$defs"][holder.__name__]
    node: dict[str, Any] = table["properties"][key]
    return node


_SAMPLES = {"run": "app.io:list_images", "from": "list", "to": "decode"}


def _example(path: tuple[str, ...]) -> list[str]:
    """Return the lines of an example. A key of an inline table is shown in the whole of it."""
    holder, key = (path[:-1], path[-1]) if len(path) < 3 else (path[:-2], path[-2])
    table = table_at(_with_names(holder))
    assert table is not None
    examples = fields(table)[key].examples
    value = examples[0] if examples else defaults_of(table).get(key, _SAMPLES.get(key))
    return [f"  {_header(path[0], fields(File)[path[0]])}", f"  {key} = {toml_value(value)}"]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH)
