from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from pipeline_runner.observe.columns import Column, fit, lay_out

NAMES = (Column("STAGE", "left", width=6), Column("QUEUE", width=5), Column("P50", drop=2))


def plain(lines: list[Text]) -> list[str]:
    return [line.plain for line in lines]


def test_columns_line_up_to_the_side_they_ask_for() -> None:
    assert plain(lay_out(NAMES, [["list", "12", "5ms"], ["resize", "8.1k", "46ms"]], 40)) == [
        "STAGE  QUEUE  P50",
        "list      12  5ms",
        "resize  8.1k 46ms",
    ]


def test_the_column_that_may_go_first_goes_when_the_line_is_too_narrow() -> None:
    assert plain(lay_out(NAMES, [["list", "12", "5ms"]], 14)) == ["STAGE  QUEUE", "list      12"]


def test_the_first_column_is_cut_when_no_other_may_go() -> None:
    lines = plain(lay_out(NAMES, [["a-very-long-name", "12", "5ms"]], 14))
    assert lines == ["STAGE    QUEUE", "a-very-…    12"]


def test_a_column_that_may_be_cut_is_cut_before_others_are_dropped() -> None:
    columns = (Column("ID"), Column("WHEN", drop=1), Column("ERROR", "left", cut=6))
    lines = plain(lay_out(columns, [["17", "noon", "ValueError: bad"]], 16))
    assert lines == ["ID WHEN ERROR", "17 noon ValueEr…"]


def test_wide_characters_count_as_two_cells() -> None:
    lines = lay_out(NAMES, [["大大", "12", "5ms"], ["list", "12", "5ms"]], 40)
    assert lines[1].cell_len == lines[2].cell_len


@given(
    rows=st.lists(st.tuples(st.text(max_size=30), st.text(max_size=9), st.text(max_size=9))),
    width=st.integers(16, 120),
)
def test_no_line_is_wider_than_asked(rows: list[tuple[str, str, str]], width: int) -> None:
    columns = (Column("A", "left"), Column("B", drop=1), Column("C", drop=2))
    for line in lay_out(columns, rows, width):
        assert line.cell_len <= width


def test_fit_says_that_something_is_missing() -> None:
    assert fit(Text("0123456789"), 5).plain == "0123…"
    assert fit(Text("01234"), 5).plain == "01234"
