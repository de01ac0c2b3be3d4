"""What a stock client asks, read from its pickle without unpickling it.

A request is the pickle of ``(ident, method, arguments, keywords)``. Of a ``put`` only the frame
around the item is read: the item's own opcodes go, as they came, into a body that decodes to
``[item]`` like any other body. Everything else is strings, numbers, flags and None.
"""

from __future__ import annotations

import pickle
import struct
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline_runner.errors import ProtocolError
from pipeline_runner.queues.stock.opcodes import Op, skim

if TYPE_CHECKING:
    from collections.abc import Iterator

PUTS = ("put", "put_nowait")
_MOST_PLAIN = 4096  # bytes of a request without an item
_MARK, _STOP, _NONE = pickle.MARK[0], pickle.STOP[0], pickle.NONE[0]
_PROTO, _FRAME, _MEMOIZE = pickle.PROTO[0], pickle.FRAME[0], pickle.MEMOIZE[0]
_SHORT_TEXT, _TEXT = pickle.SHORT_BINUNICODE[0], pickle.BINUNICODE[0]
_EMPTY_DICT = pickle.EMPTY_DICT[0]
_TUPLES = {pickle.TUPLE1[0]: 1, pickle.TUPLE2[0]: 2, pickle.TUPLE3[0]: 3}
_REFERENCES = (pickle.BINGET[0], pickle.LONG_BINGET[0])
_CONSTANTS: dict[int, bool | None] = {
    _NONE: None,
    pickle.NEWTRUE[0]: True,
    pickle.NEWFALSE[0]: False,
}
_UNSIGNED = (pickle.BININT1[0], pickle.BININT2[0])
_SIGNED = (pickle.BININT[0], pickle.LONG1[0])
_FLOAT = pickle.BINFLOAT[0]
_MOST_INT = 16  # bytes

# How a request with just one positional argument ends; the pickler may start a frame between.
_ONE_ARGUMENT = b"\x85\x94}\x94t\x94."
_ENDS = (_ONE_ARGUMENT, b"\x85\x94\x95\x05\0\0\0\0\0\0\0}\x94t\x94.")
_LONGEST_END = 32  # opcodes after an item


@dataclass(frozen=True, slots=True)
class Request:
    """One call. ``body`` is a put's item, encoded as a body of one, and not in ``arguments``."""

    ident: str | None
    method: str
    arguments: tuple[Any, ...] = ()
    keywords: dict[str, Any] = field(default_factory=dict)
    body: bytes | None = None


def read_request(data: bytes) -> Request:
    """Return what ``data`` asks. Raises ProtocolError if it is not a request that we serve."""
    try:
        return _read(data, skim(data))
    except StopIteration:
        raise ProtocolError("a request that is not a tuple of four") from None


def _read(data: bytes, opening: Iterator[Op]) -> Request:
    if next(opening).code != _PROTO:
        raise ProtocolError("a request that is not a pickle of protocol 4 or newer")
    op = next(opening)
    if op.code == _FRAME:
        op = next(opening)
    if op.code != _MARK:
        raise ProtocolError("a request that is not a tuple of four")
    ident_at = op.end
    op = next(opening)
    ident = None if op.code == _NONE else _text(data, op)
    if ident is not None and next(opening).code != _MEMOIZE:
        raise ProtocolError("a request with an unusual name")
    op = next(opening)
    method_at, method = op.at, _text(data, op)
    if next(opening).code != _MEMOIZE:
        raise ProtocolError("a request with an unusual method")
    if ident is not None and method in PUTS:
        return _read_put(data, ident, method, ident_at, method_at, op.end + 1)
    if len(data) > _MOST_PLAIN:
        raise ProtocolError(f"a request of {len(data)} bytes for {method!r}")
    return _read_plain(data)


def _read_put(
    data: bytes, ident: str, method: str, ident_at: int, method_at: int, item_at: int
) -> Request:
    arguments: tuple[Any, ...] = ()
    keywords: dict[str, Any] = {}
    for end in _ENDS:
        if data.endswith(end):
            item_end = len(data) - len(end)
            break
    else:
        item_end, arguments, keywords = _read_end(data, item_at, [ident, method])
    if item_end <= item_at:
        raise ProtocolError(f"{method} takes its item as the first argument")
    body = b"".join(
        (
            data[:2],  # which protocol
            # Name and method stay, and are dropped: the item may refer to the memo behind them.
            data[ident_at:method_at],
            pickle.POP,
            data[method_at:item_at],
            pickle.POP,
            pickle.EMPTY_LIST,
            data[item_at:item_end],
            pickle.APPEND,
            # As many bytes as were there: a frame that began inside the item counts them.
            pickle.MEMOIZE * (len(data) - item_end - 2),
            pickle.STOP,
        )
    )
    return Request(ident, method, arguments, keywords, body)


