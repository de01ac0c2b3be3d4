"""The library this grew from, by its own names: a server with queues, and clients that work.

Here the queues are wired by hand and addresses are typed; a pipeline file needs neither. An item
that a client has taken is that client's: one that is killed amid an item takes that item along.
"""

from __future__ import annotations

from pipeline_runner.clusterer.client import BaseClient
from pipeline_runner.clusterer.server import BaseServer
from pipeline_runner.clusterer.wraps import i_wrap, io_wrap, o_wrap

__all__ = ["BaseClient", "BaseServer", "i_wrap", "io_wrap", "o_wrap"]
