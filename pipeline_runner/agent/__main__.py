"""The agent process: ``python -m pipeline_runner.agent SOCKET HOST``."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

from pipeline_runner.agent.agent import run
from pipeline_runner.errors import NoHead
from pipeline_runner.queues.doors import Door

if __name__ == "__main__":
    with suppress(NoHead):  # it ended before we were up
        asyncio.run(run(Door(socket=sys.argv[1]), sys.argv[2]))
