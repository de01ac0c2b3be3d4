"""The agent of the head's own host: ``... SOCKET HOST STORE OUTPUT``."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

from pipeline_runner.agent.agent import Agent
from pipeline_runner.agent.seeking import AtSocket
from pipeline_runner.agent.terms import Terms
from pipeline_runner.errors import NoHead
from pipeline_runner.queues.doors import Door


async def _run(socket: str, host: str, store: Path, output: Path) -> None:
    seeker = AtSocket(Door(socket=socket))
    await Agent(seeker, Terms(host, store, output, local=True)).run(seeker.seek())


if __name__ == "__main__":
    with suppress(NoHead):  # it ended before we were up
        asyncio.run(_run(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])))
