"""Where in a request's pickle its arguments stand, found without doing what the pickle says.

The opcodes move where values begin on a stack, as the unpickler would move the values. So an
argument is known by its place on the stack and not by what its bytes look like: no item can pass
for an argument, and no argument for a part of the item.
"""

from __future__ import annotations

import pickle
from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from pipeline_runner.errors import ProtocolError
from pipeline_runner.queues.managers import safe_pickle
from pipeline_runner.wire.opcodes import skim

if TYPE_CHECKING:
    from collections.abc import Sequence

_POP, _POP_MARK = pickle.POP[0], pickle.POP_MARK[0]
# How many values each opcode takes off the stack before it pushes one, which begins where the
# lowest of them did; or changes the one below them, which begins where it did.
_COMBINE = {
    **safe_pickle.TUPLES,
    pickle.REDUCE[0]: 2, pickle.NEWOBJ[0]: 2, pickle.NEWOBJ_EX[0]: 3, pickle.STACK_GLOBAL[0]: 2,
    pickle.READONLY_BUFFER[0]: 1, pickle.BINPERSID[0]: 1,
}  # fmt: skip
_CHANGE = {pickle.APPEND[0]: 1, pickle.BUILD[0]: 1, safe_pickle.SETITEM: 2}
_CHANGE_TO_MARK = (pickle.APPENDS[0], pickle.ADDITEMS[0], safe_pickle.SETITEMS)
_COMBINE_TO_MARK = (safe_pickle.TUPLE, pickle.FROZENSET[0])

_ARGUMENTS, _KEYWORDS = 2, 3  # places in (ident, method, arguments, keywords)


class Value(NamedTuple):
    """A value is what the opcodes from ``start`` to ``end`` make."""

    start: int
    end: int


class Layout(NamedTuple):
    """The arguments of a request, and what in it may be referred to.

    ``keywords`` are keys and values in turn. ``memo`` has, for each entry, where the opcode before
    it stands; ``frames`` where frames begin, and ``keywords_mark`` whether a MARK was set before
    the keywords.
    """

    arguments: list[Value]
    keywords: list[Value]
    keywords_mark: bool
    memo: list[int]
    frames: list[int]

    def memorized_before(self, at: int) -> int:
        """Return how many entries the memo has when the opcodes before ``at`` are done."""
        return bisect_left(self.memo, at)


def lay_out(data: bytes, begun: Sequence[int], start: int) -> Layout:
    """Return where the arguments are in a request whose two names begin at ``begun``.

    What is read begins at ``start``, behind the names. Raises ProtocolError where it is no
    request of four values, its arguments a tuple and its keywords a dict.
    """
    try:
        return _lay_out(data, begun, start)
    except IndexError:
        raise ProtocolError("a request that takes more than it has") from None


def _lay_out(data: bytes, begun: Sequence[int], start: int) -> Layout:
    stack, memo, frames = list(begun), list(begun), list[int]()
    marks, marks_at = list[int](), list[int]()
    arguments, arguments_op, before_keywords = list[Value](), -1, -1
    keywords, marked = list[Value](), False
    # A tuple that is found in its own pickling is popped and fetched from the memo: what comes
    # next at that height begins where the popped one did.
    popped, popped_height = -1, -1
    last, last_code = begun[-1], -1  # the opcode before, not counting those for memo and frames
    for code, at, end in skim(data, start):
        if code == safe_pickle.MEMOIZE:
            memo.append(last)
            continue
        if code == safe_pickle.FRAME:
            frames.append(at)
            continue
        outermost = not marks
        begin = popped if popped_height == len(stack) else at
        popped_height = -1
        if code == safe_pickle.MARK:
            marks.append(len(stack))
            marks_at.append(begin)
        elif (count := _COMBINE.get(code)) is not None:
            parts = _off(stack, count, marks)
            if len(stack) == _ARGUMENTS and outermost:
                arguments = _values(parts, at) if code in safe_pickle.TUPLES else []
                arguments_op = at if code in safe_pickle.TUPLES else -1
            stack.append(parts[0])
        elif (count := _CHANGE.get(code)) is not None:
            parts = _off(stack, count, marks)
            if len(stack) == _KEYWORDS + 1 and outermost and code == safe_pickle.SETITEM:
                keywords += _values(parts, at)
        elif code in _CHANGE_TO_MARK:
            height, _mark_at = marks.pop(), marks_at.pop()
            parts = stack[height:]
            del stack[height:]
            if len(stack) == _KEYWORDS + 1 and not marks and code == safe_pickle.SETITEMS:
                keywords += _values(parts, at)
                marked = True
        elif code in _COMBINE_TO_MARK:
            if outermost:
                break  # it is the request's own
            height, mark_at = marks.pop(), marks_at.pop()
            parts = stack[height:]
            del stack[height:]
            if len(stack) == _ARGUMENTS and not marks:
                arguments = _values(parts, at) if code == safe_pickle.TUPLE else []
                arguments_op = at if code == safe_pickle.TUPLE else -1
            stack.append(mark_at)
        elif code == _POP:
            if marks and marks[-1] == len(stack):
                marks.pop()
                popped = marks_at.pop()
            else:
                popped = _off(stack, 1, marks)[0]
            popped_height = len(stack)
        elif code == _POP_MARK:
            del stack[marks.pop() :]
            popped, popped_height = marks_at.pop(), len(stack)
        elif code != safe_pickle.STOP:
            if safe_pickle.is_reference(code) and safe_pickle.reference_at(data, at, end) >= len(
                memo
            ):
                raise ProtocolError("a request that refers to nothing")
            if outermost and len(stack) == _ARGUMENTS:
                arguments, arguments_op = [], at if code == safe_pickle.EMPTY_TUPLE else -1
            elif outermost and len(stack) == _KEYWORDS:
                before_keywords, keywords, marked = last, [], False
            stack.append(begin)
        last, last_code = at, code
    if (
        len(stack) != _KEYWORDS + 1
        or code != safe_pickle.TUPLE
        or before_keywords != arguments_op
        or data[stack[_KEYWORDS]] != safe_pickle.EMPTY_DICT
        or last_code not in (safe_pickle.EMPTY_DICT, safe_pickle.SETITEM, safe_pickle.SETITEMS)
        or len(keywords) % 2
        or data[end:].strip(bytes([safe_pickle.MEMOIZE])) != pickle.STOP
    ):
        raise ProtocolError("a request that is put together in an unusual way")
    return Layout(arguments, keywords, marked, memo, frames)


def _off(stack: list[int], count: int, marks: list[int]) -> list[int]:
    """Take ``count`` values off the stack. Raises IndexError where there are not so many."""
    height = len(stack) - count
    if height < (marks[-1] if marks else _ARGUMENTS):
        raise IndexError(count)
    parts = stack[height:]
    del stack[height:]
    return parts


def _values(starts: list[int], end: int) -> list[Value]:
    return [Value(*each) for each in zip(starts, [*starts[1:], end], strict=True)]
