"""Watching a run that another process runs: the same screens, fed through the head's socket."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from pipeline_runner.cli import output
from pipeline_runner.cli.streams import may_go_unread
from pipeline_runner.errors import ExitCode, NoHead, RunnerError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import FrameType

    from pipeline_runner.cli.options import CommonOptions
    from pipeline_runner.cli.terminal import Ui
    from pipeline_runner.observe.screen import Screen
    from pipeline_runner.wire.client.connection import Wire
    from pipeline_runner.wire.endpoint import Endpoint

_STARTING_S = 2.0  # so long a head that has the lock may take to answer
_LOOK_EVERY_S = 0.05


def attach(
    head: Path | Endpoint,
    common: CommonOptions,
    ui: Ui,
    *,
    starting: bool = False,
    verb: str = "up",
) -> int:
    """Watch the run of ``head`` to its end and return its exit code; 0 if Ctrl-C ends it first.

    ``starting`` gives its head a moment to answer. Raises NoHead if there is none.
    """
    from pipeline_runner.cli import terminal

    with _leaves_on_sigterm():
        wire = _connect(head, _STARTING_S if starting else 0.0)
        name = "the run"
        screen: Screen | None = None
        try:
            run = _watch(wire)
            name = run["name"]
            _say_what(run, common, verb)
            screen = terminal.screen(ui, common, _pipeline(run, common), owns=False)
            return _follow(wire, screen, common)
        except KeyboardInterrupt:
            if screen is not None:
                screen.restore()
            _say_bye(name, common)
            return ExitCode.OK
        finally:
            if screen is not None:
                screen.restore()
            wire.close()


def runs(state: Path) -> dict[str, Any] | None:
    """Return what the head in ``state`` wrote of itself, if it answers; None without one."""
    from pipeline_runner.head.address import find

    try:
        _connect(state, 0.0).close()
        return find(state)
    except NoHead:
        return None


def _connect(head: Path | Endpoint, patience_s: float) -> Wire:
    from pipeline_runner.head.control.client import connect

    give_up_at = time.monotonic() + patience_s
    while True:
        try:
            return connect(head)
        except NoHead:
            if time.monotonic() >= give_up_at:
                raise
        time.sleep(_LOOK_EVERY_S)


def _watch(wire: Wire) -> dict[str, Any]:
    from pipeline_runner.wire.control_messages import Ask

    wire.send(Ask("watch"))
    run = _next(wire)
    wire.set_timeout(None)  # a head that is stopped for a while is not gone
    return run


def _next(wire: Wire) -> dict[str, Any]:
    """Return the next thing the head tells. Raises RunnerError in its words, or for its end."""
    try:
        answer, _none = wire.receive()
    except (EOFError, OSError) as error:
        raise NoHead(
            "the head ended without a word", hint="`runner up` starts it, or goes on with its run"
        ) from error
    if answer.error:
        raise RunnerError(answer.error, hint=answer.hint, code=answer.code)
    result: dict[str, Any] = answer.result
    return result


def _follow(wire: Wire, screen: Screen, common: CommonOptions) -> int:
    from pipeline_runner import events
    from pipeline_runner.observe.sentences import stays_queued
    from pipeline_runner.observe.snapshot import Snapshot

    while True:
        told = _next(wire)
        if "event" in told:
            screen.event(getattr(events, told["event"])(**told["fields"]))
        elif "snapshot" in told:
            screen.snapshot(Snapshot.from_json(told["snapshot"]))
        elif "final" in told:
            if told["kept"]:
                screen.event(events.Notice(time.time(), "info", stays_queued(told["kept"])))
            screen.close(Snapshot.from_json(told["final"]), told["lost"])
            if common.json:
                with may_go_unread():
                    click.echo(json.dumps(told["final"], indent=2))
            return int(told["exit_code"])


def _say_what(run: dict[str, Any], common: CommonOptions, verb: str) -> None:
    if common.quiet:
        return
    head = f"pid {run['pid']}"
    if verb == "up":
        output.note(f"{run['name']} runs already, by {head}: this only watches, Ctrl-C detaches")
    else:
        output.note(f"watches {run['name']}, run by {head}: Ctrl-C detaches")
    try:
        text = common.file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return
    if text != run["text"]:
        output.note(f"{common.file} is not what runs: what changed in it counts at the next start")


def _say_bye(name: str, common: CommonOptions) -> None:
    if not common.quiet:
        click.echo(
            f"detached: {name} runs on.  look again: runner top{common.again}"
            f"  stop it: runner down{common.again}",
            err=True,
        )


def _pipeline(run: dict[str, Any], common: CommonOptions) -> Any:
    """Return the pipeline that runs, from the text its head read; None if it cannot be had here."""
    from pipeline_runner.config.parse import parse

    pipeline, _problems = parse(run["text"], file=str(common.file), environ=os.environ)
    return pipeline


@contextmanager
def _leaves_on_sigterm() -> Iterator[None]:
    def leave(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        sys.stderr.flush()
