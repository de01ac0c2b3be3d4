"""What a stock client asks, read from its pickle without unpickling it.

A request is the pickle of ``(ident, method, arguments, keywords)``. Of a ``put`` only the frame
around the item is read: the item's own opcodes go, as they came, into a body that decodes to
``[item]`` like any other body. Everything else is strings, numbers, flags and None.
"""

from __future__ import annotations

import pickle
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline_runner.errors import ProtocolError
from pipeline_runner.queues.stock import plain
from pipeline_runner.queues.stock.opcodes import Op, skim

if TYPE_CHECKING:
    from collections.abc import Iterator

PUTS = ("put", "put_nowait")
_PROTOCOLS = (4, 5)
_MOST_PLAIN = 4096  # bytes of a request without an item

# How a request with just one positional argument ends; the pickler may start a frame between.
_ONE_ARGUMENT = b"\x85\x94}\x94t\x94."
_ENDS = (_ONE_ARGUMENT, b"\x85\x94\x95\x05\0\0\0\0\0\0\0}\x94t\x94.")
_LONGEST_END = 32  # opcodes after an item
_PUT_TOGETHER = (plain.SETITEM, plain.SETITEMS, plain.TUPLE, plain.STOP)


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
    if next(opening).code != plain.PROTO or data[1] not in _PROTOCOLS:
        raise ProtocolError("a request that is not a pickle of protocol 4 or 5")
    op = next(opening)
    if op.code == plain.FRAME:
        op = next(opening)
    if op.code != plain.MARK:
        raise ProtocolError("a request that is not a tuple of four")
    ident_at = op.end
    op = next(opening)
    ident = None if op.code == plain.NONE else plain.text(data, op)
    if ident is not None and next(opening).code != plain.MEMOIZE:
        raise ProtocolError("a request with an unusual name")
    op = next(opening)
    method_at, method = op.at, plain.text(data, op)
    if next(opening).code != plain.MEMOIZE:
        raise ProtocolError("a request with an unusual method")
    if ident is not None and method in PUTS:
        return _read_put(data, ident, method, ident_at, method_at, op.end + 1)
    if len(data) > _MOST_PLAIN:
        raise ProtocolError(f"a request of {len(data)} bytes for {method!r}")
    match plain.build(data):
        case (None | str(), str(), tuple(arguments), dict(keywords)):
            return Request(ident, method, arguments, keywords)
    raise ProtocolError("a request that is not a tuple of four")


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
        if op.code == plain.FRAME:
            continue
        if op.code == plain.MEMOIZE:
            memo.append(previous)
        recent.append(op)
        previous = op
    ops = list(recent)
    # The keywords' dict is the last one: their values are flags and numbers.
    place = max((i for i, op in enumerate(ops) if op.code == plain.EMPTY_DICT), default=0)
    count = plain.TUPLES.get(ops[place - 2].code, 0) if place >= 2 else 0
    first = place - 1 - count  # the first argument after the item
    if not count or first < 1:
        raise ProtocolError("put takes its item as the first argument, then block and timeout")
    arguments = tuple(plain.scalar(data, op) for op in ops[first : place - 2])
    pairs = [
        op for op in ops[place + 2 :] if op.code not in (plain.MARK, plain.MEMOIZE, *_PUT_TOGETHER)
    ]
    if len(pairs) % 2:
        raise ProtocolError("a put with unusual keywords")
    keywords = {
        _keyword(data, key, memo): plain.scalar(data, value)
        for key, value in zip(pairs[::2], pairs[1::2], strict=True)
    }
    item_end = ops[first].at if arguments else ops[place - 2].at
    return item_end, arguments, keywords


def _keyword(data: bytes, op: Op, memo: list[Any]) -> str:
    if op.code in plain.REFERENCES:
        op = _recall(memo, plain.reference(data, op))
    if isinstance(op, str):
        return op
    return plain.text(data, op)


def _recall(memo: list[Any], place: int) -> Any:
    if place >= len(memo):
        raise ProtocolError("a request that refers to nothing")
    return memo[place]
