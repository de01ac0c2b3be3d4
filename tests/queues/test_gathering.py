"""Items cut out of bodies and gathered into new ones: nothing is decoded, and names stay."""

from __future__ import annotations

import pickle
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.wire.codec import decode, encode, take
from pipeline_runner.wire.repack import gather, in_pieces, name_of, pickle_of

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text()
    | st.binary()
    | st.sampled_from(["a", "b" * 300, b"c", b"d" * 300])  # again and again: pickled once
)
VALUES = st.lists(st.integers(), max_size=3) | st.dictionaries(st.text(max_size=3), SCALARS)


@given(st.lists(SCALARS, min_size=1, max_size=50), st.data())
def test_a_scalar_is_cut_out_of_those_it_travels_with(
    values: list[Any], data: st.DataObject
) -> None:
    body = encode([take(value) for value in values])
    index = data.draw(st.integers(0, len(values) - 1))
    found = pickle_of(body, len(values), index)
    assert found is not None
    assert (type(pickle.loads(found)), pickle.loads(found)) == (type(values[index]), values[index])
    if len(values) > 1:
        assert len(found) <= len(pickle.dumps(values[index], 5)) + 8


def test_a_scalar_is_cut_out_of_a_large_body_too() -> None:
    values = [complex(n, -n) for n in range(5_000)]
    found = pickle_of(pickle.dumps(values, 5), len(values), 4_321)
    assert found is not None
    assert pickle.loads(found) == complex(4_321, -4_321)


@given(st.lists(VALUES | SCALARS, max_size=20), VALUES, st.data())
def test_an_item_is_cut_out_of_those_that_stand_apart(
    values: list[Any], one: Any, data: st.DataObject
) -> None:
    values.insert(data.draw(st.integers(0, len(values))), one)
    body = encode([take(value) for value in values])
    cut = [pickle_of(memoryview(body), len(values), index) for index in range(len(values))]
    assert [pickle.loads(each) for each in cut if each] == values


@pytest.mark.parametrize(
    "values", [[(1, 2), "q", 3], [[1], 2], ["q", {"a": 1}], [range(3), 1], [Decimal(1), 1]]
)
def test_what_is_no_list_of_plain_scalars_is_kept_whole_with_what_picks_the_item(
    values: list[Any],
) -> None:
    body = pickle.dumps(values, 5)
    for index, value in enumerate(values):
        found = pickle_of(body, len(values), index)
        assert found is not None
        assert pickle.loads(found) == value


def test_what_a_stock_client_put_is_cut_out_of_its_list() -> None:
    found = pickle_of(pickle.dumps([{"a": 1}], 4), 1, 0)
    assert found is not None
    assert pickle.loads(found) == {"a": 1}


@pytest.mark.parametrize("body", [b"\x01", b"\x01\x05\x00\x00\x00", b"\x80\x05x", b"xxxx", b""])
def test_what_is_no_body_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(ValueError, match="a body of"):
        pickle_of(body, 3, 2)


@given(st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 2**20), VALUES), min_size=1))
def test_gathered_items_keep_their_names(items: list[tuple[int, int, Any]]) -> None:
    body = gather([((number, index), pickle.dumps(value, 5)) for number, index, value in items])
    assert decode(body) == [value for _number, _index, value in items]
    names = [name_of(memoryview(body), 99, place) for place in range(len(items))]
    assert names == [(number, index) for number, index, _value in items]
    again = gather([(name, pickle_of(body, len(items), i) or b"") for i, name in enumerate(names)])
    assert again == body


def test_an_item_that_was_never_moved_is_named_by_its_place() -> None:
    assert name_of(encode([take([1]), take([2])]), 7, 1) == (7, 1)
    assert name_of(encode([1, 2]), 7, 1) == (7, 1)


def test_many_or_large_items_are_gathered_in_pieces() -> None:
    small = [((1, n), b"x") for n in range(1200)]
    assert [len(piece) for piece in in_pieces(small)] == [512, 512, 176]
    large = [((1, n), b"x" * 600_000) for n in range(3)]
    assert [len(piece) for piece in in_pieces(large)] == [1, 1, 1]
    assert list(in_pieces([])) == []
