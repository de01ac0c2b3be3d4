from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.observe.printed import tame


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[Hcleared", "cleared"),
        ("\x1b]0;a window title\x07text", "text"),
        ("\x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b1mbold", "bold"),
        ("10%\r20%\r30%", "30%"),
        ("done\r\n", "done"),
        ("a\tb", "a       b"),
        ("bell\x07 and null\x00", "bell and null"),
        ("half an escape \x1b[3", "half an escape 3"),
        ("größe 大 🙂", "größe 大 🙂"),
    ],
)
def test_tame_keeps_the_words_and_drops_what_moves_the_cursor(raw: str, shown: str) -> None:
    assert tame(raw) == shown


@given(st.text())
def test_no_control_code_survives_tame(raw: str) -> None:
    tamed = tame(raw)
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in tamed)
    assert "\u2028" not in tamed
    assert tame(tamed) == tamed
