"""The end of a write-ahead log, looked at from outside: are there commits that cannot be read?

SQLite takes a log up to the first frame whose sum is wrong, and says nothing of what is behind
it. After a kill that is nothing. After damage it is every commit since, and that has to be told.

Layout: https://www.sqlite.org/fileformat2.html#walformat
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_HEADER = struct.Struct(">8I")  # magic, version, page size, checkpoints, two salts, two sums
_FRAME = struct.Struct(">6I")  # page, size of the database after a commit or 0, salts, sums
_MAGIC = 0x377F0682  # its last bit says which byte order the sums take


def commits_in_log(database: Path) -> list[int]:
    """Return the number, from 1, of each frame that ends a commit of the log's present turn.

    Sound or not: SQLite tells how many it could read. Call it before the database is opened,
    for that may begin the log anew.
    """
    found: list[int] = []
    try:
        log = database.with_name(database.name + "-wal").open("rb")
    except OSError:
        return found
    with log:
        head = log.read(_HEADER.size)
        if len(head) < _HEADER.size:
            return found
        magic, _version, page_size, _count, first, second, *sums = _HEADER.unpack(head)
        is_sound = magic | 1 == _MAGIC | 1 and _sums(head[:24], magic & 1) == tuple(sums)
        if page_size not in {1 << power for power in range(9, 17)}:
            page_size = 4096
        salts = (first, second) if is_sound else None
        size = log.seek(0, 2)
        frames = (size - _HEADER.size) // (_FRAME.size + page_size)  # whole ones: not a kill's last
        for number in range(1, frames + 1):
            log.seek(_HEADER.size + (number - 1) * (_FRAME.size + page_size))
            frame = log.read(_FRAME.size)
            _page, after, first, second, *_own = _FRAME.unpack(frame)
            salts = salts or (first, second)  # a damaged header's are no guide
            if after and _nearly((first, second), salts):
                found.append(number)
    return found


def _nearly(salts: tuple[int, int], wanted: tuple[int, int]) -> bool:
    """Whether these are the wanted salts, or would be but for one flipped bit."""
    wrong = (salts[0] ^ wanted[0]).bit_count() + (salts[1] ^ wanted[1]).bit_count()
    return wrong <= 1


def _sums(data: bytes, big: int) -> tuple[int, int]:
    one = two = 0
    words = struct.unpack(f"{'>' if big else '<'}{len(data) // 4}I", data)
    for i in range(0, len(words), 2):
        one = (one + words[i] + two) & 0xFFFFFFFF
        two = (two + words[i + 1] + one) & 0xFFFFFFFF
    return one, two
