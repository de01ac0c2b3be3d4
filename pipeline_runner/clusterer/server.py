"""``BaseServer``: one process that has all the queues."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pipeline_runner.errors import UsageError
from pipeline_runner.queues.managers.manager import CAPACITY, QueueManager

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from typing_extensions import Self

    Beside = Callable[[asyncio.AbstractEventLoop], Callable[[], object]]


class BaseServer:
    """Serves queues on TCP ``port`` of ``host``, every address unless given, for ``authkey``.

    ``BaseServer(port=50000, authkey=b"password").configure(["a", "b"]).runserver()``
    """

    def __init__(self, *, port: int, authkey: bytes, host: str = "") -> None:
        self._address = (host, port)
        self._authkey = authkey
        self._queues: tuple[str, ...] = ()
        self._capacity = CAPACITY

    def configure(self, queues: Iterable[str], *, capacity: int = CAPACITY) -> Self:
        """Name the queues. Each holds ``capacity`` items; a put into a full one waits."""
        self._queues = tuple(queues)
        self._capacity = capacity
        return self

    def runserver(self) -> None:
        """Serve until Ctrl-C. Raises UsageError without queues, or when the port is taken."""
        if not self._queues:
            raise UsageError("there are no queues to serve", hint='configure(["a", "b"]) first')
        manager = QueueManager(self._queues, self._address, self._authkey, capacity=self._capacity)
        host, port = self._address
        try:
            server = manager.get_server()
        except OSError as error:
            raise UsageError(f"cannot listen on {host}:{port}: {error.strerror}") from error
        assert isinstance(server.address, tuple)
        port = int(server.address[1])
        names = ", ".join(self._queues)
        sys.stderr.write(
            f"serving {names} on {host}:{port}, NOT ENCRYPTED: only for a network you trust\n"
        )
        server.beside.extend(self._beside(port))
        server.serve_forever()

    def _beside(self, port: int) -> Iterable[Beside]:  # noqa: ARG002  (for those that say it)
        """Return what else lives while the queues are served on ``port``."""
        return ()
