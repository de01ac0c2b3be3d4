"""Single items cut out of bodies, and gathered into new ones, without decoding any.

A body of the form **gathered** is one whose items stand apart, as in :mod:`queues.codec`, with
each item's name between the index and the first pickle: the body and the index (unsigned 64 and 32
bits) that it came into the world with. Retries and redriven dead letters travel so, many in one
lease, and keep their names.
"""

from __future__ import annotations

import pickle
import struct
from itertools import accumulate
from typing import TYPE_CHECKING

from pipeline_runner.errors import ProtocolError
from pipeline_runner.wire.opcodes import skim

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pipeline_runner.wire.opcodes import Op

APART, GATHERED = 0x01, 0x02  # the first byte of a body; no pickle begins so
_HEAD = struct.Struct("<BI")  # the form and the number of items, as in a body apart
_SPAN = struct.Struct("<II")
_NAME = struct.Struct("<QI")

MOST_MOVED_BYTES = 64 * 1024  # a larger item rests where it is until its retry
_MOST_ITEMS, _MOST_BYTES = 512, 1024**2  # of a gathered body, but for a single item
_MOST_WHOLE_BYTES = 64 * 1024  # of a body that is kept for one of its items
_MEMOIZE, _LIST = pickle.MEMOIZE[0], pickle.EMPTY_LIST[0]
_AROUND = {
    each[0] for each in (pickle.FRAME, pickle.MARK, pickle.APPEND, pickle.APPENDS, pickle.STOP)
}
_GETS = {pickle.BINGET[0], pickle.LONG_BINGET[0]}
_NUMBERS = (pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.LONG4)
_STRINGS = (pickle.SHORT_BINUNICODE, pickle.BINUNICODE, pickle.BINUNICODE8)
_BYTES = (pickle.SHORT_BINBYTES, pickle.BINBYTES, pickle.BINBYTES8)
_OTHERS = (pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.BINFLOAT)
_STACK_GLOBAL = pickle.STACK_GLOBAL[0]
_OF_COMPLEX = {_STACK_GLOBAL, pickle.TUPLE2[0], pickle.REDUCE[0]}  # each makes one of two
_COMPLEX = b"\x8c\x08builtins\x8c\x07complex"  # the names of what a complex number calls
_PUSHES = {each[0] for each in (*_NUMBERS, *_STRINGS, *_BYTES, *_OTHERS)}

Name = tuple[int, int]  # the body and the index in it that an item is named by


def pickle_of(body: bytes | memoryview, n: int, index: int) -> bytes | None:
    """Return the pickle of one of the ``n`` items of a body; None if it cannot be told apart.

    What is together in one pickle is scalars, or one item that a stock client put: the opcodes of
    the one that is wanted are found, and none is done. Raises ValueError if the body is not what
    it says it is.
    """
    if body and body[0] in (APART, GATHERED):
        return _cut(body, index)
    whole = bytes(body)
    try:
        found = _scalar(whole, index) if n > 1 else None
    except (ProtocolError, IndexError) as error:
        raise ValueError(f"a body of {len(whole)} bytes is no list of {n} items") from error
    if found is not None:
        return whole[:2] + found + pickle.STOP
    if n > 1 and len(whole) > _MOST_WHOLE_BYTES:
        return None
    # The body as it is, and behind it what picks one of its items.
    picked = pickle.BININT + struct.pack("<i", index) + pickle.TUPLE2 + pickle.REDUCE + pickle.STOP
    return whole[:2] + b"c_operator\ngetitem\n" + whole[2:-1] + picked


def _cut(body: bytes | memoryview, index: int) -> bytes:
    try:
        _form, n = _HEAD.unpack_from(body)
        start, end = _SPAN.unpack_from(body, _HEAD.size + 4 * index)
    except struct.error:
        n = start = end = 0
    if not index < n or not start < end <= len(body):
        raise ValueError(f"a body of {len(body)} bytes has no item {index}")
    return bytes(body[start:end])


def _scalar(body: bytes, index: int) -> bytes | None:
    """Return the opcodes of the ``index``-th scalar of a pickled list; None if one is none."""
    stack: list[Op | bytes] = []
    memo: list[Op | bytes] = []
    for op in skim(body, 2):
        if op.code == _MEMOIZE:
            memo.append(stack[-1] if stack else op)  # the first is the list itself
        elif op.code in _GETS:
            stack.append(memo[int.from_bytes(body[op.at + 1 : op.end], "little")])
        elif op.code in _PUSHES:
            stack.append(op)
        elif op.code in _OF_COMPLEX:
            parts = b"".join(_text(body, each) for each in stack[-2:])
            if op.code == _STACK_GLOBAL and parts != _COMPLEX:
                return None
            stack[-2:] = [parts + bytes((op.code,))]
        elif op.code not in _AROUND and (op.code != _LIST or memo):
            return None
    return _text(body, stack[index])


def _text(body: bytes, one: Op | bytes) -> bytes:
    return one if isinstance(one, bytes) else body[one.at : one.end]


def name_of(body: bytes | memoryview, number: int, index: int) -> Name:
    """Return the name of one item of the body that has this ``number``."""
    if not body or body[0] != GATHERED:
        return number, index
    _form, n = _HEAD.unpack_from(body)
    named, place = _NAME.unpack_from(body, _HEAD.size + 4 * (n + 1) + _NAME.size * index)
    return named, place


def gather(items: Sequence[tuple[Name, bytes]]) -> bytes:
    """Return a body of these items, given by their names and pickles."""
    n = len(items)
    offsets = accumulate(
        (len(data) for _name, data in items), initial=_HEAD.size + 4 * (n + 1) + _NAME.size * n
    )
    parts = [_HEAD.pack(GATHERED, n), struct.pack(f"<{n + 1}I", *offsets)]
    parts += [_NAME.pack(*name) for name, _data in items]
    return b"".join([*parts, *(data for _name, data in items)])


def in_pieces(items: Iterable[tuple[Name, bytes]]) -> Iterator[list[tuple[Name, bytes]]]:
    """Yield ``items`` in pieces that a body of each is neither long nor large."""
    piece: list[tuple[Name, bytes]] = []
    size = 0
    for item in items:
        size += len(item[1])
        if piece and (size > _MOST_BYTES or len(piece) == _MOST_ITEMS):
            yield piece
            piece, size = [], len(item[1])
        piece.append(item)
    if piece:
        yield piece
