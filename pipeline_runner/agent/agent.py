"""The agent: takes desired state from the head, and keeps this host's workers what it says."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline_runner.agent.descendants import adopt_orphans, end_descendants, reap_orphans
from pipeline_runner.agent.disconnect_policy import DisconnectPolicy, next_step
from pipeline_runner.agent.files import Files, synced
from pipeline_runner.agent.link import HeadLink
from pipeline_runner.agent.new_key import keep
from pipeline_runner.agent.notices import lacked, say_nothing, tell_fault, told, waits_after
from pipeline_runner.agent.orphans import end_orphans
from pipeline_runner.agent.reporting import Reporter
from pipeline_runner.agent.supervise import Supervisor
from pipeline_runner.agent.worker_output import WorkerOutput
from pipeline_runner.errors import ExitCode, NoHead
from pipeline_runner.wire.control_messages import (
    Desired,
    Dismiss,
    Leaving,
    ManifestData,
    NewKey,
    ObjectData,
)
from pipeline_runner.wire.messages import PROTOCOL, Hello

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_runner.agent.discovery.reconnect import Route, Seeker
    from pipeline_runner.agent.host_config import HostConfig
    from pipeline_runner.errors import RunnerError
    from pipeline_runner.wire.control_messages import Ready
    from pipeline_runner.wire.messages import Message

BEAT_S = 2.0
CHECK_S = 0.1
AGAIN_AFTER_S = 0.2  # a second Ctrl-C sooner is the same one: a shell may send it twice
_SIGNALS = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}


class Agent:
    """One host's agent. ``say`` tells a person, in a word and a sentence, what goes on here."""

    def __init__(
        self, seeker: Seeker, terms: HostConfig, say: Callable[[str, str], None] = say_nothing
    ) -> None:
        self._config = terms
        self._say = say
        self._id = secrets.token_hex(8)  # for life: a head knows a host again by it
        self._loop = asyncio.get_running_loop()
        self._link = HeadLink(seeker, self)
        self._reporter = Reporter(terms.host, self._send)
        watching = WorkerOutput(self._reporter)
        self._supervisor = Supervisor(terms.host, watching, terms.output, holds=not terms.local)
        watching.reads = self._supervisor.read
        self._files = Files(
            terms.store,
            terms.output,
            self._send,
            self._files_ready,
            self._say_moved,
            lambda text: self._say("sync", text),
            compares=not terms.local,  # the head's own host has what the head has
        )
        self._desired: Desired | None = None  # what its files are awaited for
        self._run = ""
        self._hold_s = 0.0
        self._disconnect_policy: DisconnectPolicy | None = None  # between two heads
        self._dismissed = ""
        self._leaving_at: float | None = None
        self._code = ExitCode.OK
        self._work: str | None = None  # as it was said last
        self._lacks: list[str] = []  # likewise
        self._stops_at_once = False  # with all that user code has started, wherever that is
        self._over = asyncio.Event()

    async def run(self, way: Route) -> ExitCode:
        """Work from this connection on until it is over; no worker is left behind."""
        loop = self._loop
        loop.set_exception_handler(self._crashed)
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        if self._config.local:
            loop.add_signal_handler(signal.SIGTERM, self._over.set)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the head's to interpret
        else:
            for number in _SIGNALS:
                loop.add_signal_handler(number, self._on_signal, number)
        end_orphans()
        adopt_orphans()
        self._link.take(way)
        tending = loop.create_task(self._tend())
        tending.add_done_callback(tell_fault)
        await self._over.wait()
        tending.cancel()
        self._supervisor.starts = False
        self._supervisor.kill_all()
        while self._supervisor.processes:
            self._supervisor.reap(loop.time())
            await asyncio.sleep(0.01)
        if self._stops_at_once:
            end_descendants()
        self._files.close()
        await asyncio.sleep(0)  # what it had to say comes by way of the loop
        self._link.close()
        return self._code

    def _crashed(self, loop: asyncio.AbstractEventLoop, about: dict[str, Any]) -> None:
        """End on a fault of our own: half alive, an agent holds what others wait for."""
        loop.default_exception_handler(about)
        self._code = ExitCode.ERRORS
        self._over.set()

    # What the line to the head tells.

    def head_found(self, way: Route) -> None:
        """Say HELLO to a head, and what is here from an earlier one."""
        self._dismissed = ""
        if self._disconnect_policy is not None:
            self._disconnect_policy = replace(
                self._disconnect_policy, dismissed="", known_dead=False
            )
            self._say("found", f"the head again, at {way.door}")
        self._supervisor.use_door(way.door)
        processes = self._supervisor.processes.values()
        workers = tuple(process.id for process in processes if process.was_ready)
        host, ended = self._reporter.host, self._supervisor.ended
        about = self._config.about(self._id)
        self._send(Hello("agent", host, "", "", 0, os.getpid(), PROTOCOL, about, workers, ended))
        self._reporter.catch_up()
        self._tell()
        if self._leaving_at is not None:
            self._send(Leaving())

    def head_said(self, message: Any, body: bytes | memoryview) -> None:
        """Do what the head wants."""
        match message:
            case Desired():
                self._want(message)
            case ManifestData() | ObjectData():
                self._files.take_in(message, body)
            case Dismiss():
                self._dismissed = message.why
                if message.why == "drained":
                    self._say("left", "the head has released this host")
                    self._link.drop()
            case NewKey():
                self._rekey(message.key)

    def head_gone(self) -> None:
        """Hold on, wait for another, or end."""
        terms, now = self._config, self._loop.time()
        self._disconnect_policy = DisconnectPolicy(
            terms.local, terms.once, now, self._hold_s, self._dismissed
        )
        self._files.head_gone()
        self._supervisor.starts = False
        self._part()
        if self._over.is_set():
            return
        if self._dismissed:
            self._say("waits", waits_after(self._dismissed))
            self._work = None
        else:
            self._say("cut", "no word from the head: looks for it, and keeps what is done here")
        self._link.seek()

    def head_missed(self, error: RunnerError, tries: int) -> bool:
        """Go on looking, unless it has been enough."""
        if self._disconnect_policy is not None:
            nobody = isinstance(error.__cause__, ConnectionRefusedError)
            self._disconnect_policy = replace(self._disconnect_policy, known_dead=nobody)
        if tries == 1 and not isinstance(error, NoHead):
            self._say("refused", error.message)
        self._part()
        return not self._over.is_set()

    def _rekey(self, key: bytes) -> None:
        """Keep a new key: the former will not let us or our workers in again."""
        new = self._link.rekey(key)
        if new is not None:
            identity, door = new
            self._supervisor.use_door(door)
            keep(identity, self._say)

    def _want(self, desired: Desired) -> None:
        supervisor = self._supervisor
        if (self._run, self._reporter.host) != (desired.run, desired.host):
            # What workers of another run hold is worth nothing, nor is another host's name.
            supervisor.want_nothing()
            supervisor.kill_all()
            self._run = desired.run
            self._reporter.host = supervisor.host = desired.host
        self._hold_s = desired.hold_s
        if self._disconnect_policy is not None:
            self._disconnect_policy = None
            supervisor.starts = True
            supervisor.keep_ended(desired.finished)
        self._desired = desired
        if desired.release:
            self._files.want(desired.release)
        self._work_in(desired)
        self._stops_at_once = desired.at_once
        if desired.at_once:
            self._supervisor.kill_all()  # first, so that it is known: they died of no item
            end_descendants()

    def _files_ready(self, ready: Ready) -> None:
        """Tell the head, and begin what had to wait for them."""
        self._send(ready)
        if synced(ready):
            self._say("sync", synced(ready))
        if self._desired is not None:
            self._work_in(self._desired)

    def _say_moved(self, text: str, hint: str) -> None:
        self._say("moved", f"{text}; {hint}")

    def _work_in(self, desired: Desired) -> None:
        """Have workers do what is desired, once the release is there that they are to run in."""
        root = self._files.root(desired.release) if desired.release else self._config.output
        if root is None and any(desired.slots.values()):
            return
        supervisor = self._supervisor
        self._say_work(desired)
        supervisor.want(desired, root)
        if self._leaving_at is not None:
            supervisor.want_nothing(desired.grace_s)
        supervisor.reconcile(self._loop.time())

    def _say_work(self, desired: Desired) -> None:
        lacks, self._lacks = self._lacks, lacked(desired)
        for sentence in self._lacks:
            if sentence not in lacks:
                self._say("lacks", sentence)
        work = told(desired)
        if work is not None and work != self._work and self._leaving_at is None:
            self._work = work
            self._say("work", work)

    def _part(self) -> None:
        if self._disconnect_policy is None:
            return
        workers, leaving = len(self._supervisor.processes), self._leaving_at is not None
        parting = replace(self._disconnect_policy, workers=workers, leaving=leaving)
        step = next_step(parting, self._loop.time())
        if step == "clear":
            self._supervisor.kill_all()
        elif step == "end" and not self._over.is_set():
            if not parting.is_orderly:
                self._code = ExitCode.NO_HEAD
                self._say("ends", "the head has gone, and with it all that it kept in memory")
            self._over.set()

    def _on_signal(self, number: signal.Signals) -> None:
        now = self._loop.time()
        if self._leaving_at is None:
            self._leaving_at = now
            self._say("leaves", "when its workers have finished what they hold; again stops now")
            self._send(Leaving())
            self._supervisor.want_nothing()
            self._supervisor.reconcile(now)
        elif now - self._leaving_at >= AGAIN_AFTER_S:
            self._code = _SIGNALS[number]
            self._stops_at_once = True
            self._over.set()

    def _reap(self) -> None:
        self._supervisor.reap(self._loop.time())
        reap_orphans(self._supervisor.processes)

    def _send(self, message: Message) -> bool:
        self._link.send(message)
        return self._link.is_up

    def _tell(self) -> None:
        self._reporter.beat(self._supervisor.processes.values())

    async def _tend(self) -> None:
        beat_at = self._loop.time() + BEAT_S
        while True:
            await asyncio.sleep(CHECK_S)
            now = self._loop.time()
            self._supervisor.check(now)
            self._link.look(now)
            if not self._supervisor.processes:  # none runs in an older release any more
                wanted = self._desired if self._link.is_up else None
                self._files.keep_only("" if wanted is None else wanted.release)
            self._part()
            if self._leaving_at is not None and not self._supervisor.processes:
                self._over.set()
            if now >= beat_at or self._reporter.is_behind(self._supervisor.processes.values()):
                beat_at = now + BEAT_S
                self._tell()
