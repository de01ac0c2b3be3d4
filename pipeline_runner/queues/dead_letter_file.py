"""The file of dead letters: groups of them, appended whole.

A group is a header, what is known of its letters (msgpack), their items' pickles one behind the
other, and an end mark. What many letters share (run, stage, host, the frames of a traceback) is in
a group once. Groups are independent of each other: one that a kill cut short, or a flipped bit,
costs its own letters and no others. ``GONE`` groups name letters that were retried or dropped.
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pipeline_runner.queues.broker.transaction import Letter

_MARK = b"\xd1Lt\x01"
_END = b"\xd1Le\x01"
_HEAD = struct.Struct("<4sBxxxIIIII")  # mark, flags, sizes of facts and items, their CRC-32s, ours
_GONE, _FACTS_PACKED, _ITEMS_PACKED = 1, 2, 4
_PACK_FACTS_FROM = 2048  # bytes: less is not worth the time
_PACK_ITEMS_FROM, _PACK_ITEMS_TO = 512, 256 * 1024  # one item's reader unpacks them all
_MOST_GROUP_BYTES = 16 * 1024**2  # of items
_PIECE, _LEAST_AHEAD = 1024**2, 4096  # bytes of the file in memory; less than these: read on
_LONGEST_TEXT = 1024  # bytes of a text that is not shared, once the file has _TEXTS_WHOLE of them
_TEXTS_WHOLE = 4 * 1024**2


class Context(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What letters of one worker share. ``made_by`` is the release that made the item."""

    run: str
    stage: str
    edge: str
    host: str
    pid: int
    release: str
    made_by: str
    cause: str


