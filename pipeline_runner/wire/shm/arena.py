"""Memory that a head shares with the workers of its host: large bodies stay where they were made.

It has no name in any file system: workers get its descriptor with their session, and the kernel
frees it with the last process that has it, however that ends. A page of stamps says which place
each slot is now; who reads a body looks there *after* reading it, and so knows that it was whole.
"""

from __future__ import annotations

import mmap
import os
import sys
from contextlib import suppress

from pipeline_runner.wire.shm.slots import SLOT_BYTES

MOST_BYTES = 256 * 1024**2
_SHARE_OF_MEMORY = 16  # at most a sixteenth
_STAMP_BYTES = 8


class Arena:
    """``count`` slots behind a descriptor. Memory is taken as slots are first used."""

    def __init__(self, fd: int, count: int) -> None:
        self.fd = fd
        self.count = count
        self._data_from = _stamps_size(count)
        whole = memoryview(mmap.mmap(fd, self._data_from + count * SLOT_BYTES))
        self._stamps = whole[: count * _STAMP_BYTES].cast("Q")
        self._slots = whole[self._data_from :]
        self._reserved: set[int] = set()

    @staticmethod
    def create(most_bytes: int | None = None) -> Arena | None:
        """Make one; None where the system does not have the means, or not the memory."""
        if sys.platform != "linux":
            return None
        if most_bytes is None:
            memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
            most_bytes = min(MOST_BYTES, memory // _SHARE_OF_MEMORY)
        count = most_bytes // SLOT_BYTES
        if count < 1:
            return None
        fd = -1
        try:
            fd = os.memfd_create("pipeline bodies", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            os.ftruncate(fd, _stamps_size(count) + count * SLOT_BYTES)
            _seal(fd)
            os.posix_fallocate(fd, 0, _stamps_size(count))
            return Arena(fd, count)
        except OSError:
            if fd >= 0:
                os.close(fd)
            return None

    def reserve(self, place: int) -> bool:
        """Make sure of a slot's memory, or writing there would be a fatal signal; stamp it."""
        slot = place % self.count
        if slot not in self._reserved:
            try:
                os.posix_fallocate(self.fd, self._data_from + slot * SLOT_BYTES, SLOT_BYTES)
            except OSError:
                return False
            self._reserved.add(slot)
        self._stamps[slot] = place
        return True

    def view(self, place: int, size: int = SLOT_BYTES) -> memoryview:
        """Return ``size`` bytes of a place, not copied."""
        start = place % self.count * SLOT_BYTES
        return self._slots[start : start + size]

    def is_whole(self, place: int) -> bool:
        """Whether what was read at ``place`` until now was not written over."""
        return self._stamps[place % self.count] == place

    def close_fd(self) -> None:
        """Close the descriptor; the memory stays as long as anything of it is in use."""
        with suppress(OSError):
            os.close(self.fd)
        self.fd = -1


def _stamps_size(count: int) -> int:
    return -(-count * _STAMP_BYTES // mmap.PAGESIZE) * mmap.PAGESIZE


def _seal(fd: int) -> None:
    """Keep a worker's code from shortening it under everybody's feet."""
    import fcntl  # not on every system; this is only called on one that has it

    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