def _read_end(
    data: bytes, item_at: int, memo: list[Any]
) -> tuple[int, tuple[Any, ...], dict[str, Any]]:
    """Return where the item ends, and the arguments after it. Walks over all of the item."""
    recent: deque[Op] = deque(maxlen=_LONGEST_END)
    previous: Op | None = None
    for op in skim(data, item_at):
        if op.code == _FRAME:
            continue
        if op.code == _MEMOIZE:
            memo.append(previous)
        recent.append(op)
        previous = op
    ops = list(recent)
    # The keywords' dict is the last one: their values are flags and numbers.
    place = max((i for i, op in enumerate(ops) if op.code == _EMPTY_DICT), default=0)
    count = _TUPLES.get(ops[place - 2].code, 0) if place >= 2 else 0
    first = place - 1 - count  # the first argument after the item
    if not count or first < 1:
        raise ProtocolError("put takes its item as the first argument, then block and timeout")
    arguments = tuple(_scalar(data, op) for op in ops[first : place - 2])
    pairs = [op for op in ops[place + 2 :] if op.code not in (_MARK, _MEMOIZE, *_PUT_TOGETHER)]
    if len(pairs) % 2:
        raise ProtocolError("a put with unusual keywords")
    keywords = {
        _keyword(data, key, memo): _scalar(data, value)
        for key, value in zip(pairs[::2], pairs[1::2], strict=True)
    }
    item_end = ops[first].at if arguments else ops[place - 2].at
    return item_end, arguments, keywords


_PUT_TOGETHER = (pickle.SETITEM[0], pickle.SETITEMS[0], pickle.TUPLE[0], _STOP)


def _keyword(data: bytes, op: Op, memo: list[Any]) -> str:
    if op.code in _REFERENCES:
        op = _recall(memo, int.from_bytes(data[op.at + 1 : op.end], "little"))
    if isinstance(op, str):
        return op
    return _text(data, op)


def _recall(memo: list[Any], place: int) -> Any:
    if place >= len(memo):
        raise ProtocolError("a request that refers to nothing")
    return memo[place]


def _text(data: bytes, op: Op) -> str:
    if op.code not in (_SHORT_TEXT, _TEXT):
        raise ProtocolError("a request without text where a name belongs")
    text = data[op.at + (2 if op.code == _SHORT_TEXT else 5) : op.end]
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise ProtocolError("a request with a name that is not UTF-8") from error


def _scalar(data: bytes, op: Op) -> Any:
    argument = data[op.at + 1 : op.end]
    if op.code in _CONSTANTS:
        return _CONSTANTS[op.code]
    if op.code in _UNSIGNED:
        return int.from_bytes(argument, "little")
    if op.code in _SIGNED and len(argument) <= _MOST_INT:
        number = argument[1:] if op.code == pickle.LONG1[0] else argument
        return int.from_bytes(number, "little", signed=True)
    if op.code == _FLOAT:
        return struct.unpack(">d", argument)[0]
    return _text(data, op)


def _read_plain(data: bytes) -> Request:
    """Build a request of scalars, tuples and one dict, on a stack as the unpickler would."""
    stack: list[Any] = []
    memo: list[Any] = []
    try:
        for op in skim(data):
            _step(data, op, stack, memo)
        (ident, method, arguments, keywords) = stack.pop()
    except (IndexError, ValueError, TypeError) as error:
        raise ProtocolError("a request that is not a tuple of four") from error
    if type(arguments) is not tuple or type(keywords) is not dict:
        raise ProtocolError("a request without arguments")
    return Request(ident, method, arguments, keywords)


def _step(data: bytes, op: Op, stack: list[Any], memo: list[Any]) -> None:
    match op.code:
        case code if code in (_PROTO, _FRAME, _STOP):
            pass
        case code if code == _MARK:
            stack.append(_Mark)
        case code if code == _MEMOIZE:
            memo.append(stack[-1])
        case code if code in _REFERENCES:
            stack.append(memo[int.from_bytes(data[op.at + 1 : op.end], "little")])
        case code if code == pickle.EMPTY_TUPLE[0]:
            stack.append(())
        case code if code == _EMPTY_DICT:
            stack.append({})
        case code if code in _TUPLES:
            parts = [stack.pop() for _ in range(_TUPLES[code])]
            stack.append(tuple(reversed(parts)))
        case code if code == pickle.TUPLE[0]:
            stack.append(tuple(_to_mark(stack)))
        case code if code == pickle.SETITEM[0]:
            value, key = stack.pop(), stack.pop()
            stack[-1][key] = value
        case code if code == pickle.SETITEMS[0]:
            parts = _to_mark(stack)
            stack[-1].update(zip(parts[::2], parts[1::2], strict=True))
        case _:
            stack.append(_scalar(data, op))


class _Mark:
    """Where a tuple or a dict's items began."""


def _to_mark(stack: list[Any]) -> list[Any]:
    parts: list[Any] = []
    while (part := stack.pop()) is not _Mark:
        parts.append(part)
    parts.reverse()
    return parts
