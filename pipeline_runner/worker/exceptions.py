"""Exceptions of user code as text, whatever their own methods do.

This is the one place where what an exception says becomes text of ours: bounded, and escaped, so
that it can be sent and shown. Nothing here trusts an exception's class: its ``__str__`` may raise,
leave the process or return no text, its ``__class__`` may lie.
"""

from __future__ import annotations

import traceback
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pipeline_runner.escaping import escaped
from pipeline_runner.worker.release_errors import cure, plainly

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

_OURS = __name__.partition(".")[0]
_MOST_LINE = 500  # characters of an exception's own text, in one line
_MOST_TEXT = 64 * 1024  # characters of a traceback
_MOST_FRAMES = 100  # of one exception: as many of its first as of its last
_MOST_LINKED = 100  # exceptions that one names as its causes, its contexts or its group
_TOLD_WITH_FRAMES = (NameError, AttributeError, ImportError, SyntaxError)  # with what was meant
_MOST_KNOWN = 256
_known_frames: dict[tuple[tuple[CodeType, int], ...], str] = {}


def describe(error: BaseException) -> str:
    """Return an exception in one line, whatever its own words do."""
    name = _attempt(lambda: type.__dict__["__name__"].__get__(type(error)), "exception")
    said = _attempt(lambda: _first_line(str(error)), "(its text cannot be shown)")
    hint = _attempt(lambda: cure(error), "")
    line = f"{name}: {said}" if said else name
    return escaped(f"{line} ({hint})" if hint else line)


def last_line(error: BaseException) -> str:
    """Return the last line that Python would print of an exception, its module's name in it."""
    said = _attempt(
        lambda: traceback.format_exception_only(type(error), error)[-1].strip().splitlines()[-1], ""
    )
    return escaped(_beginning(said, _MOST_TEXT)) or describe(error)


def shown(value: Any, most: int) -> str:
    """Return the first ``most`` characters of a value's repr, whatever its own does."""
    name = type.__dict__["__name__"].__get__(type(value))
    return escaped(_attempt(lambda: _beginning(repr(value), most), f"<{name}>"))


def format_traceback(error: BaseException) -> str:
    """Return the traceback from the user's first frame on, at most 64 Ki characters of it.

    Of very many frames the middle is left out, and of very many linked exceptions all but this one.
    """
    text = _attempt(lambda: _formatted(error), "")
    if not text:
        return describe(error)
    if len(text) > _MOST_TEXT:
        text = text[: _MOST_TEXT // 2] + "\n...\n" + text[-_MOST_TEXT // 2 :]
    return escaped(text)


def _attempt(say: Callable[[], str], otherwise: str) -> str:
    try:
        return say()
    except BaseException:  # noqa: BLE001  (user classes raise what they like, here too)
        return otherwise


def _beginning(text: str, most: int) -> str:
    """Return the first characters of ``text`` as a plain str; it may be of a class of its own."""
    return str.__getitem__(text, slice(most))


def _first_line(text: str) -> str:
    # What is stripped before the first line may be long, but not the line that is kept.
    lines = _beginning(text, _MOST_TEXT).strip().splitlines()
    return lines[0][:_MOST_LINE] if lines else ""


def _formatted(error: BaseException) -> str:
    trace = _shortened(_without_ours(BaseException.__dict__["__traceback__"].__get__(error)))
    if _is_linked_to_many(error):
        lines = ["Traceback (most recent call last):\n", *traceback.format_tb(trace)]
        lines.append(f"{describe(error)}\n")
    elif trace is not None and _stands_alone(error):
        return _frames(trace) + plainly("".join(traceback.format_exception_only(error)))
    else:
        lines = traceback.format_exception(type(error), error, trace, limit=_MOST_FRAMES)
    return plainly("".join(lines))


def _stands_alone(error: BaseException) -> bool:
    """Whether Python tells of the frames and of the error each by itself."""
    linked = error.__cause__ is not None or error.__context__ is not None
    if linked or hasattr(error, "exceptions") or hasattr(error, "__notes__"):
        return False
    return not issubclass(type(error), _TOLD_WITH_FRAMES)


def _frames(trace: TracebackType) -> str:
    """Return the text of a traceback's frames.

    Of a thousand failures at one place it is put together once: to read the source again for each
    would take longer than most items do.
    """
    place: list[tuple[CodeType, int]] = []
    link: TracebackType | None = trace
    while link is not None:
        place.append((link.tb_frame.f_code, link.tb_lasti))
        link = link.tb_next
    key = tuple(place)
    text = _known_frames.get(key)
    if text is None:
        if len(_known_frames) >= _MOST_KNOWN:
            _known_frames.clear()
        frames = "".join(traceback.format_tb(trace, limit=_MOST_FRAMES))
        text = _known_frames[key] = plainly(f"Traceback (most recent call last):\n{frames}")
    return text


def _shortened(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback of at most ``_MOST_FRAMES`` frames: the first ones, and the last."""
    links: list[TracebackType] = []
    while trace is not None:
        links.append(trace)
        trace = trace.tb_next
    if len(links) > _MOST_FRAMES:
        links[_MOST_FRAMES // 2 : -_MOST_FRAMES // 2] = []
    short: TracebackType | None = None
    for link in reversed(links):
        short = TracebackType(short, link.tb_frame, link.tb_lasti, link.tb_lineno)
    return short


def _is_linked_to_many(error: BaseException) -> bool:
    """Whether to format this exception's chains and groups could take for ever."""
    waiting, seen = [error], 0
    while waiting and seen <= _MOST_LINKED:
        one = waiting.pop()
        seen += 1
        linked = [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
        waiting += [each for each in linked if isinstance(each, BaseException)]
    return seen > _MOST_LINKED


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    """Leave out the frames that lead to the user's; what is ours alone stays as it is."""
    first = trace
    while first is not None and _is_ours(first):
        first = first.tb_next
    return trace if first is None else first


def _is_ours(trace: TracebackType) -> bool:
    name: object = trace.tb_frame.f_globals.get("__name__")
    return isinstance(name, str) and name.partition(".")[0] == _OURS
