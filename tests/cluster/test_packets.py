"""Packets: what a key holder reads, and what nobody else can make it read."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from pipeline_runner.cluster.packets import (
    LARGEST,
    SPEAKS,
    Announce,
    Ask,
    Foreign,
    Forged,
    Nak,
    Offer,
    Opened,
    Packet,
    Seal,
    decode,
    encode,
    words,
)
from pipeline_runner.wire.messages import PROTOCOL
from tests.cluster.kit import OFFER, OTHER, THUMBS, seal

if TYPE_CHECKING:
    from collections.abc import Callable

SEALS = {THUMBS.tag: seal()}
NONCE = bytes(range(16))
ASK = Ask("thumbs", NONCE, SPEAKS, "1.2.3")
EACH = [ASK, OFFER, Announce(OFFER.head_id, "thumbs", 1.5), Nak("it is ending", NONCE)]

names = st.from_regex(r"[a-z0-9-]{0,200}", fullmatch=True)
said = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=64)
ids = st.binary(min_size=8, max_size=8).map(bytes.hex)
nonces = st.binary(min_size=16, max_size=16)
ranges = st.tuples(st.integers(0, 2**31), st.integers(0, 2**31))
packets = st.one_of(
    st.builds(Ask, names, nonces, ranges, said),
    st.builds(
        Offer,
        ids,
        names,
        st.integers(1, 65535),
        st.binary(min_size=32, max_size=32),
        said,
        said,
        ranges,
        st.integers(0, 2**63),
        said,
        nonces,
    ),
    st.builds(Announce, ids, names, st.floats(allow_nan=False)),
    st.builds(Nak, said, nonces),
)


@given(packet=packets)
def test_what_one_key_holder_writes_another_reads(packet: Packet) -> None:
    assert decode(encode(packet, seal()), SEALS) == Opened(packet, seal())


@given(ask=packets.filter(lambda packet: isinstance(packet, Ask)), packet=packets)
def test_no_packet_is_larger_than_an_ask(ask: Packet, packet: Packet) -> None:
    assert len(encode(packet, seal())) <= len(encode(ask, seal())) == LARGEST


@given(packet=packets)
def test_a_stranger_s_packet_is_nothing(packet: Packet) -> None:
    assert decode(encode(packet, seal(OTHER)), SEALS) is None


@given(packet=packets, key=st.binary(min_size=1, max_size=64))
def test_our_tag_with_another_s_signature_is_forged(packet: Packet, key: bytes) -> None:
    assert decode(encode(packet, Seal(THUMBS.tag, key)), SEALS) == Forged()


@pytest.mark.parametrize("packet", EACH, ids=lambda packet: type(packet).__name__)
def test_no_bit_of_a_packet_can_be_changed(
    packet: Packet, record_property: Callable[[str, object], None]
) -> None:
    data = encode(packet, seal())
    record_property("bits changed", len(data) * 8)
    for place in range(len(data) * 8):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        assert decode(bytes(changed), SEALS) in (None, Forged())


@pytest.mark.parametrize("packet", EACH, ids=lambda packet: type(packet).__name__)
def test_no_packet_can_be_cut_or_made_longer(
    packet: Packet, record_property: Callable[[str, object], None]
) -> None:
    data = encode(packet, seal())
    record_property("lengths", len(data) + 3)
    for size in range(len(data)):
        assert decode(data[:size], SEALS) in (None, Forged())
    for more in (1, LARGEST, 65507):
        assert decode(data + bytes(more), SEALS) in (None, Forged())


@given(data=st.binary(max_size=1500), prefix=st.sampled_from([b"", b"PRUN", b"PRUN\1\1"]))
def test_noise_is_nothing(data: bytes, prefix: bytes) -> None:
    assert decode(prefix + data, SEALS) is None
    assert decode((prefix[:6].ljust(6, b"\1") + THUMBS.tag + data)[:LARGEST], SEALS) in (
        None,
        Forged(),
    )


@given(version=st.integers(0, 255), kind=st.integers(0, 255), content=st.binary(max_size=500))
def test_what_a_key_holder_of_another_version_writes_is_known_for_that(
    version: int, kind: int, content: bytes
) -> None:
    signed = b"PRUN" + bytes((version, kind)) + THUMBS.tag + content
    found = decode(signed + hmac.digest(THUMBS.beacon_key, signed, "sha256"), SEALS)
    assert isinstance(found, Opened) or found == Foreign(version, kind, seal())


@pytest.mark.parametrize(
    "packet",
    [
        structs.replace(OFFER, port=0),
        structs.replace(OFFER, port=65536),
        structs.replace(OFFER, digest=b"short"),
        structs.replace(OFFER, head_id="../../etc"),
        structs.replace(OFFER, name="thumbs/../other"),
        structs.replace(OFFER, machine="\x1b[2Jdesk"),
        structs.replace(ASK, nonce=bytes(17)),
        Nak("\x1b]0;title\x07", NONCE),
    ],
)
def test_what_would_be_shown_or_connected_to_is_checked_even_from_a_key_holder(
    packet: Packet,
) -> None:
    assert decode(encode(packet, seal()), SEALS) == Foreign(1, packet.TYPE, seal())


def test_a_packet_that_has_no_room_is_the_writer_s_fault() -> None:
    with pytest.raises(ValueError, match=r"Nak of \d+ bytes, at most"):
        encode(Nak("x" * LARGEST), seal())


def test_the_header_stays_as_it_is_for_ever() -> None:
    data = encode(ASK, seal())
    assert data[:14] == b"PRUN\x01\x01" + THUMBS.tag
    assert data[-32:] == hmac.digest(THUMBS.beacon_key, data[:-32], "sha256")
    assert data[14:16] == b"\x00\x23"
    assert data[16:51] == b"\x94\xa6thumbs\xc4\x10" + NONCE + b"\x92\x01\x01\xa51.2.3"
    assert data[51:-32] == bytes(LARGEST - 83)


def test_words_of_this_machine_fit_into_a_packet() -> None:
    assert words("Döner\n" + "x" * 90) == "D?ner?" + "x" * 58


def test_the_key_shows_in_no_seal() -> None:
    assert repr(seal()) == f"Seal(tag={THUMBS.tag!r})"


def test_what_is_offered_is_what_is_spoken() -> None:
    assert SPEAKS[0] <= PROTOCOL <= SPEAKS[1]
