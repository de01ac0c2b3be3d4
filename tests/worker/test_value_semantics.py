"""An item is what was yielded: whatever is shared, changed or refilled afterwards."""

from __future__ import annotations

import copy
import pickle
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.wire.codec import (
    Apart,
    NoRoom,
    decode,
    encode,
    encode_into,
    is_apart,
    item_body,
    take,
)
from pipeline_runner.wire.messages import Granted
from pipeline_runner.worker.job import Out
from pipeline_runner.worker.loops.routing import (
    TOO_LARGE,
    UNPICKLABLE,
    UNROUTABLE,
    Router,
    UnsendableError,
    runs,
    size_of,
)
from pipeline_runner.worker.session.grants import Grant, InHand, UndecodableError
from pipeline_runner.worker.values import END, At, Tagged

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    st.text(),
    st.text(st.characters(categories=["Cs"]), max_size=2),
    st.binary(),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
        st.sets(st.integers(), max_size=4),
        st.builds(bytearray, st.binary()),
        st.builds(lambda value: [value, value], inner),  # shares a part with itself
    ),
    max_leaves=8,
)


class Word(str):
    """A subclass may have state that changes: it is no scalar."""

    __slots__ = ("mood",)
    mood: str


def spoil(value: Any) -> None:
    """Change whatever can be changed in a value."""
    if isinstance(value, (list, bytearray)):
        value[:] = b"" if isinstance(value, bytearray) else ["spoilt"]
    elif isinstance(value, dict):
        value.clear()
    elif isinstance(value, set):
        value.add("spoilt")
    elif isinstance(value, tuple):
        for part in value:
            spoil(part)


def opened(body: bytes, n: int) -> Any:
    return InHand().items(Grant(Granted(1, 1, "a->b", 1, 0, n, n, len(body)), body))


@given(st.lists(VALUES, min_size=1, max_size=6), st.data())
def test_what_arrives_is_what_a_deep_copy_at_the_yield_would_have_been(
    pool: list[Any], data: st.DataObject
) -> None:
    """Any values, any sharing between them, any change between yields, any batching."""
    router = Router([Out("a->b", ())])
    taken, expected, bodies = [], [], []
    for _step in range(data.draw(st.integers(1, 8), label="yields")):
        value = data.draw(st.sampled_from(range(len(pool))), label="which")
        shape = data.draw(st.sampled_from(["it", "pair", "with the first"]), label="shape")
        given_out = {
            "it": pool[value],
            "pair": (pool[value], pool[value]),
            "with the first": [pool[0], pool[value]],
        }[shape]
        expected.append(copy.deepcopy(given_out))
        taken.append(router.take(given_out))
        if data.draw(st.booleans(), label="changed afterwards"):
            spoil(given_out)
        if data.draw(st.booleans(), label="sent"):
            bodies.append(taken)
            taken = []
    if taken:
        bodies.append(taken)
    arrived: list[Any] = []
    for part in bodies:
        for body, output in zip(router.encode(part).data, router.encode(part).outputs, strict=True):
            items = opened(bytes(body), output.n)
            for item in items.span(0, output.n):
                arrived.append(copy.deepcopy(item))
                spoil(item)  # a consumer may do that: no other item hears of it
            again = [items.item(i) for i in range(output.n)]
            assert again == arrived[-output.n :]
    assert arrived == expected
    assert [type(value) for value in arrived] == [type(value) for value in expected]


@given(st.lists(VALUES, min_size=1, max_size=12))
def test_a_body_in_shared_memory_is_the_body_that_is_sent(values: list[Any]) -> None:
    taken = [take(value) for value in values]
    body = encode(taken)
    room = memoryview(bytearray(len(body) + 10))
    assert bytes(room[: encode_into(taken, room)]) == body
    with pytest.raises(NoRoom):
        encode_into(taken, memoryview(bytearray(len(body) - 1)))
    assert decode(body) == values


@given(st.lists(SCALARS, min_size=1))
def test_scalars_alone_travel_together(values: list[Any]) -> None:
    body = encode([take(value) for value in values])
    assert not is_apart(body)
    assert decode(body) == values
    with pytest.raises(ValueError, match="together"):
        item_body(body, 0)


@given(st.lists(VALUES, min_size=1, max_size=5), st.data())
def test_one_item_is_cut_from_a_body_without_decoding_it(
    values: list[Any], data: st.DataObject
) -> None:
    body = encode([take(["a list is no scalar"]), *map(take, values)])
    index = data.draw(st.integers(0, len(values)))
    cut = item_body(body, index)
    assert decode(cut) == [(["a list is no scalar"], *values)[index]]
    assert len(cut) <= len(Apart(body).pickle(index)) + 13


def test_a_subclass_of_a_scalar_is_taken_as_it_is_now() -> None:
    word = Word("hello")
    word.mood = "glad"
    taken = take(word)
    word.mood = "spoilt"
    (arrived,) = decode(encode([taken]))
    assert (type(arrived), arrived.mood) == (Word, "glad")


class Bomb:
    """Pickles well, and raises when it is decoded."""

    def __reduce__(self) -> Any:
        return (_explode, ())


def _explode() -> None:
    raise SystemExit("boom")


