from __future__ import annotations

import operator
import pickle
import pickletools
import re
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline_runner.errors import ProtocolError
from pipeline_runner.queues.managers.replies import item_of, raised, refused, returned
from pipeline_runner.queues.managers.requests import Request, read_request
from pipeline_runner.wire.codec import encode, take

FRAME = 64 * 1024  # where a pickler begins a new frame
NAMES = st.sampled_from(["put", "item", "block", "timeout", "a->b", "x", ""])
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), NAMES, st.binary()
)
ITEMS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(NAMES, inner, max_size=3),
        st.lists(inner, max_size=5).map(tuple),
        inner.map(lambda each: [each, each]),
    ),
    max_leaves=12,
)
KEYWORDS = st.permutations(["item", "block", "timeout"])
TIMEOUTS = st.one_of(st.none(), st.integers(0, 2**40), st.floats(0, 1e9))
ENDS: st.SearchStrategy[tuple[tuple[Any, ...], dict[str, Any]]] = st.one_of(
    st.just(((), {})),
    st.tuples(st.tuples(st.booleans()), st.just({})),
    st.tuples(st.tuples(st.booleans(), TIMEOUTS), st.just({})),
    st.tuples(st.just(()), st.fixed_dictionaries({"timeout": TIMEOUTS})),
    st.tuples(st.just(()), st.fixed_dictionaries({"block": st.booleans(), "timeout": TIMEOUTS})),
)
PROTOCOLS = st.sampled_from([4, 5])


class Thing:
    """An item of a class that no server has to know."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Thing) and other.name == self.name

    __hash__ = None  # type: ignore[assignment]


def asked(item: Any, end: tuple[tuple[Any, ...], dict[str, Any]], protocol: int = 4) -> bytes:
    """A put as a client's proxy pickles it."""
    arguments, keywords = end
    return pickle.dumps(("a->b", "put", (item, *arguments), keywords), protocol)


def replied(body: bytes, index: int) -> Any:
    """What the client's unpickler makes of the reply; the one written in Python agrees."""
    reply = b"".join(item_of(body, index))
    value = pickle.loads(reply)
    assert pickle._loads(reply) == value  # type: ignore[attr-defined]
    return value


@given(ITEMS, ENDS, PROTOCOLS)
@example(["put", "block", {"timeout": "a->b"}], ((), {"block": False}), 4)
@example(0x4B00004B, ((False,), {}), 4)
def test_a_put_becomes_a_body_of_its_one_item(
    item: Any, end: tuple[tuple[Any, ...], dict[str, Any]], protocol: int
) -> None:
    request = read_request(asked(item, end, protocol))
    assert (request.ident, request.method) == ("a->b", "put")
    assert (request.arguments, request.keywords) == end
    assert request.body is not None
    assert pickle.loads(request.body) == [item]
    assert replied(request.body, 0) == ("#RETURN", item)


@given(ITEMS, TIMEOUTS, KEYWORDS, st.integers(1, 3), st.sampled_from(["a->b", "item", "block"]))
@example("block", 5, ["item", "timeout", "block"], 2, "timeout")
@example({"block": False}, 5, ["item", "timeout", "block"], 1, "a->b")
@example(("timeout", 5), None, ["block", "item", "timeout"], 3, "item")
def test_a_put_of_an_item_by_keyword_is_the_same_body(
    item: Any, timeout: float | None, order: list[str], count: int, ident: str
) -> None:
    given = {"item": item, "block": True, "timeout": timeout}
    keywords = {name: given[name] for name in order[:count]}
    if "item" not in keywords:
        keywords["item"] = item
    for protocol in (4, 5):
        request = read_request(pickle.dumps((ident, "put", (), keywords), protocol))
        assert (request.ident, request.method, request.arguments) == (ident, "put", ())
        assert request.keywords == {key: keywords[key] for key in keywords if key != "item"}
        assert request.body is not None
        assert pickle.loads(request.body) == [item]
        assert replied(request.body, 0) == ("#RETURN", item)


