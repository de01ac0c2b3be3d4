"""Where a head's queues can be used by stock ``multiprocessing`` managers, and with which key."""

from __future__ import annotations

import asyncio
import os
import secrets
from typing import TYPE_CHECKING

from pipeline_runner.head.address import SOCKETS
from pipeline_runner.queues.managers.listener import ManagerListener
from pipeline_runner.wire.server.listener import FIRST_PORT, tcp_listener

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.queues.server.server import QueueServer

SOCKET = SOCKETS[1]  # beside the head's own
KEY = "key"  # in the state folder


def open_door(
    server: QueueServer,
    pipeline: Pipeline,
    folder: Path,
    warn: Callable[[str, str], None],
    *,
    network_port: int = 0,
) -> None:
    """Serve stock clients at a Unix socket in ``folder``, and on TCP where ``plain`` says so.

    That is on the port of the file; where other hosts have that one already, as ``network_port``,
    on the next that is free. Raises UsageError if there is none. The server closes the door with
    itself.
    """
    settings = pipeline.server
    key = stock_key(pipeline.state_dir)
    loop = asyncio.get_running_loop()
    door = ManagerListener(server, loop, key, most_item=settings.max_item, warn=warn)
    if settings.plain:
        port = None if network_port else settings.port
        listener = tcp_listener(
            settings.bind, port, first=network_port + 1 if network_port else FIRST_PORT
        )
        host, port = listener.getsockname()[:2]
        door.listen(listener)
        warn(
            f"the queues are served to stock managers on {host}:{port}, and not encrypted",
            "only for a network you trust; `plain` in [server]",
        )
    door.listen_unix(folder / SOCKET)
    server.door = door


def stock_key(state: Path) -> bytes:
    """Return the authkey of stock clients: RUNNER_KEY, or the state folder's, made if need be."""
    given = os.environ.get("RUNNER_KEY")
    if given:
        return given.encode()
    path = state / KEY
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    with os.fdopen(file, "wb") as out:
        key = secrets.token_hex(32).encode()
        out.write(key)
    return key
