"""What the command line asks of a head, each question to the room that knows."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from pipeline_runner.errors import ExitCode, Refused, RunnerError
from pipeline_runner.head.control import queries
from pipeline_runner.head.control.admin import VERBS, Admin
from pipeline_runner.wire.control_messages import Answer

if TYPE_CHECKING:
    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.head.control.subscribers import Subscribers
    from pipeline_runner.head.hosts.presence import HostEvents
    from pipeline_runner.head.hosts.roster import Hosts
    from pipeline_runner.head.lifecycle import Lifecycle
    from pipeline_runner.head.network.keys import Keys
    from pipeline_runner.head.network.network import Network
    from pipeline_runner.queues.broker.ages import Ages
    from pipeline_runner.queues.server.server import QueueServer
    from pipeline_runner.wire.control_messages import Ask
    from pipeline_runner.wire.server.connection import Connection


class Commands:
    """Answers command lines. ``text`` is that of the pipeline's file.

    Without a ``network`` no other machine can reach this head.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        text: str,
        server: QueueServer,
        hosts: Hosts,
        course: Lifecycle,
        presence: HostEvents,
        amendments: Admin,
        watchers: Subscribers,
        network: Network | None,
        ages: Ages,
    ) -> None:
        self._pipeline = pipeline
        self._text = text
        self._server = server
        self._hosts = hosts
        self._lifecycle = course
        self._host_events = presence
        self._admin = amendments
        self._subscribers = watchers
        self._network = network
        self._ages = ages
        self._loop = asyncio.get_running_loop()

    def asked(self, connection: Connection, ask: Ask) -> None:
        """Answer, now or once what was asked for is durable."""
        if ask.verb in VERBS:
            try:
                self._admin.begin(connection, ask)
            except (LookupError, TypeError, ValueError) as error:
                self._server.send(connection, _unread(ask, error))
        elif ask.verb == "watch":
            facts = {"name": self._pipeline.name, "pid": os.getpid(), "text": self._text}
            self._subscribers.add(connection, facts)
        else:
            self._server.send(connection, *self._answer(ask))

    def _answer(self, ask: Ask) -> tuple[Answer, bytes]:
        try:
            if ask.verb == "peek":
                result, data = queries.peek(self._server.broker.state, **ask.arguments)
                return Answer(result), data
            return Answer(self._result(ask)), b""
        except RunnerError as error:
            return Answer.refusing(error), b""
        except (LookupError, TypeError, ValueError) as error:
            return _unread(ask, error), b""

    def _result(self, ask: Ask) -> dict[str, Any]:
        match ask.verb:
            case "ps":
                return self._lifecycle.snapshot().as_json()
            case "why":
                now, stage = self._lifecycle.snapshot(), str(ask.arguments["stage"])
                return queries.explain(self._pipeline, self._hosts, now, stage)
            case "queues":
                return queries.queues(self._server.broker.state, self._ages, self._loop.time())
            case "plan":
                return queries.plan(self._hosts) | {"text": self._text}
            case "drain":
                self._host_events.drain(str(ask.arguments["host"]))
                return {}
            case "token":
                return self._keys().token(float(ask.arguments["valid_s"]))
            case "rotate":
                return self._keys().rotate()
            case "down":
                if ask.arguments.get("now"):
                    self._loop.call_soon(self._lifecycle.stop_now, ExitCode.TERMINATED)
                else:
                    self._loop.call_soon(self._lifecycle.drain, self._pipeline.reload.grace)
                return {}
        raise Refused(f"this head does not know {ask.verb!r}", hint="its version may be older")

    def _keys(self) -> Keys:
        if self._network is None or self._network.keys is None:
            raise RunnerError(
                "no other machine can reach this head: it runs without a network",
                hint="start it without --local (and without RUNNER_LOCAL)",
            )
        return self._network.keys


def _unread(ask: Ask, error: Exception) -> Answer:
    """Return the answer to a question whose arguments are not what this version expects."""
    return Answer.refusing(
        Refused(
            f"this head cannot read what was asked with {ask.verb!r}: {error!r}",
            hint="compare `runner --version` here and where `runner up` runs",
        )
    )
