"""The way to a head: over its Unix socket on its own host, over TLS from anywhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_runner.wire.client.connection import Wire

if TYPE_CHECKING:
    from pipeline_runner.wire.endpoint import Endpoint


def open_wire(door: Endpoint, timeout_s: float | None = None) -> Wire:
    """Connect to the head behind ``door``; each wait for it takes ``timeout_s`` seconds at most.

    Raises NoHead if none is there, Refused if it is another pipeline's or another version.
    """
    if door.socket:
        return Wire.unix(door.socket, timeout_s)
    from pipeline_runner.wire.client.tls import open_sealed  # TLS is for those who need it

    return open_sealed(door, timeout_s)
