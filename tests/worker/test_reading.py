"""What a function gives is read from its text, and only where that leaves no doubt."""

from __future__ import annotations

import functools
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_runner.worker.probe.source_text import gives, reads_stdin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BODIES = [
    ("return x + 1", "a value"),
    ("return {'a': 1}", "a value"),
    ("return x, 1", "a value"),
    ("return load(x)", "a value"),
    ("print(x)", "nothing"),
    ("pass", "nothing"),
    ("return", "nothing"),
    ("return None", "nothing"),
    ("raise LookupError(x)", ""),
    ("while True:\n    work(x)", ""),
    ("if x:\n    return x", "sometimes nothing"),
    ("if x:\n    return x\nreturn None", "sometimes nothing"),
    ("if not x:\n    return\nreturn x", "sometimes nothing"),
    ("return x if x else None", "sometimes nothing"),
    ("for y in x:\n    return y", "sometimes nothing"),
    ("try:\n    return f(x)\nexcept ValueError:\n    log()", "sometimes nothing"),
    ("while True:\n    if x:\n        break\n    return x", "sometimes nothing"),
    ("match x:\n    case 1:\n        return 2", "sometimes nothing"),
    ("if x:\n    return x\nelse:\n    return 2", "a value"),
    ("if x:\n    return x\nraise ValueError(x)", "a value"),
    ("if x:\n    return x\nsys.exit(1)", "a value"),
    ("while True:\n    if f(x):\n        return x", "a value"),
    ("while True:\n    for y in x:\n        break\n    return x", "a value"),
    ("try:\n    return f(x)\nexcept ValueError:\n    return 0", "a value"),
    ("try:\n    return f(x)\nexcept ValueError:\n    raise", "a value"),
    ("try:\n    f(x)\nfinally:\n    return 1", "a value"),
    ("with open(x) as file:\n    return file.read()", "a value"),
    ("match x:\n    case 1:\n        return 2\n    case _:\n        return 3", "a value"),
    ("def inner():\n    return None\nreturn inner", "a value"),
    ("def inner():\n    return 1\ninner()", "nothing"),
    ("return [1, 2]", "many"),
    ("return [y for y in x]", "many"),
    ("return sorted(x)", "many"),
    ("return file.readlines()", "many"),
    ("rows = []\nrows.append(x)\nreturn rows", "many"),
    ("rows: list = []\nreturn rows", "many"),
    ("rows = []\nrows = load(rows)\nreturn rows", "a value"),
    ("if x:\n    return END\nreturn [x]", "a value"),
    ("if x:\n    raise StopIteration\nreturn [x]", "a value"),
]


@pytest.fixture
def function(tmp_path: Path) -> Callable[[str], Any]:
    """Return a maker of functions that are in a file, as a stage's are."""

    def made(body: str, head: str = "def f(x=None):") -> Any:
        file = tmp_path / "stages.py"
        file.write_text(f"import functools, sys\n{head}\n{textwrap.indent(body, '    ')}\n")
        names: dict[str, Any] = {}
        exec(compile(file.read_text(), str(tmp_path / f"{abs(hash(body))}.py"), "exec"), names)
        file.rename(tmp_path / f"{abs(hash(body))}.py")
        return names["f"]

    return made


@pytest.mark.parametrize(("body", "expected"), BODIES)
def test_what_a_call_returns_is_read_from_its_text(
    function: Callable[..., Any], body: str, expected: str
) -> None:
    assert gives(function(body)) == expected
    assert gives(function(body, "async def f(x=None):")) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("for line in sys.stdin:\n    yield line", True),
        ("yield input()", True),
        ("yield open('/dev/stdin').read()", True),
        ("import fileinput\nyield from fileinput.input()", True),
        ("yield x.input()", False),
        ("yield sys.argv", False),
    ],
)
def test_a_function_that_reads_the_standard_input_is_seen(
    function: Callable[..., Any], body: str, expected: bool
) -> None:
    assert reads_stdin(function(body)) is expected


def test_what_is_wrapped_is_read_where_it_was_written(function: Callable[..., Any]) -> None:
    inner = function("print(x)")

    @functools.wraps(inner)
    def wrapper(*args: Any) -> Any:
        return inner(*args)

    assert gives(wrapper) == "nothing"
    decorated = function("print(x)", "@functools.lru_cache\n@functools.lru_cache\ndef f(x=None):")
    assert gives(decorated) == "nothing"


@pytest.mark.parametrize("strange", [len, print, 3, object(), lambda x: None, type("T", (), {})])
def test_of_what_has_no_text_nothing_is_known(strange: Any) -> None:
    assert gives(strange) == ""
    assert reads_stdin(strange) is False
