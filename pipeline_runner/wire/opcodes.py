"""Walks a pickle's opcodes without doing what they say.

Unpickling with a strict ``find_class`` is not protection enough for a server: nine bytes without
any global can allocate two gigabytes.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, NamedTuple

from pipeline_runner.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_OPCODES = 100_000


class Op(NamedTuple):
    """An opcode at ``at``; its argument ends before ``end``."""

    code: int
    at: int
    end: int


def _codes(*opcodes: bytes) -> frozenset[int]:
    return frozenset(opcode[0] for opcode in opcodes)


# What a pickler of protocol 4 or 5 writes; older opcodes are refused.
_BARE = _codes(
    pickle.MARK, pickle.STOP, pickle.POP, pickle.POP_MARK, pickle.DUP, pickle.NONE,
    pickle.NEWTRUE, pickle.NEWFALSE, pickle.APPEND, pickle.APPENDS, pickle.EMPTY_LIST,
    pickle.EMPTY_DICT, pickle.EMPTY_TUPLE, pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET,
    pickle.SETITEM, pickle.SETITEMS, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3,
    pickle.BUILD, pickle.REDUCE, pickle.NEWOBJ, pickle.NEWOBJ_EX, pickle.STACK_GLOBAL,
    pickle.MEMOIZE, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER, pickle.BINPERSID,
)  # fmt: skip
_FIXED: dict[int, int] = {
    pickle.PROTO[0]: 1, pickle.FRAME[0]: 8, pickle.BININT1[0]: 1, pickle.BININT2[0]: 2,
    pickle.BININT[0]: 4, pickle.BINFLOAT[0]: 8, pickle.BINGET[0]: 1, pickle.LONG_BINGET[0]: 4,
    pickle.EXT1[0]: 1, pickle.EXT2[0]: 2, pickle.EXT4[0]: 4,
}  # fmt: skip
_COUNTED: dict[int, int] = {  # so many bytes of length come first
    pickle.SHORT_BINUNICODE[0]: 1, pickle.SHORT_BINBYTES[0]: 1, pickle.LONG1[0]: 1,
    pickle.BINUNICODE[0]: 4, pickle.BINBYTES[0]: 4, pickle.LONG4[0]: 4,
    pickle.BINUNICODE8[0]: 8, pickle.BINBYTES8[0]: 8, pickle.BYTEARRAY8[0]: 8,
}  # fmt: skip
_ARGUMENT: dict[int, int] = {**dict.fromkeys(_BARE, 0), **_FIXED}
_GLOBAL = pickle.GLOBAL[0]
_STOP = pickle.STOP[0]


def skim(data: bytes, start: int = 0, most: int = MOST_OPCODES) -> Iterator[Op]:
    """Yield the opcodes of ``data`` from ``start`` on, to STOP at its very end.

    Raises ProtocolError where it is not a pickle of protocol 4 or 5, or has over ``most`` opcodes.
    """
    at, size = start, len(data)
    for _ in range(most):
        if at >= size:
            raise ProtocolError("a request that ends too soon")
        code = data[at]
        argument = _ARGUMENT.get(code)
        if argument is not None:
            end = at + 1 + argument
        elif (width := _COUNTED.get(code)) is not None:
            end = at + 1 + width
            end += int.from_bytes(data[at + 1 : end], "little")
        elif code == _GLOBAL:
            end = _after_two_lines(data, at)
        else:
            raise ProtocolError(f"a request with the pickle opcode {code:#x}")
        if end > size or (code == _STOP and end != size):
            raise ProtocolError("a request that does not end with its pickle")
        yield Op(code, at, end)
        if code == _STOP:
            return
        at = end
    raise ProtocolError(
        f"a put with block, timeout or keywords, of an item with over {most} opcodes",
        hint="put it without these, or with put_nowait",
    )


def first_op(data: bytes, at: int) -> Op:
    """Return the opcode at ``at``, of a pickle that :func:`skim` went through."""
    return next(skim(data, at))


def _after_two_lines(data: bytes, at: int) -> int:
    module_end = data.find(b"\n", at)
    name_end = data.find(b"\n", module_end + 1)
    return len(data) + 1 if module_end < 0 or name_end < 0 else name_end + 1
