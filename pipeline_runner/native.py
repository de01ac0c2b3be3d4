"""The system's own threads, locks and waits, whatever user code puts in their places.

gevent, eventlet and their like replace what the standard library's modules hold, when a user's
module is imported. What is bound here was bound before: a process that runs user code uses these
for its own ends, so that a thread of ours is a thread, and a wait waits.
"""

from __future__ import annotations

from _thread import allocate_lock, start_new_thread
from select import POLLIN, POLLOUT, poll, select
from socket import socket
from time import sleep
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "POLLIN",
    "POLLOUT",
    "Event",
    "allocate_lock",
    "poll",
    "select",
    "sleep",
    "socket",
    "start",
]


def start(run: Callable[..., object], *arguments: object) -> None:
    """Call ``run(*arguments)`` in a thread of its own, which no end of the process waits for."""
    start_new_thread(run, arguments)


class Event:
    """What :class:`threading.Event` is, for one thread that sets and clears it at a time."""

    def __init__(self) -> None:
        self._is_set = False
        self._shut = allocate_lock()  # held while it is not set
        self._shut.acquire()

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._is_set

    def set(self) -> None:
        """Let everybody go on who waits, and who will."""
        if not self._is_set:
            self._is_set = True
            self._shut.release()

    def clear(self) -> None:
        """Have whoever waits from now on wait for the next :meth:`set`."""
        if self._is_set:
            self._is_set = False
            self._shut.acquire()

    def wait(self) -> None:
        """Wait until it is set."""
        with self._shut:
            pass