def test_an_item_that_cannot_be_decoded_leaves_its_neighbours_alone() -> None:
    body = encode([take(value) for value in ([1], Bomb(), [3])])
    items = opened(body, 3)
    assert items.item(0) == [1]
    with pytest.raises(UndecodableError) as fault:
        items.item(1)
    assert isinstance(fault.value.__cause__, SystemExit)
    assert list(items.span(2, 3)) == [[3]]
    assert list(opened(body, 3).span(0, 1)) == [[1]]  # the second was never looked at


@given(st.binary(max_size=64))
def test_damage_is_a_failure_of_the_item_and_never_of_the_worker(rest: bytes) -> None:
    items = opened(b"\x01" + rest, 1)
    with pytest.raises(UndecodableError):
        items.item(0)


@given(
    st.lists(st.one_of(st.binary(max_size=80), st.lists(st.integers(), max_size=9)), max_size=30),
    st.integers(1, 200),
)
def test_runs_are_all_of_it_in_order_and_none_with_company_is_too_large(
    values: list[Any], most: int
) -> None:
    taken = [take(value) for value in values]
    parts = list(runs(taken, most))
    assert [item for part in parts for item in part] == taken
    for part in parts:
        assert len(part) <= 1 or sum(map(size_of, part)) <= most
    for part, behind in pairwise(parts):  # and none is smaller than need be
        assert sum(map(size_of, part)) + size_of(behind[0]) > most


@given(
    st.lists(st.one_of(st.integers(), st.text(max_size=60), st.lists(st.integers(), max_size=9))),
    st.integers(100, 400),
)
def test_no_body_of_several_items_is_over_the_bound(values: list[Any], most: int) -> None:
    router = Router([Out("a->b", ())], most)
    arrived: list[Any] = []
    fitting = [value for value in values if len(pickle.dumps(value, 5)) <= most]
    bodies = router.encode([router.take(value) for value in fitting])
    for data, output in zip(bodies.data, bodies.outputs, strict=True):
        assert len(data) <= most or output.n == 1
        arrived += decode(data)
    assert arrived == fitting


@pytest.mark.parametrize("value", [b"x" * 1001, "x" * 1001, ["x" * 1001], Tagged(b"x" * 1001)])
def test_an_item_over_the_bound_names_its_size_the_bound_and_the_key(value: Any) -> None:
    router = Router([Out("a->b", ())], 1000)
    with pytest.raises(UnsendableError) as fault:
        router.take(value)
    assert fault.value.cause == TOO_LARGE
    text = str(fault.value.__cause__)
    assert "1,000" in text
    assert "max_item" in text
    assert router.encode([router.take(b"x" * 1000)]).outputs[0].n == 1


def test_why_an_output_cannot_travel_is_told_apart() -> None:
    router = Router([Out("a->b", ("even",)), Out("a->c", ("odd",))])
    with pytest.raises(UnsendableError) as nowhere:
        router.take(5)
    with pytest.raises(UnsendableError) as locked:
        router.take(Tagged(lambda: None, "odd"))
    assert (nowhere.value.cause, locked.value.cause) == (UNROUTABLE, UNPICKLABLE)


def test_tagged_values_are_taken_too_and_arrive_without_their_tags() -> None:
    router = Router([Out("a->b", ("even",)), Out("a->c", ())])
    row = {"n": 0}
    taken = []
    for n in range(3):
        row["n"] = n
        taken.append(router.take(Tagged(row, "even") if n % 2 == 0 else row))
    bodies = router.encode(taken)
    found = {
        output.edges: decode(data) for output, data in zip(bodies.outputs, bodies.data, strict=True)
    }
    assert found == {("a->b", "a->c"): [{"n": 0}, {"n": 2}], ("a->c",): [{"n": 1}]}


def test_end_is_the_one_end_wherever_it_arrives() -> None:
    first, second = decode(encode([take(END), take([END, 1])]))
    assert first is END
    assert second[0] is END


class _Marked(Tagged):
    pass


@pytest.mark.parametrize("kind", [Tagged, _Marked])
def test_an_output_is_untagged_when_it_is_sent_and_what_lies_inside_it_keeps_its_tags(
    kind: type[Tagged],
) -> None:
    router = Router([Out("a", ("odd",))])
    bodies = router.encode([router.take(kind([kind(3, "even")], "odd")) for _ in range(2)])
    for ((inner,),) in zip(decode(bodies.data[0]), strict=True):
        assert (type(inner), inner.value, inner.tags) == (kind, 3, {"even"})


@pytest.mark.parametrize("value", [At(1, 2), Tagged(At(1, 2), "odd")])
def test_a_value_with_a_cursor_is_refused_where_nobody_keeps_cursors(value: Any) -> None:
    router = Router([Out("a", ())])
    router.take([1])
    with pytest.raises(TypeError, match="a source yields that has a parameter `cursor`"):
        router.take(value)


class _Liar:
    """Says that it is something else, as proxies and stand-ins do."""

    @property
    def __class__(self) -> type:  # type: ignore[override]
        return Tagged

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return _Liar, ()


def test_what_an_object_says_of_its_class_is_not_believed() -> None:
    router = Router([Out("a", ())])
    taken = [router.take([1]), router.take(_Liar())]
    assert [type(item) for item in decode(encode(taken))] == [list, _Liar]
