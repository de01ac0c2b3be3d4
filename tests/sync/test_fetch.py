"""What is asked for: every byte that is not here, once, in small enough pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.sync.fetch import MOST_WANTS, PIECE, SMALL_PIECE, WINDOW, Fetch

SIZES = st.integers(1, 100) | st.integers(1, 5 * PIECE)
LACKING = st.lists(st.tuples(SIZES, st.floats(0, 0.99)), max_size=30)


def contents(lacking: list[tuple[int, float]]) -> list[tuple[str, int, int]]:
    return [(f"{n:064x}", size, int(size * here)) for n, (size, here) in enumerate(lacking)]


@given(LACKING, st.lists(st.floats(0.001, 2), min_size=1), st.integers(0, 10**6))
def test_every_byte_that_is_not_here_is_asked_for_once_and_in_order(
    lacking: list[tuple[int, float]], paces: list[float], first: int
) -> None:
    wanted = contents(lacking)
    fetch, now, due, numbers = Fetch(wanted, first), 0.0, [], []
    got = {content: here for content, _size, here in wanted}
    while not fetch.is_done:
        while (request := fetch.ask()) is not None:
            number, wants = request
            assert sum(size for _c, _o, size in wants) <= PIECE
            assert 0 < len(wants) <= MOST_WANTS
            numbers.append(number)
            due.append(request)
        assert 0 < len(due) <= WINDOW
        number, wants = due.pop(0)
        now += paces[number % len(paces)]
        data = b"".join(bytes([content[-1]]) * size for content, _offset, size in wants)
        pieces = fetch.answered(number, data, now)
        assert pieces is not None
        for content, offset, piece in pieces:
            assert offset == got[content]
            assert set(piece) == {int(content, 16) % 256}
            got[content] += len(piece)
    assert got == {content: size for content, size, _here in wanted}
    assert numbers == list(range(first, first + len(numbers)))


def largest_request(pause_s: float) -> int:
    """Return the size of the last of many requests whose answers come so far apart."""
    fetch = Fetch([("0" * 64, 200 * PIECE, 0)])
    size = 0
    for turn in range(40):
        request = fetch.ask()
        assert request is not None
        number, wants = request
        size = sum(piece for _c, _o, piece in wants)
        assert fetch.answered(number, b"x" * size, turn * pause_s) is not None
    return size


def test_pieces_are_large_on_a_quick_wire_and_small_on_a_slow_one() -> None:
    assert largest_request(0.01) == PIECE
    assert largest_request(0.3) == 4 * SMALL_PIECE
    assert largest_request(5.0) == SMALL_PIECE


def test_an_answer_that_is_not_due_or_not_whole_is_none() -> None:
    fetch = Fetch([("0" * 64, 10, 0)], first=3)
    assert fetch.answered(3, b"", 0.0) is None
    assert fetch.ask() == (3, ((bytes(32), 0, 10),))
    assert fetch.ask() is None
    assert fetch.answered(2, b"x" * 10, 0.0) is None
    assert fetch.answered(4, b"x" * 10, 0.0) is None
    assert fetch.answered(3, b"x" * 9, 0.0) is None
