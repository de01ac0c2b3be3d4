"""A disk that forgets what was not synced, under SQLite itself.

SQLite reaches its files through a table of functions. Here each write, truncation, sync and
deletion of the real one is noted on its way, so that it is known at any moment what a power cut
would leave: all that was synced, and of the rest any sectors at all.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

SECTOR = 512
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # where what it stands for is fast
IOERR_FSYNC = 10 | 4 << 8  # SQLITE_IOERR_FSYNC
_OK = 0

_Pointer = ctypes.c_void_p
_Write = ctypes.CFUNCTYPE(
    ctypes.c_int, _Pointer, _Pointer, ctypes.c_int, ctypes.c_int64, use_errno=True
)
_Truncate = ctypes.CFUNCTYPE(ctypes.c_int, _Pointer, ctypes.c_int64)
_Sync = ctypes.CFUNCTYPE(ctypes.c_int, _Pointer, ctypes.c_int)
_Close = ctypes.CFUNCTYPE(ctypes.c_int, _Pointer)
_Open = ctypes.CFUNCTYPE(
    ctypes.c_int, _Pointer, _Pointer, _Pointer, ctypes.c_int, ctypes.POINTER(ctypes.c_int)
)
_Delete = ctypes.CFUNCTYPE(ctypes.c_int, _Pointer, ctypes.c_char_p, ctypes.c_int)


class _Vfs(ctypes.Structure):
    """``sqlite3_vfs``, version 3: https://www.sqlite.org/c3ref/vfs.html"""

    _fields_ = (
        ("version", ctypes.c_int),
        ("file_size", ctypes.c_int),
        ("longest_path", ctypes.c_int),
        ("next", _Pointer),
        ("name", ctypes.c_char_p),
        ("data", _Pointer),
        ("open", _Pointer),
        ("delete", _Pointer),
        ("rest", _Pointer * 14),
    )


class _Methods(ctypes.Structure):
    """``sqlite3_io_methods``, version 3: https://www.sqlite.org/c3ref/io_methods.html"""

    _fields_ = (
        ("version", ctypes.c_int),
        ("close", _Pointer),
        ("read", _Pointer),
        ("write", _Pointer),
        ("truncate", _Pointer),
        ("sync", _Pointer),
        ("rest", _Pointer * 13),
    )


@dataclass
class _File:
    """A file as it is on the platter, and what was asked of it since: writes and truncations."""

    synced: bytearray | None = None  # None: a power cut leaves no such file
    since: list[tuple[int, bytes | None]] = field(default_factory=list)

    def sync(self) -> None:
        content = self.synced if self.synced is not None else bytearray()
        for offset, data in self.since:
            _apply(content, offset, data)
        self.synced = content
        self.since.clear()

    def after_a_cut(self, chance: random.Random) -> bytes | None:
        if self.synced is None:
            return None
        content = bytearray(self.synced)
        for offset, data in self.since:
            if data is None:
                if chance.random() < 0.5:
                    _apply(content, offset, None)
                continue
            for start in range(0, len(data), SECTOR):
                if chance.random() < 0.5:
                    _apply(content, offset + start, data[start : start + SECTOR])
        return bytes(content)


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
        return
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


class Disk:
    """What is known of the files under ``folder``. ``before_each`` is called before each change.

    ``lies`` is a disk that says "synced" and does nothing. ``sync_fails`` decides whether a sync
    is answered with an error instead.
    """

    def __init__(self, folder: Path) -> None:
        self.files: dict[str, _File] = {}
        self.before_each: Callable[[], None] = lambda: None
        self.lies = False
        self.sync_fails: Callable[[], bool] = lambda: False
        self.syncs = 0
        for path in folder.iterdir():
            self.files[str(path)] = _File(bytearray(path.read_bytes()))

    def after_a_cut(self, chance: random.Random) -> dict[str, bytes]:
        """Return the files that a power cut at this moment leaves, by name."""
        left = {Path(path).name: file.after_a_cut(chance) for path, file in self.files.items()}
        return {name: content for name, content in left.items() if content is not None}

    def changed(self, path: str, offset: int, data: bytes | None) -> None:
        self.before_each()
        self.files.setdefault(path, _File()).since.append((offset, data))

    def synced(self, path: str) -> None:
        self.before_each()
        self.syncs += 1
        if not self.lies:
            self.files.setdefault(path, _File()).sync()

    def deleted(self, path: str) -> None:
        self.before_each()
        self.files.pop(path, None)


