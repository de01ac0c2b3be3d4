"""Replies to stock clients, and an item of a body as a reply, without decoding the body."""

from __future__ import annotations

import errno
import importlib
import pickle
import queue
import struct
from typing import TYPE_CHECKING, Any, NoReturn

from typing_extensions import assert_never

from pipeline_runner.queues.managers.sessions import GaveUp, Idle, Item, Shut, Stored
from pipeline_runner.wire.codec import Apart, is_apart

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_runner.queues.managers.sessions import Answer

_PROTOCOL = 4  # every Python from 3.8 on reads it
_BININT = struct.Struct("<i")
_GETITEM = b"c_operator\ngetitem\n"
_RETURN = b"\x8c\x07#RETURN"


def returned(value: Any) -> bytes:
    """Return the reply of a call that gave ``value``: of ours, plain data."""
    return pickle.dumps(("#RETURN", value), _PROTOCOL)


def raised(error: Exception) -> bytes:
    """Return the reply that raises ``error``, one of the standard library's, in the client."""
    return pickle.dumps(("#ERROR", error), _PROTOCOL)


class _Call:
    """Stands in a pickle for what a call in the client will give."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self._reduced = call, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._reduced

    def __call__(self) -> NoReturn:
        """Be callable, as a pickler wants it of what is called."""
        raise AssertionError("only in the client")


def shut_down(*, getting: bool) -> bytes:
    """Return the reply that raises ``queue.ShutDown``; before Python 3.13 Empty or Full."""
    module = _Call(importlib.import_module, "queue")
    kind = _Call(getattr, module, "ShutDown", queue.Empty if getting else queue.Full)
    return pickle.dumps(("#ERROR", _Call(kind)), _PROTOCOL)


def refused(text: str) -> bytes:
    """Return the reply that raises ``multiprocessing.managers.RemoteError`` with ``text``."""
    return pickle.dumps(("#TRACEBACK", text), _PROTOCOL)


def reply_to(answer: Answer) -> list[bytes | memoryview]:
    """Return, in parts, the reply that a guest's answer is."""
    match answer:
        case Item(_guest, body, index):
            return item_of(body, index)
        case Stored(ok=True) | Idle():
            return [returned(None)]
        case Stored():
            return [raised(OSError(errno.ENOSPC, "the item could not be stored; try again later"))]
        case Shut(_guest, getting):
            return [shut_down(getting=getting)]
        case GaveUp(_guest, getting):
            return [raised(queue.Empty() if getting else queue.Full())]
        case _:
            assert_never(answer)


def item_of(body: bytes, index: int) -> list[bytes | memoryview]:
    """Return, in parts, the reply ``("#RETURN", items[index])`` of a body of items.

    An item that stands by itself is put into the reply as it is. Where items are together, around
    the body's own opcodes stands what makes the client pick one of them.
    """
    if is_apart(body):
        item = Apart(body).pickle(index)
        return [bytes(item[:2]) + _RETURN, item[2:-1], pickle.TUPLE2 + pickle.STOP]
    opening = body[:2] + _RETURN + _GETITEM
    closing = b"".join(
        (
            pickle.BININT,
            _BININT.pack(index),
            pickle.TUPLE2,
            pickle.REDUCE,
            pickle.TUPLE2,
            pickle.STOP,
        )
    )
    return [opening, memoryview(body)[2:-1], closing]
