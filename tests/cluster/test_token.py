"""Tokens: what they carry, that they are used once, and that they do not show themselves."""

from __future__ import annotations

import textwrap
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.cluster.identity import Identity
from pipeline_runner.cluster.keyring import FORMER_S, Keyring
from pipeline_runner.cluster.token import (
    MOST_TOKENS,
    VALID_S,
    Token,
    Tokens,
    open_gift,
    parse,
)
from pipeline_runner.errors import ExitCode, Refused, UsageError
from tests.cluster.kit import THUMBS

SECRET = bytes(range(16))
TOKEN = Token("thumbs", ("10.0.0.5", "fd00::5"), 50001, "ab" * 32, SECRET, 1_800_000_000)

tokens = st.builds(
    Token,
    st.from_regex(r"[a-z0-9]{1,60}", fullmatch=True),
    st.lists(st.ip_addresses().map(str), max_size=8).map(tuple),
    st.integers(1, 65535),
    st.binary(min_size=32, max_size=32).map(bytes.hex),
    st.binary(min_size=16, max_size=16),
    st.integers(0, 2**40),
)


@given(token=tokens)
def test_a_token_is_one_line_that_needs_no_quotes_in_a_shell(token: Token) -> None:
    text = token.text()
    assert parse(text) == token
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


@given(token=tokens, width=st.integers(20, 80))
def test_a_token_that_a_mail_broke_into_lines_is_still_one(token: Token, width: int) -> None:
    broken = "\r\n  ".join(textwrap.wrap(token.text(), width, break_on_hyphens=False))
    assert parse(f" {broken}\n") == token


@given(token=tokens, data=st.data())
def test_a_token_that_was_cut_or_altered_is_refused_and_not_repeated(
    token: Token, data: st.DataObject
) -> None:
    text = token.text()
    place = data.draw(st.integers(0, len(text) - 1))
    altered = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
    for wrong in (text[:place], altered, text + "AAAA", "\x00" + text):
        try:
            assert parse(wrong) == token  # the last character has bits that mean nothing
        except UsageError as error:
            told = "".join(traceback.format_exception(error)) + error.hint
            assert text[-20:] not in told
            assert text[20:40] not in told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "there is no token"),
        (" \n", "there is no token"),
        ("hello", "this is no token"),
        ("runner1-", "missing or altered"),
        ("runner1-é", "missing or altered"),
        ("x" * 10**6, "this is no token"),
    ],
)
def test_what_is_no_token_is_told_in_words(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse(text)


def test_a_token_hides_its_secret_but_not_its_name() -> None:
    assert "secret" not in repr(TOKEN)
    assert SECRET.hex() not in repr(TOKEN)
    assert len(TOKEN.id) == 8
    assert TOKEN.id not in SECRET


def test_a_token_is_good_for_the_key_once() -> None:
    head = Tokens(THUMBS)
    head.issue(SECRET, now=100)
    assert head.secret(TOKEN.id, 100) == SECRET
    assert open_gift(head.redeem(TOKEN.id, 101)) == THUMBS
    assert head.secret(TOKEN.id, 101) is None
    with pytest.raises(Refused, match="used, has expired") as caught:
        head.redeem(TOKEN.id, 101)
    assert caught.value.exit_code == ExitCode.REFUSED


def test_a_token_expires() -> None:
    head = Tokens(THUMBS)
    head.issue(SECRET, now=100)
    assert head.secret(TOKEN.id, 100 + VALID_S - 1) == SECRET
    assert head.secret(TOKEN.id, 100 + VALID_S) is None
    with pytest.raises(Refused):
        head.redeem(TOKEN.id, 100 + VALID_S)


def test_a_token_of_another_head_is_good_for_nothing() -> None:
    assert Tokens(THUMBS).secret(TOKEN.id, 0) is None


def test_a_head_gives_out_no_endless_number_of_tokens() -> None:
    head = Tokens(THUMBS)
    for number in range(MOST_TOKENS):
        head.issue(number.to_bytes(16, "big"), now=0)
    with pytest.raises(UsageError, match="tokens are out already"):
        head.issue(SECRET, now=1)
    head.issue(SECRET, now=VALID_S)
    assert head.secret(TOKEN.id, VALID_S) == SECRET


def test_a_gift_carries_the_longest_name_and_key_and_nothing_else_is_one() -> None:
    largest = Identity("a" * 200, b"k" * 512)
    head = Tokens(largest)
    head.issue(SECRET, now=0)
    gift = head.redeem(TOKEN.id, 0)
    assert len(gift) < 1000
    assert open_gift(gift) == largest
    with pytest.raises(Refused, match="no key"):
        open_gift(b"\x93 nonsense")


def test_a_new_key_counts_at_once_and_the_former_for_a_minute() -> None:
    new, newer = Identity("thumbs", b"a new key of it"), Identity("thumbs", b"a newer key")
    ring = Keyring(THUMBS)
    assert ring.accepted(0) == (THUMBS,)
    assert ring.rotate(new, 10) == 10 + FORMER_S
    assert ring.identity == new
    assert ring.accepted(10 + FORMER_S - 1) == (new, THUMBS)
    ring.rotate(newer, 30)
    assert ring.accepted(31) == (newer, THUMBS, new)
    assert ring.accepted(10 + FORMER_S) == (newer, new)
    assert ring.accepted(30 + FORMER_S) == (newer,)
    assert "key=" not in repr(ring.accepted(0))
