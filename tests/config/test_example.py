"""``pipeline.toml.example`` shows every key with its default, and is a valid file itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import tomli

from pipeline_runner.config.keys import defaults_of, every_key, table_at
from pipeline_runner.config.parse import parse

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "pipeline.toml.example").read_text(encoding="utf-8")


def uncommented() -> dict[str, Any]:
    """The example with its commented keys set, one for each key they exclude left out."""
    return tomli.loads(re.sub(r"(?m)^# (?=[a-z_]+ = )", "", TEXT))


def test_the_example_is_valid_and_only_notes_what_has_no_effect_yet() -> None:
    pipeline, problems = parse(TEXT, file="pipeline.toml.example", environ={})
    assert pipeline is not None
    assert {(problem.severity, problem.code) for problem in problems} == {("note", "not-yet")}


def test_every_key_stands_in_the_example() -> None:
    shown: set[tuple[str, ...]] = set()

    def visit(node: Any, path: tuple[str, ...]) -> None:
        if isinstance(node, list):
            for inner in node:
                visit(inner, path)
        elif isinstance(node, dict):
            for key, inner in node.items():
                named = path in {("stages",), ("hosts",)}
                visit(inner, path if named else (*path, key))
        shown.update(path[:length] for length in range(1, len(path) + 1))

    visit(uncommented(), ())
    shown |= {("stages", *path[1:]) for path in shown if path[0] == "defaults"}
    missing = {path for path in every_key() if path[0] != "defaults"} - shown
    # An empty list shows its form in a comment.
    missing -= {path for path in missing if re.search(rf"\b{path[-1]} = ", TEXT)}
    assert missing == set()


@pytest.mark.parametrize("table", ["pipeline", "sync", "reload", "server"])
def test_what_the_example_sets_is_the_default(table: str) -> None:
    model = table_at((table,))
    assert model is not None
    defaults = defaults_of(model)
    said = tomli.loads(TEXT)[table]
    assert {key: value for key, value in said.items() if key != "name"} == {
        key: defaults[key] for key in said if key != "name"
    }


def test_the_settings_of_a_stage_in_the_example_are_the_defaults() -> None:
    model = table_at(("stages", "decode"))
    assert model is not None
    defaults = defaults_of(model)
    data = tomli.loads(TEXT)
    assert data["defaults"]["retry"] == defaults["retry"]
    decode = {key: value for key, value in data["stages"]["decode"].items() if key in defaults}
    assert decode == {key: defaults[key] for key in decode}
    assert {"spread", "concurrency", "on_failure"} <= decode.keys()


def test_the_commented_keys_are_valid_as_well() -> None:
    lines = re.sub(r"(?m)^# (?=(?!autoscale)[a-z_]+ = )", "", TEXT)
    pipeline, problems = parse(lines, file="f", environ={})
    assert pipeline is not None, problems
    scaled = re.sub(r"(?m)^# (?=autoscale = )", "", TEXT)
    pipeline, problems = parse(scaled, file="f", environ={})
    assert pipeline is not None, problems
