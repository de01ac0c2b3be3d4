"""Pieces of contents as agents ask for them: read once for many hosts that ask for the same."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import TYPE_CHECKING

from pipeline_runner.sync.fetch import MOST_WANTS, PIECE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline_runner.sync.objects import Objects
    from pipeline_runner.wire.control_messages import Want

_REMEMBERED = 32  # answers of at most a piece each


class Pieces:
    """For one thread. What was read is remembered until :meth:`forget`."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._answers: OrderedDict[tuple[Want, ...], bytes] = OrderedDict()

    @property
    def remembers(self) -> bool:
        """Whether there is anything to forget."""
        return bool(self._answers)

    def read(self, wants: tuple[Want, ...]) -> bytes:
        """Return the pieces end to end. Raises OSError or EOFError if one is not there."""
        known = self._answers.get(wants)
        if known is not None:
            self._answers.move_to_end(wants)
            return known
        data = b"".join(self._piece(*want) for want in wants)
        self._answers[wants] = data
        if len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)
        return data

    def forget(self) -> None:
        """Let the memory go."""
        self._answers.clear()

    def _piece(self, content: bytes, offset: int, size: int) -> bytes:
        fd = os.open(self._objects.name(content.hex()), os.O_RDONLY | os.O_CLOEXEC)
        try:
            piece = os.pread(fd, size, offset)
        finally:
            os.close(fd)
        if len(piece) != size:
            raise EOFError
        return piece


def may_ask(objects: Mapping[str, int], wants: tuple[Want, ...]) -> bool:
    """Return whether ``wants`` are pieces of ``objects``, and no more than one answer may hold."""
    if not 0 < len(wants) <= MOST_WANTS or sum(size for _c, _o, size in wants) > PIECE:
        return False
    return all(
        size > 0 <= offset and offset + size <= objects.get(content.hex(), -1)
        for content, offset, size in wants
    )
