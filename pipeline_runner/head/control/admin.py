"""Retries, drops and purges that a command line asks for: begun, and answered once durable."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline_runner.errors import RunnerError, UsageError
from pipeline_runner.queues import dead_letters as deadletters
from pipeline_runner.wire.control_messages import Answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_runner.queues.broker.broker import Broker
    from pipeline_runner.queues.broker.effects import Amended
    from pipeline_runner.queues.broker.transaction import Redrive
    from pipeline_runner.queues.dead_letters import Dead
    from pipeline_runner.queues.server.server import QueueServer
    from pipeline_runner.wire.control_messages import Ask
    from pipeline_runner.wire.server.connection import Connection

VERBS = frozenset({"retry", "drop", "purge"})


@dataclass(frozen=True, slots=True)
class _Asked:
    connection: Connection
    result: dict[str, Any]
    earlier: dict[int, str] = field(default_factory=dict)  # letters of other runs, and which


class Admin:
    """Takes what is asked to the broker, and its answers back."""

    def __init__(self, server: QueueServer, state: Path, is_ending: Callable[[], bool]) -> None:
        self._server = server
        self._state = state
        self._is_ending = is_ending  # nothing is begun any more
        self._loop = asyncio.get_running_loop()
        self._asked: dict[int, _Asked] = {}
        self._reading: set[asyncio.Future[Dead]] = set()
        self._requests = 0
        self._taken: set[tuple[str, int]] = set()  # letters of earlier runs that are none any more

    def begin(self, connection: Connection, ask: Ask) -> None:
        """Begin what ``ask`` wants; its answer goes to ``connection``."""
        arguments = ask.arguments
        match ask.verb:
            case "retry":
                # Items can be large: another thread reads them.
                numbers = tuple(arguments["letters"])
                read = self._loop.run_in_executor(None, deadletters.redrive, self._state, numbers)
                self._reading.add(read)
                read.add_done_callback(lambda done: self._retry(connection, done))
            case "drop":
                runs = dict(zip(arguments["letters"], arguments["runs"], strict=True))
                self._drop(connection, runs)
            case "purge":
                self._purge(connection, str(arguments["edge"]))

    def amended(self, effect: Amended) -> None:
        """Answer: it is durable, or cannot be."""
        asked = self._asked.pop(effect.request)
        if not effect.ok:
            self._taken.difference_update((run, n) for n, run in asked.earlier.items())
            error = RunnerError("there is no room on the disk for it now", hint="free some space")
            self._refuse(asked.connection, error)
            return
        if effect.closed:
            self._strike(dict.fromkeys(effect.closed, self._server.broker.state.run))
        self._strike(asked.earlier)
        self._server.send(asked.connection, Answer(asked.result))

    def _strike(self, runs: dict[int, str]) -> None:
        with suppress(OSError):  # the journal has it; without one a letter too many is told
            deadletters.forget_each(self._state, runs)

    def _retry(self, connection: Connection, read: asyncio.Future[Dead]) -> None:
        self._reading.discard(read)
        error = read.exception()
        if error is not None:
            self._refuse(connection, RunnerError(f"the dead letters cannot be read: {error}"))
            return
        dead = read.result()
        state = self._server.broker.state
        refused = dict(dead.refused)
        letters: dict[int, Redrive] = {}
        earlier: dict[int, Redrive] = {}
        for number, revival in dead.revivals.items():
            if revival.edge not in state.edges:
                refused[number] = f"the pipeline has no edge {revival.edge} any more"
            elif dead.runs[number] == state.run:
                letters[number] = revival
            elif (dead.runs[number], number) not in self._taken:
                earlier[number] = revival
        for number, (stage, _index) in dead.sources.items():
            refused[number] = (
                f"{stage} has ended in this run: retry it when that is over, and it goes on"
                if dead.runs[number] == state.run
                else f"this run began {stage} anew; forget it: runner errors drop {number}"
            )
        runs = {number: dead.runs[number] for number in earlier}

        def decide(broker: Broker, request: int) -> tuple[int, ...]:
            return broker.retry(request, letters, tuple(earlier.values()))

        self._letters(connection, refused, decide, runs)

    def _drop(self, connection: Connection, runs: dict[int, str]) -> None:
        mine = self._server.broker.state.run
        numbers = [number for number, run in runs.items() if run == mine]
        earlier = {
            number: run
            for number, run in runs.items()
            if run != mine and (run, number) not in self._taken
        }
        if not self._is_ending():  # the file alone knows of these
            self._taken.update((run, number) for number, run in earlier.items())
            self._strike(earlier)
        done = tuple(earlier)
        self._letters(connection, {}, lambda broker, n: broker.drop(n, numbers), done=done)

    def _letters(
        self,
        connection: Connection,
        refused: dict[int, str],
        decide: Callable[[Broker, int], tuple[int, ...]],
        earlier: dict[int, str] | None = None,
        *,
        done: tuple[int, ...] = (),
    ) -> None:
        """Have the broker decide of letters, those of ``earlier`` runs too, beside what is done."""
        earlier = earlier or {}
        if self._is_ending():
            self._refuse(connection, _ending())
            return
        self._requests += 1
        request = self._requests
        result: dict[str, Any] = {"closed": (), "refused": list(refused.items())}
        self._asked[request] = _Asked(connection, result, earlier)
        self._taken.update((run, number) for number, run in earlier.items())

        def carry_out(broker: Broker, _now: float) -> None:
            result["closed"] = (*decide(broker, request), *earlier)

        self._server.apply(carry_out)
        is_begun = bool(result["closed"])
        result["closed"] += done
        if not is_begun:
            self._asked.pop(request)
            self._server.send(connection, Answer(result))

    def _purge(self, connection: Connection, edge: str) -> None:
        state = self._server.broker.state
        known = [*state.edges, *state.parked]
        if edge not in known:
            hint = f"queues: {', '.join(known)}"
            self._refuse(connection, UsageError(f"there is no queue {edge}", hint=hint))
            return
        if self._is_ending():
            self._refuse(connection, _ending())
            return
        self._requests += 1
        request = self._requests
        kept = state.edges.get(edge)
        leased = 0 if kept is None else kept.remaining - kept.queue.queued
        result = {"purged": 0, "leased": leased}
        self._asked[request] = _Asked(connection, result)

        def carry_out(broker: Broker, _now: float) -> None:
            result["purged"] = broker.purge(request, edge)

        self._server.apply(carry_out)
        if not result["purged"]:
            self._asked.pop(request)
            self._server.send(connection, Answer(result))

    def _refuse(self, connection: Connection, error: RunnerError) -> None:
        self._server.send(connection, Answer.refusing(error))


def _ending() -> RunnerError:
    return RunnerError("the run is just ending", hint="ask again once it has ended")
