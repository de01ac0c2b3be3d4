from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.config.report import ANSI, as_json, count, frame, github, render
from pipeline_runner.errors import Problem, Span


def problem(line: int, column: int, end: int, *, hint: str = "", message: str = "wrong") -> Problem:
    return Problem("a-code", message, Span("p.toml", line, column, line, end), hint)


def test_a_frame_shows_the_line_the_caret_and_the_cure() -> None:
    text = '[stages.a]\nproceses = 4\nrun = "m:f"\n'
    found = Problem(
        "unknown-key",
        "`proceses` is not a stage setting",
        Span("pipeline.toml", 2, 1, 2, 9),
        "did you mean `processes`?",
    )
    assert render([found], text) == (
        "error[unknown-key]: `proceses` is not a stage setting\n"
        " --> pipeline.toml:2:1\n"
        "2 | proceses = 4\n"
        "  | ^^^^^^^^ did you mean `processes`?\n"
        "1 error"
    )


def test_the_gutter_is_as_wide_as_the_line_number() -> None:
    lines = ["x"] * 99 + ["to = 'sqare'"]
    assert frame(problem(100, 6, 13), lines).splitlines()[1:] == [
        "   --> p.toml:100:6",
        "100 | to = 'sqare'",
        "    |      ^^^^^^^",
    ]


def test_wide_characters_and_tabs_keep_the_caret_under_its_text() -> None:
    _, _, source, caret = frame(problem(1, 7, 10), ["\t日本 = 'x' # ü"]).splitlines()
    assert source == "1 |     日本 = 'x' # ü"
    # A tab of 4 columns, two characters of 2 and three of 1 stand before it.
    assert caret == "  | " + " " * (4 + 2 * 2 + 3) + "^^^"


def test_combining_characters_take_no_column() -> None:
    *_, caret = frame(problem(1, 4, 5), ["e\u0301 x"]).splitlines()
    assert caret == "  |   ^"


def test_a_place_of_several_lines_is_underlined_to_the_end_of_its_first() -> None:
    found = Problem("a-code", "wrong", Span("p.toml", 1, 5, 3, 2))
    assert frame(found, ["a = [", " 1", "]"]).splitlines()[2:] == ["1 | a = [", "  |     ^"]


def test_an_empty_place_still_has_a_caret() -> None:
    assert frame(problem(2, 1, 1), ["a", ""]).splitlines()[2:] == ["2 |", "  | ^"]
    assert frame(problem(9, 4, 5), ["a"]).splitlines()[3] == "  | ^"


def test_a_long_line_is_shown_around_its_fault() -> None:
    line = "a = '" + "x" * 400 + "HERE" + "y" * 400 + "'"
    _, _, source, caret = frame(problem(1, 406, 410), [line]).splitlines()
    assert len(source) < 130
    start = caret.index("^")
    assert source[start : start + 4] == "HERE"
    assert source.endswith("…")


def test_neither_the_file_nor_a_message_steers_the_terminal() -> None:
    shown = frame(problem(1, 1, 2, message="a \x1b[2J\n b", hint="\x07"), ["x\x1b[31m\x00"])
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert len(shown.splitlines()) == 4


def test_a_problem_of_no_place_is_two_lines() -> None:
    assert render([Problem("x", "wrong", None, "cure")], "") == "error[x]: wrong\n  cure\n1 error"


def test_counts_name_each_severity() -> None:
    kinds = ["error", "error", "warning", "note", "note"]
    problems = [Problem("x", "y", severity=kind) for kind in kinds]  # type: ignore[arg-type]
    assert count(problems) == "2 errors, 1 warning, 2 notes"
    assert render([], "") == ""


def test_colour_adds_nothing_but_colour() -> None:
    problems = [problem(1, 1, 3, hint="cure"), Problem("x", "wrong", None, "cure")]
    assert re.sub(r"\x1b\[[0-9;]*m", "", render(problems, "abc", ANSI)) == render(problems, "abc")


def test_json_has_the_documented_keys_and_the_underlined_text() -> None:
    [data] = as_json([problem(2, 3, 7, hint="cure")])
    assert data == {
        "severity": "error",
        "code": "a-code",
        "message": "wrong",
        "hint": "cure",
        "file": "p.toml",
        "line": 2,
        "column": 3,
        "end_line": 2,
        "end_column": 7,
    }
    assert as_json([Problem("x", "y")])[0]["line"] is None


def test_github_commands_escape_what_would_end_them() -> None:
    found = Problem("c", "50% of\nit", Span("a,b:c.toml", 3, 2, 3, 5), "cure", "note")
    assert github([found]) == (
        "::notice title=c,file=a%2Cb%3Ac.toml,line=3,endLine=3,col=2,endColumn=4"
        "::50%25 of%0Ait (cure)"
    )


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 40), st.integers(0, 40))
def test_the_caret_line_fits_any_source(source: str, column: int, width: int) -> None:
    shown = frame(problem(1, column, column + width), [source.replace("\n", " ")])
    lines = shown.split("\n")
    assert len(lines) == 4
    assert re.fullmatch(r"  \| +\^+", lines[3])
