"""The library this grew from, by its own names: a server with queues, and clients that work.

Here the queues are wired by hand; a pipeline file needs no wiring. ``BaseServer`` and
``BaseClient`` are told each other's address, ``BroadcastServer`` and ``BroadcastClient`` find each
other, and ``FunctionServer`` tells each ``FunctionClient`` which functions to run. An item that a
client has taken is that client's: one that is killed amid an item takes that item along.
"""

from __future__ import annotations

from pipeline_runner.clusterer.broadcast import BroadcastClient, BroadcastServer
from pipeline_runner.clusterer.client import BaseClient
from pipeline_runner.clusterer.functions import FunctionClient, FunctionServer
from pipeline_runner.clusterer.server import BaseServer
from pipeline_runner.clusterer.wraps import i_wrap, io_wrap, o_wrap

__all__ = [
    "BaseClient",
    "BaseServer",
    "BroadcastClient",
    "BroadcastServer",
    "FunctionClient",
    "FunctionServer",
    "i_wrap",
    "io_wrap",
    "o_wrap",
]
