"""How servers and clients find each other: by broadcast, signed with the key they share."""

from __future__ import annotations

import secrets
import socket
import sys
from typing import TYPE_CHECKING

from pipeline_runner import __version__
from pipeline_runner.cluster.beacon import Beacon
from pipeline_runner.cluster.discovery import find
from pipeline_runner.cluster.identity import SHORTEST_KEY, Identity
from pipeline_runner.cluster.packets import Offer, words

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pipeline_runner.cluster.silence import Silence

QUEUES, FUNCTIONS = "clusterer-queues", "clusterer-functions"  # as pipelines are told apart
_NO_CERTIFICATE = bytes(32)


def announced(
    what: str, authkey: bytes, host: str, port: int
) -> Callable[[asyncio.AbstractEventLoop], Callable[[], object]]:
    """Return what lets clients find a server on ``port`` of ``host``, for ``Server.beside``."""
    offer = Offer(
        head_id=secrets.token_hex(8),
        name=what,
        port=port,
        digest=_NO_CERTIFICATE,
        version=__version__,
        machine=words(socket.gethostname()),
    )

    def begin(loop: asyncio.AbstractEventLoop) -> Callable[[], object]:
        beacon = Beacon(loop, Identity(what, authkey), lambda: offer, warn, bind=host)
        beacon.open()
        return beacon.close

    return begin


def look_for(what: str, authkey: bytes) -> tuple[str, int]:
    """Return the address of the server that answers first, however long that takes.

    After 3 s of silence it says on stderr where it looks. Ctrl-C ends it.
    """
    (found, *_others) = find(
        [Identity(what, authkey)], name=what, timeout_s=None, on_silence=_say_where
    )
    return found.host, found.port


def _say_where(silence: Silence) -> None:
    networks = ", ".join(f"{each.name} {each.address}" for each in silence.tried)
    warn(
        f"no server answers yet on {networks}: goes on asking",
        "is it running, with this key, on the same network, with UDP port 50000 open?",
    )


def warn_of_short(authkey: bytes) -> None:
    """Say loudly that a key can be guessed by whoever hears a broadcast."""
    if len(authkey) < SHORTEST_KEY:
        warn(
            f"the key has {len(authkey)} bytes: whoever hears this machine's broadcasts CAN GUESS "
            "IT, and run code on every client",
            f"take {SHORTEST_KEY} bytes or more: secrets.token_hex(16)",
        )


def warn(text: str, hint: str = "") -> None:
    """Warn the person who started the program."""
    sys.stderr.write(f"warning: {text}{f' ({hint})' if hint else ''}\n")
