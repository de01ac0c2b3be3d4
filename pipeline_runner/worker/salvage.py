"""The sound items of a body that does not decode: one bad item must not take its neighbours along.

A body is one pickle, and the C unpickler gives up at the first fault. This one, many times slower,
puts a mark where something raised and goes on; it only ever sees bodies that have already failed.
"""

from __future__ import annotations

import io
import pickle
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable


class Broken:
    """Stands for an item, or a part of one, that raised ``error`` when it was decoded."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        """Refuse to travel: that is how an item with a broken part is found."""
        raise _FoundError(self)

    def append(self, *_parts: Any) -> None:
        """Take in what belongs to it, as a list, a dict or a set would."""

    extend = add = update = __setitem__ = append


class _FoundError(Exception):
    pass


class _Salvager(pickle._Unpickler):  # noqa: SLF001  (the one written in Python can be taught)
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)  # noqa: SLF001
    append: Callable[[Any], None]
    stack: list[Any]
    memo: dict[int, Any]

    def find_class(self, module: str, name: str) -> Any:
        return _attempt(super().find_class, module, name)

    def load_reduce(self) -> None:
        arguments = self.stack.pop()
        function = self.stack.pop()
        self.append(_attempt(function, *arguments))

    def load_newobj(self) -> None:
        arguments = self.stack.pop()
        cls = self.stack.pop()
        self.append(_attempt(_new, cls, *arguments))

    def load_newobj_ex(self) -> None:
        keywords = self.stack.pop()
        arguments = self.stack.pop()
        cls = self.stack.pop()
        self.append(_attempt(partial(_new, **keywords), cls, *arguments))

    def load_build(self) -> None:
        made = self.stack[-2]
        if isinstance(made, Broken):
            self.stack.pop()
            return
        depth = len(self.stack) - 1
        try:
            super().load_build()  # type: ignore[misc]
        except BaseException as error:  # noqa: BLE001  (a __setstate__ raises what it likes)
            broken = Broken(error)
            del self.stack[depth:]
            self.stack[-1] = broken
            for key, value in self.memo.items():
                if value is made:
                    self.memo[key] = broken

    for _opcode, _load in (
        (pickle.REDUCE, load_reduce),
        (pickle.NEWOBJ, load_newobj),
        (pickle.NEWOBJ_EX, load_newobj_ex),
        (pickle.BUILD, load_build),
    ):
        dispatch[_opcode[0]] = _load


def _new(cls: type, *arguments: Any, **keywords: Any) -> Any:
    return cls.__new__(cls, *arguments, **keywords)


def _attempt(function: Callable[..., Any], *parts: Any) -> Any:
    """Return ``function(*parts)``, or what is broken about it."""
    for part in (function, *parts):
        if isinstance(part, Broken):
            return part
    try:
        return function(*parts)
    except BaseException as error:  # noqa: BLE001  (unpickling runs user code)
        return Broken(error)


def salvage(body: bytes | memoryview) -> list[Any]:
    """Return the items of ``body``, a :class:`Broken` in the place of each that raises.

    Raises what unpickling raises if ``body`` is no whole pickle of a list.
    """
    items: list[Any] = _Salvager(io.BytesIO(body)).load()
    return [_judged(item) for item in items]


def _judged(item: Any) -> Any:
    try:
        pickle.dumps(item, pickle.HIGHEST_PROTOCOL)
    except _FoundError as found:
        return found.args[0]
    except BaseException:  # noqa: BLE001  (it came here whole: it need not travel on as it is)
        return item
    return item
