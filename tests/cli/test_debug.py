from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the runner in one process was asked for; it gives back what it got."""
    calls: list[dict[str, Any]] = []

    def run(pipeline: Any, **options: Any) -> dict[str, list[Any]]:
        calls.append(options)
        if options.get("items") == ["boom"]:
            raise ValueError("bad item")
        if "only" in options:
            return {options["only"]: options["items"]}
        return {"collect": [0, 1, 4]}

    module = types.ModuleType("pipeline_runner.worker.inline")
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pipeline_runner.worker.inline", module)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return calls


def test_debug_runs_the_whole_pipeline_and_counts_what_each_sink_got(
    runner: Callable[..., Any], project: Path, asked: list[dict[str, Any]]
) -> None:
    ended = runner("debug", "--limit", "3")
    assert (ended.code, ended.err) == (0, "collect: 3 items\n")
    assert asked == [{"limit": 3}]
    assert sys.path[0] == str(project)


def test_debug_of_one_stage_prints_what_it_gives(
    runner: Callable[..., Any], project: Path, asked: list[dict[str, Any]]
) -> None:
    ended = runner("debug", "--stage", "square", "--item", '{"a": 1}')
    assert ended.out == "{'a': 1}\n"
    assert asked == [{"only": "square", "items": [{"a": 1}]}]


def test_debug_shows_the_traceback_of_what_failed(
    runner: Callable[..., Any], project: Path, asked: list[dict[str, Any]]
) -> None:
    ended = runner("debug", "--stage", "square", "--item", '"boom"')
    assert ended.code == 1
    assert ended.err.endswith("ValueError: bad item\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--stage", "square"], "--stage and --item go together"),
        (["--stage", "sqare", "--item", "1"], "stages: generate, square, collect"),
        (["--stage", "generate", "--item", "1"], "generate is a source"),
        (["--stage", "square", "--item", "x.heic"], "--item is not JSON"),
    ],
)
def test_debug_says_what_is_wrong_with_what_was_asked(
    runner: Callable[..., Any],
    project: Path,
    asked: list[dict[str, Any]],
    arguments: list[str],
    said: str,
) -> None:
    ended = runner("debug", *arguments)
    assert ended.code == 2
    assert said in ended.err
    assert asked == []
