"""What to ask a head for, piece by piece, so that nothing else on the wire waits for a file."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PIECE = 1024 * 1024  # bytes behind one message, at most
SMALL_PIECE = 16 * 1024  # and at first four times this: the wire may be a slow one
MOST_WANTS = 1000  # small files in one of them
WINDOW = 3  # requests on their way: one is read from the disk, one travels, one is written
QUICK_S, SLOW_S = 0.1, 0.5  # between two answers: larger pieces come as soon, or smaller ones do

Want = tuple[bytes, int, int]  # a sha256, an offset, how many bytes


class Fetch:
    """The requests for ``lacking`` contents: (sha256 in hex, size, bytes that are here already).

    Pure. They are numbered from ``first`` on, and answered in that order. Their size follows how
    quickly answers come.
    """

    def __init__(self, lacking: Iterable[tuple[str, int, int]], first: int = 0) -> None:
        self._lacking = deque((content, here, size) for content, size, here in lacking)
        self._asked: deque[tuple[int, tuple[Want, ...]]] = deque()
        self._piece = 4 * SMALL_PIECE
        self._answered_at: float | None = None
        self.next = first

    @property
    def is_done(self) -> bool:
        """Whether everything has come."""
        return not self._lacking and not self._asked

    def ask(self) -> tuple[int, tuple[Want, ...]] | None:
        """Return the next request and its number; None while enough is on its way."""
        if not self._lacking or len(self._asked) >= WINDOW:
            return None
        request: list[Want] = []
        room = self._piece
        while self._lacking and room and len(request) < MOST_WANTS:
            content, offset, whole = self._lacking.popleft()
            size = min(whole - offset, room)
            request.append((bytes.fromhex(content), offset, size))
            room -= size
            if offset + size < whole:
                self._lacking.appendleft((content, offset + size, whole))
        self._asked.append((self.next, tuple(request)))
        self.next += 1
        return self._asked[-1]

    def answered(
        self, number: int, data: bytes | memoryview, now: float
    ) -> list[tuple[str, int, memoryview]] | None:
        """Return the pieces of an answer: (sha256 in hex, offset, bytes).

        None if it is not the one that is due, or not as long as what was asked for.
        """
        if not self._asked or self._asked[0][0] != number:
            return None
        _number, wants = self._asked.popleft()
        if sum(size for _content, _offset, size in wants) != len(data):
            return None
        self._pace(now)
        pieces, at, view = [], 0, memoryview(data)
        for content, offset, size in wants:
            pieces.append((content.hex(), offset, view[at : at + size]))
            at += size
        return pieces

    def _pace(self, now: float) -> None:
        before, self._answered_at = self._answered_at, now
        if before is None:
            return
        if now - before < QUICK_S:
            self._piece = min(PIECE, self._piece * 2)
        elif now - before > SLOW_S:
            self._piece = max(SMALL_PIECE, self._piece // 2)
