from __future__ import annotations

import math
from typing import Any

import pytest
import tomli
from hypothesis import assume, given, settings

from pipeline_runner.config.locate import Locator, scan
from pipeline_runner.errors import Span
from tests.config.documents import DOCUMENTS, documents, paths
from tests.config.marks import marked, stretch


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and one == other


def misread(text: str) -> list[tuple[Any, str]]:
    """Return each path and what stands at its place, where that reads as another key or value."""
    plain, locator = text.replace("\r\n", "\n"), Locator(text, "f")
    found: list[tuple[Any, str]] = []
    for path, value in paths(tomli.loads(text)).items():
        key = stretch(plain, locator.key(path))
        if isinstance(path[-1], str) and tomli.loads(f"{key} = 0") != {path[-1]: 0}:
            found.append((path, key))
        written = stretch(plain, locator.value(path))
        if isinstance(value, dict) and not written.startswith("{"):
            continue  # a table of headers and dotted keys is no value of its own
        if written.startswith("[["):
            continue  # nor is a list of tables
        if not same(tomli.loads(f"x = {written}")["x"], value):
            found.append((path, written))
        if isinstance(value, str):
            if locator.string(path) != value:
                found.append((path, str(locator.string(path))))
            for at, character in enumerate(value):
                part = stretch(plain, locator.inside(path, at, at + 1))
                if part != character and not part.startswith("\\"):
                    found.append(((path, at), part))
    return found


def placed(text: str) -> set[Any]:
    """Return each path that has a place."""
    return set(scan(text.replace("\r\n", "\n")))


@pytest.mark.parametrize("text", DOCUMENTS)
def test_every_path_tomli_reads_has_its_place(text: str) -> None:
    assert placed(text) == set(paths(tomli.loads(text)))
    assert misread(text) == []


@settings(max_examples=3 * settings().max_examples)
@given(documents())
def test_every_path_has_its_place_in_any_document(text: str) -> None:
    try:
        tomli.loads(text)
    except tomli.TOMLDecodeError:
        assume(False)
    assert placed(text) == set(paths(tomli.loads(text)))
    assert misread(text) == []


@pytest.mark.parametrize(
    ("text", "path", "start", "end"),
    [
        ('run = "app.images:⟦uplod⟧"', ("run",), 11, 16),
        ("run = 'app.images:⟦uplod⟧'", ("run",), 11, 16),
        ('a = "\\u00e9⟦\\u00e9⟧x"', ("a",), 1, 2),
        ('a = """\nx⟦${V}⟧\n"""', ("a",), 1, 5),
        ('a = """x \\\n   ⟦yz⟧"""', ("a",), 2, 4),
        ("a = ['日本', '日⟦本⟧']", ("a", 1), 1, 2),
        ("[[e]]\n[[e]]\nx = {y = '=⟦,⟧'}", ("e", 1, "x", "y"), 1, 2),
    ],
)
def test_characters_of_a_string_are_found_where_they_were_written(
    text: str, path: tuple[str | int, ...], start: int, end: int
) -> None:
    plain, [expected] = marked(text)
    assert Locator(plain, "pipeline.toml").inside(path, start, end) == expected


def test_a_stretch_outside_the_string_shows_the_whole_value() -> None:
    plain, [expected] = marked('a = ⟦"xy"⟧')
    locator = Locator(plain, "pipeline.toml")
    assert locator.inside(("a",), 1, 9) == expected
    assert locator.inside(("a",), 2, 2) == expected
    assert locator.inside(("a", "b"), 0, 1) == expected


def test_a_key_that_is_not_there_is_shown_at_the_table_around_it() -> None:
    plain, [expected] = marked("[stages.⟦list⟧]\nprocesses = 1")
    locator = Locator(plain, "pipeline.toml")
    assert locator.key(("stages", "list", "run")) == expected
    assert locator.key(("edges", 3)) == Span("pipeline.toml", 1, 1, 1, 14)


def test_carriage_returns_move_no_column() -> None:
    plain, [expected] = marked("[a]\nb = ⟦'x'⟧\nc = 1\n")
    assert Locator(plain.replace("\n", "\r\n"), "pipeline.toml").value(("a", "b")) == expected
