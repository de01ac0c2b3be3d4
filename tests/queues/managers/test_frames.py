from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.errors import ProtocolError
from pipeline_runner.queues.managers.frames import Frames, TooLarge, header

MOST = 50


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[a:b] for a, b in itertools.pairwise(edges)]


@given(st.lists(st.binary(max_size=80)), st.lists(st.integers(0, 10_000), max_size=8))
def test_frames_arrive_whole_however_the_stream_is_cut(
    payloads: list[bytes], places: list[int]
) -> None:
    frames = Frames(MOST)
    stream = b"".join(header(len(payload)) + payload for payload in payloads)
    found = [frame for part in cut(stream, places) for frame in frames.feed(part)]
    assert found == [p if len(p) <= MOST else TooLarge(len(p)) for p in payloads]


def test_a_too_large_frame_is_told_of_at_its_length_and_never_kept() -> None:
    frames = Frames(MOST)
    size = 2**40
    assert list(frames.feed(struct.pack("!iQ", -1, size))) == [TooLarge(size)]
    for _ in range(100):
        assert list(frames.feed(bytes(1000))) == []
    assert len(frames._buffer) == 0


def test_a_negative_length_is_refused() -> None:
    with pytest.raises(ProtocolError):
        list(Frames(MOST).feed(struct.pack("!i", -2) + bytes(20)))


def test_the_long_header_is_for_what_the_short_one_cannot_say() -> None:
    assert header(0x7FFFFFFF) == struct.pack("!i", 0x7FFFFFFF)
    assert header(0x80000000) == struct.pack("!iQ", -1, 0x80000000)
