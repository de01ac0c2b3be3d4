"""How a machine comes to its first head: by broadcast, by an address, or by a token."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline_runner import __version__
from pipeline_runner.agent.discovery.reconnect import CONNECT_S, Route
from pipeline_runner.cluster import identity as identities
from pipeline_runner.cluster import token as tokens
from pipeline_runner.cluster.discovery import door_of, find
from pipeline_runner.cluster.packets import PORT, SPEAKS
from pipeline_runner.cluster.silence import gap
from pipeline_runner.errors import NoHead, Refused, UsageError
from pipeline_runner.wire.client.dial import open_wire
from pipeline_runner.wire.client.tls import redeem
from pipeline_runner.wire.control_messages import Answer, Ask
from pipeline_runner.wire.endpoint import Endpoint
from pipeline_runner.wire.messages import Hello

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pipeline_runner.cluster.discovery import Found
    from pipeline_runner.cluster.identity import Identity
    from pipeline_runner.cluster.silence import Silence

SEARCH_S = 3.0
AGAIN_S = 2.0


@dataclass(frozen=True, slots=True)
class JoinResult:
    """A head that took our connection. ``machine`` is its host's name, where it said so.

    ``asks`` says whether broadcasts reach it: it is looked for so if it moves. ``aside`` is where
    another key of that pipeline's name went, to make room for the one that a token brought.
    """

    identity: Identity
    way: Route
    machine: str
    took_s: float
    asks: bool = True
    aside: Path | None = None


def by_broadcast(
    known: Sequence[Identity],
    *,
    pipeline: str = "",
    head: str = "",
    wait: Callable[[NoHead], None] | None = None,
) -> JoinResult:
    """Return the one head that answers. ``head`` is its host or address, where there are several.

    With ``wait`` it is asked for until one does; ``wait`` is called once if none does at first.
    Raises UsageError if it is not clear which one is meant, NoHead or Refused.
    """
    silences: list[Silence] = []
    found = find(
        _usable(known, pipeline),
        name=pipeline or None,
        timeout_s=SEARCH_S if wait is None else None,
        on_silence=silences.append if wait is None else lambda silence: wait(silence.error()),
    )
    one = _the_one([each for each in found if not head or head in _names(each)], found, silences)
    began = time.monotonic()
    refused = gap(one.name, one.protocol, one.version, SPEAKS, __version__)
    if refused is not None:
        raise refused
    door = Endpoint.from_json(door_of(one))
    way = Route(open_wire(door, CONNECT_S), door)
    took_s = one.waited_s + time.monotonic() - began
    return JoinResult(replace(one.identity, name=one.name), way, one.machine, took_s)


def by_address(
    known: Sequence[Identity],
    address: str,
    *,
    pipeline: str = "",
    wait: Callable[[NoHead], None] | None = None,
) -> JoinResult:
    """Return the head at ``address``, if one of our keys is its own.

    With ``wait`` it is tried until there is one; ``wait`` is called once if there is none at first.
    Raises UsageError, NoHead, or Refused.
    """
    told = False
    while True:
        try:
            return _at(known, address, pipeline)
        except NoHead as error:
            if wait is None:
                raise
            if not told:
                wait(error)
            told = True
        time.sleep(AGAIN_S)


def _at(known: Sequence[Identity], address: str, pipeline: str) -> JoinResult:
    host, port = split(address)
    refusal: Refused | None = None
    for one in _usable(known, pipeline):
        began = time.monotonic()
        door = Endpoint(host=host, port=port, key=one.door_key.hex())
        try:
            way = Route(open_wire(door, CONNECT_S), door)
        except Refused as error:
            refusal = error
            continue
        named = one if one.name else replace(one, name=_name_of(door))
        return JoinResult(named, way, "", time.monotonic() - began, asks=False)
    assert refusal is not None
    raise refusal


def by_token(text: str) -> JoinResult:
    """Redeem a token, keep the key it gives, and return its head.

    Raises UsageError for what is no token, NoHead, or Refused.
    """
    token = tokens.parse(text)
    began = time.monotonic()
    missed: NoHead | None = None
    refused: Refused | None = None
    for address in token.addresses:
        door = Endpoint(
            host=address,
            port=token.port,
            fingerprint=token.fingerprint,
            key=token.secret.hex(),
        )
        try:
            gift = redeem(door, token.id, CONNECT_S)
        except NoHead as error:
            missed = error
            continue
        except Refused as error:  # another head has that address on this machine's own networks
            refused = error
            continue
        identity = tokens.open_gift(gift)
        aside = identities.save(identity)
        door = replace(door, key=identity.door_key.hex())
        way = Route(open_wire(door, CONNECT_S), door)
        return JoinResult(identity, way, "", time.monotonic() - began, aside=aside)
    if refused is not None:
        raise refused
    where = ", ".join(token.addresses)
    raise NoHead(
        f"no head of {token.name} answers at {where}, port {token.port}",
        hint=missed.hint if missed is not None else "`runner token` makes another",
    )


def _usable(known: Sequence[Identity], pipeline: str) -> list[Identity]:
    usable = [one for one in known if not pipeline or one.name in ("", pipeline)]
    if not usable:
        whose = f"the key of {pipeline}" if pipeline else "a pipeline's key"
        raise UsageError(
            f"this machine does not have {whose} yet",
            hint="on the machine of `runner up`: runner token | ssh THIS-MACHINE runner join -",
        )
    return usable


def split(address: str) -> tuple[str, int]:
    """Return the host and the port of ``HOST``, ``HOST:PORT`` or ``[IPV6]:PORT``.

    Raises UsageError.
    """
    if tokens.is_like_one(address):
        raise UsageError(
            "a token goes to the standard input: others can read what stands on a command line",
            hint="runner join -   with another one: this one was seen",
        )
    host, port = address, ""
    if address.startswith("["):
        host, _bracket, port = address[1:].partition("]")
        port = port.removeprefix(":")
    elif address.count(":") == 1:
        host, _colon, port = address.partition(":")
    if not host or (port and not port.isdecimal()) or not 0 < int(port or PORT) < 65536:
        raise UsageError(
            f"`{address}` is no address", hint=f"HOST, HOST:{PORT}, or - for a token on stdin"
        )
    return host, int(port or PORT)


def _the_one(wanted: list[Found], found: Sequence[Found], silences: Sequence[Silence]) -> Found:
    if not found:
        if silences:
            raise silences[-1].error()
        raise NoHead("no head answered", hint="runner join HOST:50000")
    if len(wanted) == 1:
        return wanted[0]
    lines = [f"{one.name} at {one.host}:{one.port} ({one.machine})" for one in wanted or found]
    several = len({one.name for one in found}) > 1
    raise UsageError(
        "\n  ".join(["several heads answer:" if wanted else "no such head answers:", *lines]),
        hint="--pipeline NAME says which one" if several else "--head HOST says which one",
    )


def _names(found: Found) -> tuple[str, ...]:
    return (found.machine, found.host, f"{found.host}:{found.port}", found.head_id)


def _name_of(door: Endpoint) -> str:
    """Ask a head for its pipeline's name."""
    wire = open_wire(door, CONNECT_S)
    try:
        wire.send(Hello("control", "localhost"))
        wire.send(Ask("ps"))
        answer, _none = wire.receive()
    except (EOFError, OSError) as error:
        raise NoHead(f"the head at {door} went away", hint="try again") from error
    finally:
        wire.close()
    assert isinstance(answer, Answer)
    return str(answer.result["name"])
