"""``BroadcastServer`` and ``BroadcastClient``: no address to type, they find each other by UDP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_runner.clusterer.client import BaseClient
from pipeline_runner.clusterer.finding import QUEUES, announced, look_for, warn_of_short
from pipeline_runner.clusterer.server import BaseServer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline_runner.clusterer.server import Beside

PORT = 50000


class BroadcastServer(BaseServer):
    """A :class:`BaseServer` that clients with its ``authkey`` find by themselves."""

    def __init__(self, *, authkey: bytes, port: int = PORT, host: str = "") -> None:
        super().__init__(port=port, authkey=authkey, host=host)

    def runserver(self) -> None:
        """Serve, and be found, until Ctrl-C; raises like :meth:`BaseServer.runserver`."""
        warn_of_short(self._authkey)
        super().runserver()

    def _beside(self, port: int) -> Iterable[Beside]:
        return (announced(QUEUES, self._authkey, self._address[0], port),)


class BroadcastClient(BaseClient):
    """A :class:`BaseClient` of whichever server with its ``authkey`` answers on the network.

    :meth:`process` waits for as long as it takes until one does.
    """

    def __init__(self, authkey: bytes) -> None:
        super().__init__(("", 0), authkey)

    def _where(self) -> tuple[str, int]:
        warn_of_short(self._authkey)
        return look_for(QUEUES, self._authkey)
