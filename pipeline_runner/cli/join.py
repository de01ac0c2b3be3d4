"""``runner join``: make this machine a host of a pipeline that runs elsewhere."""

from __future__ import annotations

import re
import socket
import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from pipeline_runner.cli.options import CommonOptions, verb
from pipeline_runner.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_runner.agent.discovery.join import JoinResult
    from pipeline_runner.agent.host_config import HostConfig
    from pipeline_runner.errors import NoHead

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_LONGEST_NAME = 64


@verb("join", file="none")
@click.argument("address", required=False, metavar="[ADDRESS|-]")
@click.option("--name", help="What this host is called.  [default: its host name]")
@click.option(
    "--label", "labels", multiple=True, metavar="KEY=VALUE", help="For constraints: label.KEY."
)
@click.option("--max-procs", type=click.IntRange(min=1), help="At most so many workers here.")
@click.option("--wait", is_flag=True, help="Wait for a head, if there is none yet.")
@click.option("--once", is_flag=True, help="Leave when the run ends; do not wait for the next.")
@click.option("--pipeline", default="", help="Which one, if several answer.")
@click.option("--head", default="", metavar="HOST", help="Whose, if several heads answer.")
def join(
    common: CommonOptions,
    address: str | None,
    name: str | None,
    labels: tuple[str, ...],
    max_procs: int | None,
    wait: bool,
    once: bool,
    pipeline: str,
    head: str,
) -> int:
    """Work for a pipeline that `runner up` runs on another machine.

    It is found by itself on the same network, or at ADDRESS (HOST or HOST:PORT). A machine that
    joins for the first time needs the pipeline's key: `runner token | ssh HOST runner join -`.
    Ctrl-C finishes what the workers here hold, and leaves; again stops now.
    """
    from pipeline_runner.agent.host_config import HostConfig
    from pipeline_runner.observe.quantity import duration

    say = _silent if common.quiet else _say
    terms = partial(
        HostConfig,
        host=_host(name),
        labels=dict(_label(text) for text in labels),
        max_procs=max_procs,
        once=once,
    )
    meeting = _meet(address, pipeline, head, partial(_waits, say) if wait else None)
    door = meeting.way.door
    who = f" ({meeting.machine})" if meeting.machine else ""
    say("found", f"{meeting.identity.name} at {door}{who}, {duration(meeting.took_s)}")
    if meeting.aside is not None:
        say("key", f"another one of {meeting.identity.name} was here: now {meeting.aside}")
    return _work(meeting, terms, say)


def _meet(
    address: str | None, pipeline: str, head: str, wait: Callable[[NoHead], None] | None
) -> JoinResult:
    from pipeline_runner.agent.discovery import join as joining
    from pipeline_runner.cluster.identity import known

    if address == "-":
        return joining.by_token(sys.stdin.read())
    if address is not None:
        return joining.by_address(known(), address, pipeline=pipeline, wait=wait)
    return joining.by_broadcast(known(), pipeline=pipeline, head=head, wait=wait)


def _waits(say: Callable[[str, str], None], silence: NoHead) -> None:
    say("waits", f"{silence.message.splitlines()[0]}; goes on asking")


def _work(
    meeting: JoinResult, terms: Callable[..., HostConfig], say: Callable[[str, str], None]
) -> int:
    import asyncio

    from pipeline_runner.agent.agent import Agent
    from pipeline_runner.agent.discovery.reconnect import OnNetwork
    from pipeline_runner.sync.cache_dirs import output_of, store_of

    identity = meeting.identity
    store = store_of(identity.name, identity.tag.hex())
    here = terms(store=store, output=output_of(identity.name))

    async def work() -> int:
        seeker = OnNetwork([identity], identity.name, meeting.way.door, asks=meeting.asks)
        return await Agent(seeker, here, say).run(meeting.way)

    return asyncio.run(work())


def _host(name: str | None) -> str:
    if name is None:
        given = re.sub(r"[^A-Za-z0-9._-]+", "-", socket.gethostname()).strip("-._")
        return given[:_LONGEST_NAME] or "host"
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise UsageError(
            f"`{name}` cannot be a host's name",
            hint=f"letters, digits, dots and hyphens, at most {_LONGEST_NAME}",
        )
    return name


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip() or not value.strip():
        raise UsageError(f"--label {text} says nothing", hint="--label KEY=VALUE")
    return key.strip(), value.strip()


def _say(label: str, text: str) -> None:
    click.echo(f"{label:<7}{text}", err=True)


def _silent(_label: str, _text: str) -> None:
    """Say nothing: it was asked for."""