@pytest.mark.parametrize(
    "end",
    [
        ((), {}),
        ((True, 1.5), {}),
        ((), {"block": False}),
        ((), {"item": ...}),
        ((), {"block": False, "item": ..., "timeout": 2.5}),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [str, bytes, list])
def test_an_item_around_the_size_of_a_frame_stays_whole(
    kind: type, end: tuple[tuple[Any, ...], dict[str, Any]]
) -> None:
    for size in range(FRAME - 90, FRAME + 20):
        text = "x" * size
        item = {str: text, bytes: text.encode(), list: [text, text]}[kind]
        keywords = {key: item if value is ... else value for key, value in end[1].items()}
        arguments = end[0] if "item" in keywords else (item, *end[0])
        request = read_request(pickle.dumps(("a->b", "put", arguments, keywords), 4))
        assert request.body is not None
        assert pickle.loads(request.body) == [item]
        assert request.keywords == {key: each for key, each in end[1].items() if key != "item"}


def test_an_item_may_refer_to_itself_and_be_of_any_class() -> None:
    item: list[Any] = [Thing("a"), "put"]
    item += [item[0], item]
    body = read_request(asked(item, ((), {}))).body
    assert body is not None
    (got,) = pickle.loads(body)
    assert got[3] is got
    assert got[0] == Thing("a")
    assert got[0] is got[2]


@given(st.lists(ITEMS, min_size=1, max_size=6), st.data())
def test_a_reply_picks_one_item_of_any_body(items: list[Any], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(items) - 1))
    body = encode([take(item) for item in items])
    assert replied(body, index) == ("#RETURN", items[index])


def test_a_reply_names_nothing_that_an_older_python_lacks() -> None:
    reply = b"".join(item_of(encode([1, 2]), 1))
    named = [arg for op, arg, _at in pickletools.genops(reply) if op.name == "GLOBAL"]
    assert named == ["_operator getitem"]
    assert operator.getitem.__module__ == "_operator"


@given(
    st.one_of(st.none(), NAMES),
    st.sampled_from(["get", "create", "decref", "qsize"]),
    st.lists(st.one_of(st.booleans(), st.none(), NAMES, st.integers(-(2**60), 2**60)), max_size=5),
    st.dictionaries(NAMES, st.one_of(st.booleans(), st.floats(allow_nan=False)), max_size=3),
    PROTOCOLS,
)
def test_a_request_of_plain_values_is_read_as_it_was_written(
    ident: str | None, method: str, arguments: list[Any], keywords: dict[str, Any], protocol: int
) -> None:
    data = pickle.dumps((ident, method, tuple(arguments), keywords), protocol)
    assert read_request(data) == Request(ident, method, tuple(arguments), keywords)


def is_read_or_refused(data: bytes) -> bool:
    try:
        return isinstance(read_request(data), Request)
    except (ProtocolError, TypeError):
        return True


@given(st.binary(max_size=200))
def test_no_bytes_do_worse_than_be_refused(data: bytes) -> None:
    for each in (data, b"\x80\x04(" + data, asked(1, ((), {}))[:-7] + data):
        assert is_read_or_refused(each)


@given(ITEMS, ENDS, st.data())
def test_a_cut_or_changed_request_does_no_worse_than_be_refused(
    item: Any, end: tuple[tuple[Any, ...], dict[str, Any]], data: st.DataObject
) -> None:
    sound = asked(item, end)
    place = data.draw(st.integers(0, len(sound) - 1))
    changed = bytearray(sound)
    changed[place] = data.draw(st.integers(0, 255))
    for each in (sound[:place], bytes(changed)):
        assert is_read_or_refused(each)


@pytest.mark.parametrize("item", [(), ((), {}), ((), 1), ((), {"item": 1}), ({"block": 1},)])
@pytest.mark.parametrize("end", [((True,), {}), ((), {"block": True}), ((), {"timeout": 1})])
def test_an_item_that_looks_like_arguments_is_an_item(
    item: Any, end: tuple[tuple[Any, ...], dict[str, Any]]
) -> None:
    request = read_request(asked(item, end))
    assert (request.arguments, request.keywords) == end
    assert request.body is not None
    assert pickle.loads(request.body) == [item]


@pytest.mark.parametrize("keywords", [{"itme": 1}, {"item": 1, "itme": 2}, {"itme": 1, "item": 2}])
def test_a_keyword_that_put_does_not_have_is_refused(keywords: dict[str, Any]) -> None:
    for arguments in ((), (3,)):
        with pytest.raises(TypeError, match=r"itme|multiple values"):
            read_request(pickle.dumps(("a", "put", arguments, keywords), 4))


