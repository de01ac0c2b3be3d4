"""A page of memory that a worker and its agent share: what runs now, and the worker's job.

The agent reads it after the worker is dead, so it is the one witness of which lease was running.
Layout: token, index, started (monotonic seconds, 0 for none), phase, settled, closing; the job's
JSON from 64 on; in the last 4 KiB the head's door, should it have moved: size, CRC-32, JSON.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import tempfile
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline_runner.worker.session.readopt import TokenMap

_SIZE = 64 * 1024
_JOB_AT = 64
_RUNNING = struct.Struct("=qqd")
_TOKEN = struct.Struct("=q")
_ITEM = struct.Struct("=qd")
_PHASE_AT, _SETTLED_AT, _CLOSING_AT = 32, 33, 34
_DOOR = struct.Struct("=II")
_DOOR_ROOM = 4096

STARTING, READY = 0, 1
_CLOSING, _ENDED = 1, 2


class Page:
    """One worker's page. The agent makes it, the worker opens it by the inherited descriptor."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._map = mmap.mmap(fd, os.fstat(fd).st_size)

    @staticmethod
    def create(job: dict[str, Any]) -> Page:
        """Return a new page that holds ``job``, in memory that goes with its last holder."""
        data = json.dumps(job).encode()
        if hasattr(os, "memfd_create"):
            fd = os.memfd_create("runner-worker")
        else:
            fd, path = tempfile.mkstemp()
            os.unlink(path)  # noqa: PTH108  (a name that was never meant to be)
        os.truncate(fd, max(_SIZE, _JOB_AT + len(data) + _DOOR_ROOM))
        page = Page(fd)
        page._map[_JOB_AT : _JOB_AT + len(data)] = data
        return page

    def job(self) -> dict[str, Any]:
        """Return the job the agent wrote."""
        data = self._map[_JOB_AT:-_DOOR_ROOM]
        job: dict[str, Any] = json.loads(data.rstrip(b"\0"))
        return job

    def move(self, door: dict[str, Any]) -> None:
        """Say that the head is behind another door now."""
        data = json.dumps(door).encode()
        at = len(self._map) - _DOOR_ROOM
        self._map[at + _DOOR.size : at + _DOOR.size + len(data)] = data
        _DOOR.pack_into(self._map, at, len(data), zlib.crc32(data))

    def moved(self) -> dict[str, Any] | None:
        """Return the door the head has moved to, None if it has not or it is just being written."""
        at = len(self._map) - _DOOR_ROOM
        size, crc = _DOOR.unpack_from(self._map, at)
        data = self._map[at + _DOOR.size : at + _DOOR.size + min(size, _DOOR_ROOM)]
        if not size or zlib.crc32(data) != crc:
            return None
        door: dict[str, Any] = json.loads(data)
        return door

    def running(self, token: int) -> None:
        """Say which lease runs from now on; 0 for none."""
        _TOKEN.pack_into(self._map, 0, token)

    def rename(self, renaming: TokenMap) -> None:
        """Name the running lease by its new token: the head knows no other."""
        (token,) = _TOKEN.unpack_from(self._map, 0)
        if token > 0:
            self.running(renaming.token(token))

    def item(self, index: int, started: float) -> None:
        """Say which index runs since when; ``started`` 0 for none."""
        _ITEM.pack_into(self._map, 8, index, started)

    def lack(self, module: str) -> None:
        """Say which module is not installed here, where the job stood: it is over with this."""
        data = json.dumps({"lacks": module}).encode()
        self._map[_JOB_AT:-_DOOR_ROOM] = data.ljust(len(self._map) - _DOOR_ROOM - _JOB_AT, b"\0")

    def lacked(self) -> str:
        """Return the module that the worker said it lacks; empty if it said nothing of the kind."""
        return str(self.job().get("lacks", ""))

    def ready(self) -> None:
        """Say that user code was imported and work can begin."""
        self._map[_PHASE_AT] = READY

    def settled(self) -> None:
        """Say that a first result has left for the head: this worker gets something done."""
        self._map[_SETTLED_AT] = 1

    def closing(self, *, ended: bool) -> None:
        """Say that the work is over and user code closes; ``ended`` if it is for the stage too."""
        self._map[_CLOSING_AT] = _ENDED if ended else _CLOSING

    @property
    def has_settled(self) -> bool:
        """Whether a result has left for the head."""
        return bool(self._map[_SETTLED_AT])

    @property
    def is_closing(self) -> bool:
        """Whether the work is over: what still runs is close(), or registered for the exit."""
        return bool(self._map[_CLOSING_AT])

    @property
    def has_ended(self) -> bool:
        """Whether the worker had heard that its stage has ended, before it closed."""
        return self._map[_CLOSING_AT] == _ENDED

    def read(self) -> tuple[int, int, float, int]:
        """Return (token, index, started, phase)."""
        token, index, started = _RUNNING.unpack_from(self._map, 0)
        return token, index, started, self._map[_PHASE_AT]

    def leave(self) -> None:
        """Write into the void from now on: for a forked child, which is not the worker."""
        self._map = mmap.mmap(-1, _SIZE)

    def close(self) -> None:
        """Let go of the memory."""
        self._map.close()
        os.close(self.fd)
