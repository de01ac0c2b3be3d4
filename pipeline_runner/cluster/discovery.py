"""Looking for heads on the networks of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_runner.cluster.interfaces import scan
from pipeline_runner.cluster.packets import PORT
from pipeline_runner.cluster.search import Found, Search
from pipeline_runner.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline_runner.cluster.identity import Identity
    from pipeline_runner.cluster.interfaces import Links
    from pipeline_runner.cluster.silence import Silence

__all__ = ["Found", "door_of", "find", "twin"]

SILENCE_S = 3.0
SETTLE_S = 0.02  # after one head answered, so long others of the same network may
TWIN_S = 0.3


def find(
    identities: Sequence[Identity],
    *,
    name: str | None = None,
    timeout_s: float | None = SILENCE_S,
    on_silence: Callable[[Silence], None] | None = None,
    wakeup: int = -1,
    links: Callable[[], Links] = scan,
    port: int = PORT,
) -> list[Found]:
    """Ask on every network for heads of ``identities``; return those that answered first.

    Only heads of the pipeline ``name`` count, if it is given. Blocks for ``timeout_s`` at most,
    None for as long as it takes, or until the descriptor ``wakeup`` can be read; then the list is
    empty. ``on_silence`` is called once, after 3 s or at the end, if nobody has answered by then.
    Raises UsageError without an identity.
    """
    if not identities:
        raise UsageError(
            "this machine has no pipeline's key yet",
            hint="on the machine of `runner up`: runner token | ssh THIS-MACHINE runner join -",
        )
    with Search(identities, name, links, port) as search:
        told = False
        while not (found := search.found) or search.waited_s < _settled(found):
            if timeout_s is not None and search.waited_s >= timeout_s:
                break
            if not told and not found and search.waited_s >= SILENCE_S:
                told = True
                if on_silence is not None:
                    on_silence(search.silence())
            until = [] if timeout_s is None else [timeout_s]
            if found:
                until.append(_settled(found))
            elif not told:
                until.append(SILENCE_S)
            if search.look(min(until, default=None), wakeup):
                return []
        if not found and not told and on_silence is not None:
            on_silence(search.silence())
        return found


def _settled(found: Sequence[Found]) -> float:
    return found[0].waited_s + SETTLE_S


def twin(
    identity: Identity,
    head_id: str,
    *,
    timeout_s: float = TWIN_S,
    links: Callable[[], Links] = scan,
    port: int = PORT,
) -> Found | None:
    """Return another live head than ``head_id`` of this name and key, if one answers in time."""
    with Search([identity], identity.name, links, port) as search:
        while search.waited_s < timeout_s:
            search.look(timeout_s)
            for found in search.found:
                if found.head_id != head_id:
                    return found
    return None


def door_of(found: Found) -> dict[str, str | int]:
    """Return what is needed to connect to ``found``, for ``Door.from_json``: keep it secret."""
    return {
        "host": found.host,
        "port": found.port,
        "fingerprint": found.fingerprint,
        "key": found.identity.door_key.hex(),
    }
