"""A stock client's ``put``, read from its pickle without unpickling it.

Only the frame around the item is read: the item's own opcodes go, as they came, into a body that
decodes to ``[item]`` like any other body.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline_runner.errors import ProtocolError
from pipeline_runner.queues.stock import plain
from pipeline_runner.queues.stock.opcodes import skim

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_runner.queues.stock.opcodes import Op

# How a request with just one positional argument ends; the pickler may start a frame between.
_ONE_ARGUMENT = (b"\x85\x94}\x94t\x94.", b"\x85\x94\x95\x05\0\0\0\0\0\0\0}\x94t\x94.")
# How one begins with just the keyword ``item``, and how it ends.
_ONE_KEYWORD = b")}\x94\x8c\x04item\x94"
_ONE_KEYWORD_END = b"st\x94."
_OTHERS = ("block", "timeout")
_END = [plain.TUPLE, plain.STOP]


@dataclass(frozen=True, slots=True)
class Opening:
    """How a request begins: its name and its method, where they stand and where they end."""

    ident: str
    method: str
    ident_at: int
    method_at: int
    end: int


@dataclass(frozen=True, slots=True)
class Put:
    """What is put, as a body of one item; and how. Neither holds the item."""

    body: bytes
    arguments: tuple[Any, ...] = ()
    keywords: dict[str, Any] = field(default_factory=dict)


def read_put(data: bytes, opening: Opening) -> Put:
    """Return what ``data`` puts. Raises ProtocolError, or TypeError where Python would."""
    before = [data[opening.ident_at : opening.method_at], data[opening.method_at : opening.end]]
    at = opening.end
    for end in _ONE_ARGUMENT:
        if data.endswith(end) and len(data) - len(end) > at:
            return Put(_body(data, before, at, len(data) - len(end)))
    if data.startswith(_ONE_KEYWORD, at) and data.endswith(_ONE_KEYWORD_END):
        before += [data[at + 1 : at + 3], data[at + 3 : at + len(_ONE_KEYWORD)]]
        item_end = len(data) - len(_ONE_KEYWORD_END)
        return Put(_body(data, before, at + len(_ONE_KEYWORD), item_end))
    memo: list[Any] = [opening.ident, opening.method]
    ops = list(_without_frames(data, at, memo))
    if ops[0].code == plain.EMPTY_TUPLE:
        return _by_keyword(data, opening, before, ops, memo)
    return _by_place(data, opening, before, ops, memo)


def _without_frames(data: bytes, at: int, memo: list[Any]) -> Iterator[Op]:
    """Yield the opcodes that push or put together; what they memorize goes to ``memo``."""
    previous: Op | None = None
    for op in skim(data, at):
        if op.code == plain.MEMOIZE:
            memo.append(previous)
        elif op.code != plain.FRAME:
            yield op
            previous = op


def _by_place(
    data: bytes, opening: Opening, before: list[bytes], ops: list[Op], memo: list[Any]
) -> Put:
    """Read ``put(item, block, timeout)``, of which the last two may be keywords."""
    # The keywords' dict is the last one: their values are flags and numbers.
    place = max((i for i, op in enumerate(ops) if op.code == plain.EMPTY_DICT), default=0)
    pack = ops[place - 1] if place else ops[0]
    count = plain.TUPLES.get(pack.code, 0)
    if not count:
        raise TypeError(f"{opening.method}() takes its item, block and timeout")
    first = place - count  # the first argument after the item, or what makes the tuple
    if first < 1:
        raise ProtocolError("a put that is put together in an unusual way")
    arguments = tuple(plain.scalar(data, op) for op in ops[first : place - 1])
    pairs = [op for op in ops[place + 1 :] if op.code not in plain.PUT_TOGETHER]
    if len(pairs) % 2:
        raise ProtocolError("a put with unusual keywords")
    keywords = {
        _keyword(data, key, memo): plain.scalar(data, value)
        for key, value in zip(pairs[::2], pairs[1::2], strict=True)
    }
    if "item" in keywords:
        raise TypeError(f"{opening.method}() got multiple values for argument 'item'")
    return Put(_body(data, before, opening.end, ops[first].at), arguments, keywords)


def _by_keyword(
    data: bytes, opening: Opening, before: list[bytes], ops: list[Op], memo: list[Any]
) -> Put:
    """Read ``put(item=..., block=..., timeout=...)``, in any order."""
    if ops[1].code != plain.EMPTY_DICT or [op.code for op in ops[-2:]] != _END:
        raise ProtocolError("a put with unusual keywords")
    before.append(data[ops[1].at : _after(data, ops[1])])
    keywords: dict[str, Any] = {}
    first = 3 if ops[2].code == plain.MARK else 2
    while ops[first].code not in plain.PUT_TOGETHER:
        key = _keyword(data, ops[first], memo)
        before.append(data[ops[first].at : _after(data, ops[first])])
        first += 1
        if key == "item":
            break
        keywords[key] = plain.scalar(data, ops[first])
        before.append(data[ops[first].at : _after(data, ops[first])])
        first += 1
    else:
        raise TypeError(f"{opening.method}() missing 1 required positional argument: 'item'")
    # From behind, for the item may be long and deep: an item is one value, so that nothing of it
    # can look like a keyword and its own.
    last = len(ops) - 3  # what fills the dict; a tuple and the end follow
    while last - 2 > first and (found := _pair(data, ops[last - 2], ops[last - 1], memo)):
        keywords.update([found])
        last -= 2
    return Put(_body(data, before, _after(data, ops[first - 1]), ops[last].at), (), keywords)


def _pair(data: bytes, key: Op, value: Op, memo: list[Any]) -> tuple[str, Any] | None:
    """Return a keyword and its value, or None where these two opcodes are something else."""
    try:
        name = _keyword(data, key, memo)
        return (name, plain.scalar(data, value)) if name in _OTHERS else None
    except ProtocolError:
        return None


def _after(data: bytes, op: Op) -> int:
    """Return where ``op`` ends, together with its place in the memo."""
    return op.end + (data[op.end] == plain.MEMOIZE)


def _body(data: bytes, before: list[bytes], item_at: int, item_end: int) -> bytes:
    """Return the body whose one item is what these opcodes make.

    What stood ``before`` it stays, and is dropped: the item may refer to the memo behind it.
    """
    if item_end <= item_at:
        raise ProtocolError("a put without an item")
    dropped = b"".join(part + pickle.POP for part in before)
    # As many bytes as were there: a frame that began inside the item counts them.
    fill = pickle.MEMOIZE * (len(data) - item_end - 2)
    item = data[item_at:item_end]
    return b"".join((data[:2], dropped, pickle.EMPTY_LIST, item, pickle.APPEND, fill, pickle.STOP))


def _keyword(data: bytes, op: Op, memo: list[Any]) -> str:
    if op.code in plain.REFERENCES:
        place = plain.reference(data, op)
        if place >= len(memo):
            raise ProtocolError("a request that refers to nothing")
        op = memo[place]
    if isinstance(op, str):
        return op
    return plain.text(data, op)