class Row(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One letter: ``body`` and ``index`` are its item's name, ``context`` and ``frames`` places.

    The traceback is the text at ``frames`` with ``said`` behind it, or with ``error`` where that is
    empty. ``size`` is that of the item's pickle, below 0 if there is none.
    """

    letter: int
    context: int
    body: int
    index: int
    attempts: int
    error: str
    frames: int
    said: str
    shown: str
    size: int


class Group(msgspec.Struct, array_like=True, frozen=True):
    """The letters that one group holds, written at ``ts`` (Unix time, seconds)."""

    ts: float
    contexts: list[Context]
    texts: list[str]
    rows: list[Row]


class Gone(msgspec.Struct, array_like=True, frozen=True):
    """Letters of a run that are none any more."""

    run: str
    letters: list[int]


_encode = msgspec.msgpack.Encoder().encode
_decode_group = msgspec.msgpack.Decoder(Group).decode
_decode_gone = msgspec.msgpack.Decoder(Gone).decode


def append(path: Path, ts: float, letters: Sequence[Letter]) -> None:
    """Write ``letters`` and return once they are on disk. Raises OSError."""
    start = size = 0
    for place, letter in enumerate(letters):  # in one group, unless their items are large
        size += len(letter.item or b"")
        if size > _MOST_GROUP_BYTES and place > start:
            _append_group(path, ts, letters[start:place])
            start, size = place, len(letter.item or b"")
    _append_group(path, ts, letters[start:])


def _append_group(path: Path, ts: float, letters: Sequence[Letter]) -> None:
    room = _TEXTS_WHOLE - (path.stat().st_size if path.exists() else 0)
    contexts: dict[Context, int] = {}
    texts: dict[str, int] = {}
    rows = []
    for letter in letters:
        context = Context(
            letter.run,
            letter.stage,
            letter.edge,
            letter.host,
            letter.pid,
            letter.release,
            letter.made_by,
            letter.cause,
        )
        frames, said = _parted(letter.traceback, letter.error)
        if room < 0:
            said, frames = _shortened(said), _shortened(frames)
        rows.append(
            Row(
                letter.letter,
                contexts.setdefault(context, len(contexts)),
                letter.body,
                letter.index,
                letter.attempts,
                letter.error,
                texts.setdefault(frames, len(texts)),
                said,
                letter.shown,
                -1 if letter.item is None else len(letter.item),
            )
        )
    group = Group(ts, list(contexts), list(texts), rows)
    _append(path, _encode(group), [letter.item for letter in letters if letter.item], 0, sync=True)


def append_gone(path: Path, run: str, letters: Sequence[int]) -> None:
    """Note that letters of ``run`` are none any more. Not synced. Raises OSError."""
    _append(path, _encode(Gone(run, list(letters))), [], _GONE, sync=False)


def groups(path: Path) -> Iterator[tuple[int, Group | Gone]]:
    """Yield each sound group and where in the file it begins. Raises OSError."""
    with path.open("rb") as file:
        at, end = 0, file.seek(0, 2)
        base, piece = 0, b""
        while at + _HEAD.size <= end:
            start = at - base
            if start + _LEAST_AHEAD > len(piece):
                file.seek(at)
                base, start, piece = at, 0, file.read(_PIECE)
            found = _parse(piece, start) or _read(file, at, end)
            if found is None:  # a kill cut it short, or it is damaged
                at = _next(file, at + 1, end)
                continue
            group, size = found
            yield at, group
            at += size


class Items:
    """Fetches items, of one group after the other: what was read of the last one is kept."""

    def __init__(self) -> None:
        self._group: tuple[Path, int] | None = None
        self._items: list[bytes] = []

    def item(self, path: Path, at: int, place: int) -> bytes:
        """Return the pickle of the ``place``-th letter's item of the group that begins at ``at``.

        Raises OSError, or ValueError if it is not what was written.
        """
        if self._group != (path, at):
            self._items = _items(path, at)
            self._group = path, at
        return self._items[place]


def _items(path: Path, at: int) -> list[bytes]:
    with path.open("rb") as file:
        found = _read(file, at, file.seek(0, 2))
        if found is None or isinstance(group := found[0], Gone):
            raise ValueError("it is not what was written")
        file.seek(at)
        _mark, flags, facts_size, items_size, _facts, items_sum, _own = _HEAD.unpack(
            file.read(_HEAD.size)
        )
        file.seek(facts_size, 1)
        data = file.read(items_size)
    if zlib.crc32(data) != items_sum:
        raise ValueError("it is not what was written")
    data = _unpacked(data, flags & _ITEMS_PACKED)
    items, start = [], 0
    for row in group.rows:
        end = start + max(0, row.size)
        items.append(data[start:end])
        start = end
    return items


def _append(path: Path, facts: bytes, items: Sequence[bytes], flags: int, *, sync: bool) -> None:
    if len(facts) >= _PACK_FACTS_FROM:
        facts, flags = zlib.compress(facts, 1), flags | _FACTS_PACKED
    data = b"".join(items)
    if _PACK_ITEMS_FROM <= len(data) <= _PACK_ITEMS_TO:
        packed = zlib.compress(data, 1)
        if len(packed) < len(data):
            data, flags = packed, flags | _ITEMS_PACKED
    sums = zlib.crc32(facts), zlib.crc32(data)
    head = _HEAD.pack(_MARK, flags, len(facts), len(data), *sums, 0)
    head = head[:-4] + zlib.crc32(head[:-4]).to_bytes(4, "little")
    is_new = not path.exists()
    with path.open("ab", buffering=0) as file:
        before = file.seek(0, 2)
        try:
            _write(file.write, b"".join((head, facts, data, _END)))
            if sync:
                os.fsync(file.fileno())
        except OSError:
            file.truncate(before)
            raise
    if is_new:
        path.chmod(0o600)
        sync_folder(path.parent)


def _write(write: Callable[[memoryview], int | None], data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[write(left) or 0 :]


def _parse(piece: bytes, start: int) -> tuple[Group | Gone, int] | None:
    """Return the group that begins at ``start`` and its size; None if it is not there whole."""
    begin = start + _HEAD.size
    head = piece[start:begin]
    if len(head) < _HEAD.size:
        return None
    _mark, _flags, facts_size, items_size, *_sums = _HEAD.unpack(head)
    end = begin + facts_size + items_size
    group = _judge(head, piece[begin : begin + facts_size], piece[end : end + len(_END)])
    return None if group is None else (group, end + len(_END) - start)


def _read(file: Any, at: int, end: int) -> tuple[Group | Gone, int] | None:
    """Do the same with a file, where the group may be large: its items are not read."""
    file.seek(at)
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    _mark, _flags, facts_size, items_size, *_sums = _HEAD.unpack(head)
    size = _HEAD.size + facts_size + items_size + len(_END)
    if at + size > end:
        return None
    facts = file.read(facts_size)
    file.seek(items_size, 1)
    group = _judge(head, facts, file.read(len(_END)))
    return None if group is None else (group, size)


def _judge(head: bytes, facts: bytes, end: bytes) -> Group | Gone | None:
    """Return what stands between a header and an end mark, if all is what was written."""
    mark, flags, _size, _items, facts_sum, _items_sum, own = _HEAD.unpack(head)
    if mark != _MARK or end != _END:
        return None
    if zlib.crc32(head[:-4]) != own or zlib.crc32(facts) != facts_sum:
        return None
    decode = _decode_gone if flags & _GONE else _decode_group
    return decode(_unpacked(facts, flags & _FACTS_PACKED))


def _next(file: Any, at: int, end: int) -> int:
    """Return where the next mark is, from ``at`` on; ``end`` if there is none."""
    while at < end:
        file.seek(at)
        piece = file.read(1 << 20)
        found = piece.find(_MARK)
        if found >= 0:
            return at + int(found)
        at += max(1, len(piece) - len(_MARK) + 1)
    return end


def _unpacked(data: bytes, packed: int) -> bytes:
    return zlib.decompress(data) if packed else data


def _parted(traceback: str, error: str) -> tuple[str, str]:
    """Return the frames of a traceback, which many failures share, and what it says behind them.

    The latter is empty where it is ``error``.
    """
    end = traceback.rfind("\n  ") + 1  # of the last line of the last frame
    end = traceback.find("\n", end) + 1 if end else 0
    said = traceback[end:]
    return traceback[:end], "" if end and said.strip() == error else said


def _shortened(text: str) -> str:
    if len(text) <= _LONGEST_TEXT:
        return text
    return f"{text[: _LONGEST_TEXT // 2]}\n...\n{text[-_LONGEST_TEXT // 2 :]}"


def sync_folder(folder: Path) -> None:
    """Have what was made or renamed in ``folder`` be so after a power cut. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
