"""Plain values in a pickle, built without an unpickler: text, numbers, flags, tuples, dicts."""

from __future__ import annotations

import pickle
import struct
from typing import Any

from pipeline_runner.errors import ProtocolError
from pipeline_runner.wire.opcodes import Op, first_op, skim

MARK, STOP, NONE = pickle.MARK[0], pickle.STOP[0], pickle.NONE[0]
PROTO, FRAME, MEMOIZE = pickle.PROTO[0], pickle.FRAME[0], pickle.MEMOIZE[0]
EMPTY_DICT, SETITEM, SETITEMS = pickle.EMPTY_DICT[0], pickle.SETITEM[0], pickle.SETITEMS[0]
EMPTY_TUPLE, TUPLE = pickle.EMPTY_TUPLE[0], pickle.TUPLE[0]
TUPLES = {pickle.TUPLE1[0]: 1, pickle.TUPLE2[0]: 2, pickle.TUPLE3[0]: 3}
REFERENCES = (pickle.BINGET[0], pickle.LONG_BINGET[0])

_SHORT_TEXT, _TEXT = pickle.SHORT_BINUNICODE[0], pickle.BINUNICODE[0]
_CONSTANTS: dict[int, bool | None] = {
    NONE: None,
    pickle.NEWTRUE[0]: True,
    pickle.NEWFALSE[0]: False,
}
_UNSIGNED = (pickle.BININT1[0], pickle.BININT2[0])
_SIGNED = (pickle.BININT[0], pickle.LONG1[0])
_FLOAT = pickle.BINFLOAT[0]
_MOST_INT = 16  # bytes


def text(data: bytes, op: Op) -> str:
    """Return the text that ``op`` pushes. Raises ProtocolError if it pushes something else."""
    if op.code not in (_SHORT_TEXT, _TEXT):
        raise ProtocolError("a request without text where a name belongs")
    start = op.at + (2 if op.code == _SHORT_TEXT else 5)
    try:
        return data[start : op.end].decode()
    except UnicodeDecodeError as error:
        raise ProtocolError("a request with a name that is not UTF-8") from error


def scalar(data: bytes, op: Op) -> Any:
    """Return the text, number, flag or None that ``op`` pushes. Raises ProtocolError if none."""
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
    return text(data, op)


def is_reference(code: int) -> bool:
    """Whether an opcode takes an entry of the memo."""
    return code in REFERENCES


def reference_at(data: bytes, at: int, end: int) -> int:
    """Return which entry of the memo the opcode at ``at`` takes."""
    return int.from_bytes(data[at + 1 : end], "little")


def only(data: bytes, value: tuple[int, int], memo: list[int]) -> Any:
    """Return the number, flag, text or None between two places.

    ``memo`` has where each entry's opcode stands. Raises ProtocolError if something else is there:
    only plain values say how long to wait.
    """
    try:
        return scalar(data, _only_op(data, *value, memo))
    except ProtocolError as error:
        raise ProtocolError(
            "a put whose block or timeout is no plain value",
            hint="None, True, False, a number, or a text",
        ) from error


def name(data: bytes, value: tuple[int, int], memo: list[int]) -> str:
    """Return the keyword between two places. ``memo`` is as for :func:`only`."""
    return text(data, _only_op(data, *value, memo))


def _only_op(data: bytes, start: int, end: int, memo: list[int]) -> Op:
    op = first_op(data, start)
    at = op.end
    while at < end and data[at] in (MEMOIZE, FRAME):
        at = first_op(data, at).end
    if at != end:
        raise ProtocolError("a request with something else where a name belongs")
    return first_op(data, memo[reference_at(data, *op[1:])]) if op.code in REFERENCES else op


def build(data: bytes) -> Any:
    """Return the plain value that ``data`` is a pickle of, on a stack as the unpickler would.

    Raises ProtocolError if there is anything else in it.
    """
    stack: list[Any] = []
    memo: list[Any] = []
    try:
        for op in skim(data):
            _step(data, op, stack, memo)
        return stack.pop()
    except (IndexError, ValueError, TypeError, AttributeError) as error:
        raise ProtocolError("a request that is no whole pickle") from error


def _step(data: bytes, op: Op, stack: list[Any], memo: list[Any]) -> None:
    code = op.code
    if code in (PROTO, FRAME, STOP):
        return
    if code == MARK:
        stack.append(_Mark)
    elif code == MEMOIZE:
        memo.append(stack[-1])
    elif code in REFERENCES:
        stack.append(memo[reference_at(data, op.at, op.end)])
    elif code == EMPTY_TUPLE:
        stack.append(())
    elif code == EMPTY_DICT:
        stack.append({})
    elif code in TUPLES:
        parts = [stack.pop() for _ in range(TUPLES[code])]
        stack.append(tuple(reversed(parts)))
    elif code == TUPLE:
        stack.append(tuple(_to_mark(stack)))
    elif code in (SETITEM, SETITEMS):
        parts = [stack.pop(-2), stack.pop()] if code == SETITEM else _to_mark(stack)
        # Text alone: a key made of tuples within tuples could take for ever to hash.
        if not all(type(key) is str for key in parts[::2]):
            raise ProtocolError("a request with keywords that are no text")
        stack[-1].update(zip(parts[::2], parts[1::2], strict=True))
    else:
        stack.append(scalar(data, op))


class _Mark:
    """Where a tuple or a dict's items began."""


def _to_mark(stack: list[Any]) -> list[Any]:
    parts: list[Any] = []
    while (part := stack.pop()) is not _Mark:
        parts.append(part)
    parts.reverse()
    return parts
