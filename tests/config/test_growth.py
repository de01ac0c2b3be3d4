"""A file twice as long takes twice the work, whatever it holds. Calls are counted, no clock."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_runner.config.parse import parse
from pipeline_runner.config.report import render

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD = '[pipeline]\nname = "p"\n'
STAGE = '[stages.a]\nrun = "m:f"\n'


def chain(n: int) -> str:
    stages = "".join(f'[stages.s{at}]\nrun = "m:f"\n' for at in range(n))
    edges = "".join(f'[[edges]]\nfrom = "s{at}"\nto = "s{at + 1}"\n' for at in range(n - 1))
    return HEAD + stages + edges


def loop(n: int) -> str:
    return chain(n) + f'[[edges]]\nfrom = "s{n - 1}"\nto = "s0"\n'


def lost_ends(n: int) -> str:
    return chain(n).replace('to = "s', 'to = "nobody')


FILES: dict[str, Callable[[int], str]] = {
    "stages": chain,
    "a cycle": loop,
    "edges to nowhere": lost_ends,
    "unknown keys": lambda n: HEAD + STAGE + "".join(f"k{at} = 1\n" for at in range(n)),
    "unknown keys on one line": lambda n: (
        f"{HEAD}{STAGE}retry = {{ {', '.join(f'k{at} = 1' for at in range(n))} }}\n"
    ),
    "unset variables": lambda n: (
        HEAD
        + STAGE
        + "[stages.a.env]\n"
        + "".join(f"E{at} = '${{UNSET{at}}}'\n" for at in range(n))
    ),
    "unset variables in one text": lambda n: (
        f'{HEAD}{STAGE}env.A = "{"".join(f"${{UNSET{at}}}" for at in range(n))}"\n'
    ),
    "a text of escapes": lambda n: f'{HEAD}{STAGE}env.A = "{chr(92) * 2 * n}${{UNSET}}"\n',
    "selectors": lambda n: (
        HEAD + STAGE + "[stages.a.per_host]\n" + "".join(f"'@g{at}' = 1\n" for at in range(n))
    ),
    "misspelt words": lambda n: (
        HEAD + "".join(f'[stages.s{at}]\nrun = "m:f"\nspread = "hsot"\n' for at in range(n))
    ),
}


def work(text: str) -> int:
    """Return how many calls it takes to judge ``text`` and to write the report."""
    calls = 0

    def count(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        _pipeline, problems = parse(text, file="pipeline.toml", environ={"HOME": "/"})
        render(problems, text)
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.parametrize("name", FILES)
def test_work_grows_with_the_length_of_the_file(name: str) -> None:
    work(FILES[name](2))  # what is made once
    half, whole = work(FILES[name](1000)), work(FILES[name](2000))
    assert whole < 2.5 * half


@pytest.mark.parametrize("quotes", ["'", '"', "'''", '"""'])
def test_a_long_text_is_not_read_character_by_character(quotes: str) -> None:
    text = f"{HEAD}{STAGE}[server]\nbind = {quotes}{'x' * 1_000_000}{quotes}\n"
    assert work(text) < 10_000


def test_a_file_of_thousands_of_faults_shows_the_first_and_counts_all() -> None:
    text = HEAD + STAGE + "".join(f"k{at} = 1\n" for at in range(5000))
    _pipeline, problems = parse(text, file="pipeline.toml", environ={})
    assert len(problems) == 5000
    shown = render(problems, text)
    assert shown.count("error[unknown-key]") == 200
    assert shown.endswith("... and 4,800 more: runner check --json has them all\n5,000 errors")


def test_only_words_that_can_be_mistyped_get_a_suggestion() -> None:
    text = f"{HEAD}{STAGE}proceses = 1\n{'p' * 5000} = 1\n"
    _pipeline, [close, long] = parse(text, file="pipeline.toml", environ={})
    assert close.hint.startswith("did you mean `processes`?")
    assert len(long.message) < 600
    assert long.message.endswith("` is not a stage setting")
