"""Our manager's server, run in a thread of the test's own process."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipeline_runner.queues.managers.manager import QueueManager, Server
from tests.e2e.kit import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KEY = b"password"


class Serving:
    """A server that serves. ``warnings`` is what it had to say."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.address: Any = server.address

    @property
    def door(self) -> Any:
        queues = self.server._queues
        assert queues is not None
        return queues.door

    def waiting(self) -> int:
        """Return how many clients wait for an item, or for room."""
        return len(self.door._guests._waiting)

    def connected(self) -> int:
        """Return how many connections there are."""
        return len(self.door._peers)


@contextmanager
def serving(queues: Sequence[str], address: Any, *, capacity: int = 10_000) -> Iterator[Serving]:
    """Serve ``queues`` until the block ends."""
    server = QueueManager(queues, address, KEY, capacity=capacity).get_server()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    until(lambda: server._queues is not None, "the server serves")
    try:
        yield Serving(server)
    finally:
        server.stop()
        thread.join()
