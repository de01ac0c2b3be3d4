"""Where an agent finds its head: behind a door it knows, or wherever one answers on the network."""

from __future__ import annotations

import asyncio
import random
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from pipeline_runner.cluster.discovery import door_of, find
from pipeline_runner.cluster.identity import Identity
from pipeline_runner.errors import NoHead, Refused, RunnerError
from pipeline_runner.wire.client.dial import open_wire
from pipeline_runner.wire.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pipeline_runner.cluster.discovery import Found
    from pipeline_runner.wire.client.connection import Wire

CONNECT_S = 5.0
ASK_S = 2.0


@dataclass(frozen=True, slots=True)
class Route:
    """A connection to a head, and the door it goes through."""

    wire: Wire
    door: Endpoint


class Seeker(Protocol):
    """Looks for the head."""

    def seek(self) -> Route:
        """Try once, for some seconds at most. Raises NoHead, or Refused by a head that is there."""

    def pause_s(self, tries: int) -> float:
        """Return how long to wait after so many tries in vain."""

    def rekey(self, key: bytes) -> tuple[Identity, Endpoint] | None:
        """Prove another key from now on; return who we are by it, and where to go.

        None where nothing changes.
        """


class AtSocket:
    """The head of this host: it is where it was, or nowhere."""

    def __init__(self, door: Endpoint) -> None:
        self._door = door

    def seek(self) -> Route:
        """Connect to its socket. Raises NoHead."""
        return Route(open_wire(self._door), self._door)

    def pause_s(self, tries: int) -> float:  # noqa: ARG002  (nobody else is on this socket)
        """Return a moment, by chance: every worker of this host is looking too."""
        return random.uniform(0.02, 0.2)  # noqa: S311

    def rekey(self, key: bytes) -> None:
        """Do nothing: whoever may open the socket needs no key."""


class OnNetwork:
    """A head of ``name`` somewhere: where it was last, where the user said, or where it answers.

    With ``asks`` it is looked for by broadcast as well.
    """

    def __init__(
        self, identities: Sequence[Identity], name: str, door: Endpoint, *, asks: bool = True
    ) -> None:
        self._identities = [one for one in identities if one.name in ("", name)]
        self._name = name
        self._door = door
        self._asks = asks
        self._find: Callable[..., list[Found]] = find

    def seek(self) -> Route:
        """Connect to the known address, or to whoever answers. Raises NoHead or Refused."""
        try:
            return Route(open_wire(self._door, CONNECT_S), self._door)
        except (NoHead, Refused):  # somebody else may have its address by now
            for door in self._answers():
                if door != self._door:
                    way = Route(open_wire(door, CONNECT_S), door)
                    self._door = door
                    return way
            raise

    def pause_s(self, tries: int) -> float:
        """Return up to 2 s, by chance: hosts that lost the same head must not come all at once."""
        return random.uniform(0.5, 1.5) * min(0.1 * 2.0 ** min(tries, 9), ASK_S / 1.5)  # noqa: S311

    def rekey(self, key: bytes) -> tuple[Identity, Endpoint] | None:
        """Prove another key from now on, at the same door; None if it is the one we have."""
        identity = Identity(self._name, key)
        if identity.door_key.hex() == self._door.key:
            return None
        self._identities = [identity]
        self._door = replace(self._door, key=identity.door_key.hex())
        return identity, self._door

    def _answers(self) -> list[Endpoint]:
        if not self._asks or not self._identities:
            return []
        try:
            found = self._find(self._identities, name=self._name, timeout_s=ASK_S)
        except (OSError, RunnerError):  # no network at all, for the moment
            return []
        return [Endpoint.from_json(door_of(one)) for one in found]


async def in_thread(function: Callable[[], Any]) -> Any:
    """Run what blocks in a thread that no exit waits for; return what it returns."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def tell(result: Any, error: BaseException | None) -> None:
        if not done.cancelled():
            done.set_result(result) if error is None else done.set_exception(error)

    def run() -> None:
        result, failed = None, None
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001  (it belongs to whoever awaits it)
            failed = error
        try:
            loop.call_soon_threadsafe(tell, result, failed)
        except RuntimeError:  # the loop is closed: nobody awaits it any more
            return

    threading.Thread(target=run, name="seek", daemon=True).start()
    return await done
