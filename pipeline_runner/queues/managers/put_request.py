"""A stock client's ``put``, read from its pickle without unpickling it.

Only the frame around the item is read: the item's own opcodes go, as they came, into a body that
decodes to ``[item]`` like any other body.
"""

from __future__ import annotations

import pickle
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline_runner.errors import ProtocolError
from pipeline_runner.queues.managers import safe_pickle
from pipeline_runner.queues.managers.layout import lay_out

if TYPE_CHECKING:
    from pipeline_runner.queues.managers.layout import Layout, Value

# How a request with just one positional argument ends; the pickler may start a frame between.
# No other does: arguments of another number end with another opcode, keywords with SETITEM(S).
_ONE_ARGUMENT = (b"\x85\x94}\x94t\x94.", b"\x85\x94\x95\x05\0\0\0\0\0\0\0}\x94t\x94.")
_OTHERS = ("block", "timeout")
_FRAME_HEADER = 9  # bytes
_LONG_BINGET = struct.Struct("<cI")


@dataclass(frozen=True, slots=True)
class RequestHead:
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


def read_put(data: bytes, opening: RequestHead) -> Put:
    """Return what ``data`` puts. Raises ProtocolError, or TypeError where Python would."""
    for end in _ONE_ARGUMENT:
        if data.endswith(end) and len(data) - len(end) > opening.end:
            return Put(_body_of_rest(data, opening, len(data) - len(end)))
    layout = lay_out(data, (opening.ident_at, opening.method_at), opening.end)
    arguments = layout.arguments
    keywords = _keywords(data, layout)
    item = keywords.pop("item", None)
    if item is not None and arguments:
        raise TypeError(f"{opening.method}() got multiple values for argument 'item'")
    unknown = next((key for key in keywords if key not in _OTHERS), None)
    if unknown is not None:
        raise TypeError(f"{opening.method}() got an unexpected keyword argument {unknown!r}")
    if len(arguments) > 1 + len(_OTHERS):
        raise TypeError(f"{opening.method}() takes its item, {' and '.join(_OTHERS)}")
    if item is None and not arguments:
        raise TypeError(f"{opening.method}() missing 1 required positional argument: 'item'")
    in_mark = not arguments and layout.keywords_mark
    body = _body(data, opening, layout, item or arguments[0], in_mark=in_mark)
    return Put(
        body,
        tuple(safe_pickle.only(data, each, layout.memo) for each in arguments[1:]),
        {key: safe_pickle.only(data, value, layout.memo) for key, value in keywords.items()},
    )


def _keywords(data: bytes, layout: Layout) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for key, value in zip(layout.keywords[::2], layout.keywords[1::2], strict=True):
        found[safe_pickle.name(data, key, layout.memo)] = value
    return found


def _body(
    data: bytes, opening: RequestHead, layout: Layout, item: Value, *, in_mark: bool
) -> bytes:
    """Return the body whose one item is ``item``.

    What stands before it stays, for the item may refer to what that put into the memo, and is
    popped; the item itself is fetched from the memo. Frames, whose lengths would be wrong now, go.
    """
    parts = [data[:2]]
    at = opening.ident_at - 1  # the MARK, behind the first frame's header
    for frame in layout.frames:
        if frame >= item.end:
            break
        parts.append(data[at:frame])
        at = frame + _FRAME_HEADER
    place = layout.memorized_before(item.end)
    parts += [
        data[at : item.end],
        pickle.MEMOIZE,
        pickle.POP_MARK * (2 if in_mark else 1),
        pickle.EMPTY_LIST,
        _LONG_BINGET.pack(pickle.LONG_BINGET, place),
        pickle.APPEND,
        pickle.STOP,
    ]
    return b"".join(parts)


def _body_of_rest(data: bytes, opening: RequestHead, item_end: int) -> bytes:
    """Return the body whose one item is all from the opening to ``item_end``, not looked at."""
    if item_end <= opening.end:
        raise ProtocolError("a put without an item")
    names = data[opening.ident_at : opening.method_at], data[opening.method_at : opening.end]
    dropped = b"".join(name + pickle.POP for name in names)
    # As many bytes as were there: a frame that began inside the item counts them.
    fill = pickle.MEMOIZE * (len(data) - item_end - 2)
    item = data[opening.end : item_end]
    return b"".join((data[:2], dropped, pickle.EMPTY_LIST, item, pickle.APPEND, fill, pickle.STOP))