def test_a_value_may_be_memorized_twice() -> None:
    sound = pickle.dumps(("a", "put", ("x",), {"block": True}), 4)
    for place in (place for place, byte in enumerate(sound) if byte == pickle.MEMOIZE[0]):
        twice = sound[:place] + pickle.MEMOIZE + sound[place:]
        assert pickle.loads(twice) == pickle.loads(sound)
        try:
            request = read_request(twice)
        except ProtocolError:
            continue
        assert (request.keywords, request.body and pickle.loads(request.body)) == (
            {"block": True},
            ["x"],
        )


def test_what_says_how_long_to_wait_is_a_plain_value_or_refused() -> None:
    for arguments, keywords in [((1, [2]), {}), ((1,), {"block": {}}), ((1, True, (1,)), {})]:
        with pytest.raises(ProtocolError, match="block or timeout is no plain value") as refusal:
            read_request(pickle.dumps(("a", "put", arguments, keywords), 4))
        assert refusal.value.hint == "None, True, False, a number, or a text"


BOMB = b"\x80\x04\x8e\xff\xff\xff\x7f\x00\x00\x00\x00."  # two gigabytes of bytes, says its length


class Trap:
    def __reduce__(self) -> Any:
        return pytest.fail, ("the server unpickled what a client sent",)


@pytest.mark.parametrize(
    "data",
    [
        BOMB,
        b"\x80\x04(N\x8c\x06create\x94" + BOMB[2:],
        b"\x80\x04(\x8c\x01a\x94\x8c\x03get\x94" + BOMB[2:],
        pickle.dumps((None, "create", (Trap(),), {}), 4),
        pickle.dumps(("a", "get", (Trap(),), {}), 4),
        pickle.dumps(("a", "get", ("x" * 5000,), {}), 4),
        pickle.dumps(("a", "put", (1, [2]), {}), 4),
        pickle.dumps(("a", "get", (), {("block",): 1}), 4),
        pickle.dumps(("a", "get", [1], {}), 4),
        pickle.dumps((("a",), "get", (), {}), 4),
        pickle.dumps(("a", "put", (1,), {}), 2),
        b"\x80\x06" + pickle.dumps(("a", "put", (1,), {}), 4)[2:],
        pickle.dumps([1, 2, 3], 4),
    ],
)
def test_what_is_no_request_is_refused_and_never_unpickled(data: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError):
            read_request(data)
        assert tracemalloc.get_traced_memory()[1] < 1024**2
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("arguments", "keywords", "words"),
    [
        ((), {}, "missing 1 required positional argument: 'item'"),
        ((), {"block": False}, "missing 1 required positional argument: 'item'"),
        ((1,), {"item": 1}, "multiple values for argument 'item'"),
        ((1, True, 2, 3), {}, "put() takes its item, block and timeout"),
    ],
)
def test_a_put_that_python_would_refuse_is_refused_in_its_words(
    arguments: tuple[Any, ...], keywords: dict[str, Any], words: str
) -> None:
    with pytest.raises(TypeError, match=re.escape(words)):
        read_request(pickle.dumps(("a", "put", arguments, keywords), 4))


def test_an_item_that_harms_whoever_unpickles_it_passes_unopened() -> None:
    body = read_request(asked(Trap(), ((True, 2), {}))).body
    assert body is not None
    assert b"the server unpickled" in body


def test_a_put_that_waits_is_refused_where_its_item_is_too_long_to_walk() -> None:
    item = list(range(150_000))
    with pytest.raises(ProtocolError, match="opcodes") as refusal:
        read_request(asked(item, ((True,), {})))
    assert "put_nowait" in refusal.value.hint
    assert read_request(asked(item, ((), {}))).body is not None


def test_replies_are_what_a_proxy_reads() -> None:
    assert pickle.loads(returned((1, ("a",)))) == ("#RETURN", (1, ("a",)))
    assert pickle.loads(refused("no")) == ("#TRACEBACK", "no")
    kind, error = pickle.loads(raised(ValueError("bad")))
    assert (kind, type(error), error.args) == ("#ERROR", ValueError, ("bad",))