@contextmanager
def under_sqlite(disk: Disk, *, really_syncs: bool = False) -> Iterator[None]:
    """Have every database that is opened here in the meantime lie on ``disk``."""
    # Where the module is part of the interpreter, it has no file, and SQLite is there too.
    library: Any = ctypes.CDLL(getattr(_sqlite3, "__file__", None))
    library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
    library.sqlite3_vfs_find.argtypes = (ctypes.c_char_p,)
    library.sqlite3_vfs_register.argtypes = (_Pointer, ctypes.c_int)
    library.sqlite3_vfs_unregister.argtypes = (_Pointer,)
    real = library.sqlite3_vfs_find(None).contents
    ours = _Vfs.from_buffer_copy(real)
    ours.name = b"forgetful"
    shim = _Shim(disk, real, really_syncs=really_syncs)
    ours.open, ours.delete = (ctypes.cast(f, _Pointer) for f in (shim.open, shim.delete))
    library.sqlite3_vfs_register(ctypes.byref(ours), 1)
    try:
        yield
    finally:
        library.sqlite3_vfs_unregister(ctypes.byref(ours))
        library.sqlite3_vfs_register(ctypes.byref(real), 1)


class _Shim:
    """The functions that stand in for the real ones, kept alive as long as SQLite may call them."""

    def __init__(self, disk: Disk, real: _Vfs, *, really_syncs: bool) -> None:
        self._disk = disk
        self._really_syncs = really_syncs
        self._paths: dict[int, str] = {}  # by the address of SQLite's file
        self._tables: dict[int, tuple[_Methods, Any]] = {}  # by the address of the real table
        self._real_open = ctypes.cast(real.open, _Open)
        self._real_delete = ctypes.cast(real.delete, _Delete)
        self.open = _Open(self._open)
        self.delete = _Delete(self._delete)

    def _open(self, vfs: int, name: int | None, file: int, flags: int, out: Any) -> int:
        code = self._real_open(vfs, name, file, flags, out)
        path = ctypes.string_at(name).decode() if name else ""
        if code == _OK and path:
            table = ctypes.cast(file, ctypes.POINTER(ctypes.c_void_p))
            address = table.contents.value
            assert address is not None
            if address not in self._tables:
                self._tables[address] = self._wrapped(_Methods.from_address(address))
            self._paths[file] = path
            table.contents.value = ctypes.addressof(self._tables[address][0])
        return int(code)

    def _delete(self, vfs: int, name: bytes, sync_folder: int) -> int:
        self._disk.deleted(name.decode())
        return int(self._real_delete(vfs, name, sync_folder))

    def _wrapped(self, real: _Methods) -> tuple[_Methods, Any]:
        methods = _Methods.from_buffer_copy(real)
        write, truncate = ctypes.cast(real.write, _Write), ctypes.cast(real.truncate, _Truncate)
        sync, close = ctypes.cast(real.sync, _Sync), ctypes.cast(real.close, _Close)

        def writes(file: int, data: int, size: int, offset: int) -> int:
            self._disk.changed(self._paths[file], offset, ctypes.string_at(data, size))
            return int(write(file, data, size, offset))

        def truncates(file: int, size: int) -> int:
            self._disk.changed(self._paths[file], size, None)
            return int(truncate(file, size))

        def syncs(file: int, flags: int) -> int:
            if self._disk.sync_fails():
                return IOERR_FSYNC
            self._disk.synced(self._paths[file])
            return int(sync(file, flags)) if self._really_syncs else _OK

        def closes(file: int) -> int:
            self._paths.pop(file, None)
            return int(close(file))

        kept = _Write(writes), _Truncate(truncates), _Sync(syncs), _Close(closes)
        methods.write, methods.truncate, methods.sync, methods.close = (
            ctypes.cast(f, _Pointer) for f in kept
        )
        return methods, kept
