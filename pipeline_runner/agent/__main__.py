"""The agent of the head's own host: ``... SOCKET HOST STORE OUTPUT``.

Without arguments it is one that was started before its head: it has imported what it needs by the
time that it is told them, with its log, as a line of JSON on its standard input.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from pipeline_runner.agent.agent import Agent
from pipeline_runner.agent.discovery.reconnect import AtSocket
from pipeline_runner.agent.host_config import HostConfig
from pipeline_runner.errors import NoHead
from pipeline_runner.wire.endpoint import Endpoint


async def _run(socket: str, host: str, store: Path, output: Path) -> None:
    seeker = AtSocket(Endpoint(socket=socket))
    await Agent(seeker, HostConfig(host, store, output, local=True)).run(seeker.seek())


def _told() -> list[str]:
    """Return the arguments once they come; exit if it turns out that nobody wants an agent."""
    line = sys.stdin.buffer.readline()
    if not line:
        sys.exit(0)
    log, *arguments = json.loads(line)
    with Path(log).open("ab") as said, Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    return [str(each) for each in arguments]


if __name__ == "__main__":
    socket, host, store, output = sys.argv[1:] or _told()
    with suppress(NoHead):  # it ended before we were up
        asyncio.run(_run(socket, host, Path(store), Path(output)))
