from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from pipeline_runner.escaping import encodable, escaped
from pipeline_runner.wire.control_messages import Ask, Report
from pipeline_runner.wire.framing import HEADER_SIZE, decode_to_head, encode_frame
from pipeline_runner.wire.messages import Advance, Cursor, Failure, Settle

TEXTS = st.text(st.characters(codec=None, exclude_categories=()))


@given(TEXTS)
@example("\x1b[2J\x9b1m\r\n\ud800\u202e\u2028\x00\x7f")
def test_escaped_text_can_be_encoded_and_moves_no_cursor(text: str) -> None:
    shown = escaped(text)
    assert shown.encode().decode() == shown
    assert not set(map(ord, shown)) & ({*range(0x20), *range(0x7F, 0xA0), 0x202E, 0x2028} - {9, 10})
    assert escaped(shown) == shown


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
@example("a\tb\nc  é 漢 👍")
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert escaped(text) == text
    assert encodable(text) == text


@given(TEXTS)
@example("\ud800")
def test_no_text_costs_the_message_that_it_is_in(text: str) -> None:
    mark = b"\xff\x00"
    for message, expected in [
        (
            Ask("peek", {text: [text, {"n": 1}]}),
            Ask("peek", {encodable(text): [encodable(text), {"n": 1}]}),
        ),
        (Report("died", {"why": text}), Report("died", {"why": encodable(text)})),
        (
            Settle(
                1, (), failed=(Failure(1, 2, text, text),), advance=Advance(0, Cursor(1, 2, mark))
            ),
            Settle(
                1,
                (),
                failed=(Failure(1, 2, encodable(text), encodable(text)),),
                advance=Advance(0, Cursor(1, 2, mark)),
            ),
        ),
    ]:
        assert decode_to_head(encode_frame(message)[HEADER_SIZE:]) == expected
