"""How a run begins: anew, or where an earlier head left it."""

from __future__ import annotations

import secrets
import socket
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline_runner.errors import RunnerError
from pipeline_runner.events import Notice
from pipeline_runner.head import last_run
from pipeline_runner.head.hosts import survivors
from pipeline_runner.head.hosts.survivors import LeftBehind
from pipeline_runner.observe.sentences import parked, parked_cure
from pipeline_runner.queues import dead_letters
from pipeline_runner.queues.broker.broker import Broker
from pipeline_runner.queues.journal import archive
from pipeline_runner.queues.journal.inspection import backlogs
from pipeline_runner.queues.journal.recovery import forget, open_journal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.queues.broker.topology import Topology
    from pipeline_runner.queues.journal.recovery import OpenJournal


@dataclass(frozen=True, slots=True)
class Start:
    """What a head starts from. Without a ``journal`` nothing outlives it."""

    pipeline: Pipeline
    journal: OpenJournal | None
    letters: int = 0  # dead letters that were kept before this head, of whatever run
    next_letter: int = 1  # the first number that none of them has

    @property
    def continues(self) -> bool:
        """Whether an earlier head's run goes on."""
        return self.journal is not None and self.journal.continues

    def broker(self, topology: Topology, closed_until: float | None) -> Broker:
        """Return a broker over what is durable; it grants nothing before ``closed_until``."""
        if self.journal is None:
            broker = Broker(topology, run=secrets.token_hex(8))
            broker.state.next_letter = self.next_letter
            return broker
        broker = Broker(
            topology,
            run=self.journal.run,
            epoch=self.journal.epoch,
            durable=self.journal.durable,
            closed_until=closed_until,
        )
        broker.state.memory_bytes = self.pipeline.server.memory
        # A letter is named by its number alone, whatever run it is of.
        broker.state.next_letter = max(broker.state.next_letter, self.next_letter)
        for stage, count in self.journal.shares.items():
            if stage in topology.stages:
                broker.processes(stage, count)
        return broker

    def left_behind(self, *, works: bool) -> LeftBehind:
        """Return what outlived an earlier head and can go on; end an agent here that cannot."""
        state = self.pipeline.state_dir
        agent = survivors.recall(state)
        if not self.continues:
            survivors.forget_hosts(state)
        if agent is not None and not (works and self.continues):
            survivors.kill(agent)
            agent = None
        found = survivors.recall_hosts(state)
        return LeftBehind.of(found, agent, here=socket.gethostname(), works=works)

    def notices(self, queued: int) -> Iterator[Notice]:
        """Drop what of the dead letters is none any more, and yield what a person should know."""
        now = time.time()
        if self.journal is None or not self.continues:
            yield from self._left_in_journal(now)
            if self.letters:
                are, them = ("is", "it") if self.letters == 1 else ("are", "them")
                kept = f"{_letters(self.letters)} of earlier runs {are} kept"
                text = f"{kept}, and this run does not try {them} again"
                yield Notice(now, "warning", text, f"once what failed is mended: {_RETRY}")
            return
        for damage in self.journal.damage:
            yield Notice(now, "error", damage)
        letters = self.journal.durable.dead.keys()
        dead_letters.keep_only(self.pipeline.state_dir, self.journal.run, letters)
        dead_letters.sweep(self.pipeline.state_dir)
        if count := len(dead_letters.read(self.pipeline.state_dir)):  # of earlier runs, too
            text = f"{_letters(count)} {'is' if count == 1 else 'are'} kept"
            yield Notice(now, "warning", text, f"once what failed is mended: {_RETRY}")
        items = "nothing is" if not queued else "1 item" if queued == 1 else f"{queued:,} items"
        yield Notice(
            now, "info", f"goes on where it stopped: {items} queued", "--fresh begins anew"
        )
        for edge, backlog in self.journal.durable.backlogs().items():
            if edge not in {one.name for one in self.pipeline.edges}:
                yield Notice(now, "warning", parked(backlog.items, edge), parked_cure(edge))

    def _left_in_journal(self, now: float) -> Iterator[Notice]:
        """Yield what an earlier run keeps that this one, in memory, does not go on with."""
        if self.journal is not None:
            return
        left = 0
        with suppress(RunnerError):  # whoever goes on with it is told what is wrong with it
            left = sum(each.queued for each in backlogs(self.pipeline.state_dir) or ())
        if left:
            items, stay = ("1 item", "stays") if left == 1 else (f"{left:,} items", "stay")
            text = f"{items} of an earlier run {stay} in its journal: this run is kept in memory"
            yield Notice(now, "warning", text, 'durability = "fsync" goes on with that one')

    def broken(self, error: Exception) -> RunnerError:
        """Return what ends a run whose disk failed."""
        return RunnerError(
            f"the disk under {self.pipeline.state_dir} failed: {error}",
            hint="nothing acknowledged is lost: once the disk is sound, `runner up` goes on",
        )

    def lost(self) -> RunnerError:
        """Return what ends a run whose state folder is not there any more."""
        return RunnerError(
            f"{self.pipeline.state_dir} was deleted or moved while the run used it",
            hint="what was queued is gone with it; if it was moved, `runner up` goes on there",
        )

    def crashed(self, error: BaseException | None, message: str) -> RunnerError:
        """Return what ends a run in which we ourselves made a mistake; the log gets the whole."""
        log = self.pipeline.state_dir / "logs" / "head.log"
        hint = f"the traceback is in {log}"
        try:
            with log.open("a", encoding="utf-8") as file:
                traceback.print_exception(error, file=file) if error else file.write(message)
        except OSError as fault:
            hint = f"the traceback could not be written to {log}: {fault.strerror}"
        if self.journal is not None:
            hint += "; nothing acknowledged is lost: `runner up` goes on"
        what = f"{type(error).__name__}: {error}" if error else message
        return RunnerError(f"the head failed, and not for anything of yours: {what}", hint=hint)

    def forget(self) -> None:
        """Leave nothing of a run that is over to go on with, but dead letters to retry."""
        if self.journal is None:
            return
        if dead_letters.read(self.pipeline.state_dir):
            archive.keep(self.pipeline.state_dir)
        else:
            forget(self.pipeline.state_dir)


_RETRY = "runner errors retry --all"


def _letters(count: int) -> str:
    return "1 dead letter" if count == 1 else f"{count:,} dead letters"


def begin(pipeline: Pipeline, *, fresh: bool) -> Start:
    """Open what an earlier head left, or begin anew. The state folder is locked by now.

    Raises RunnerError where the journal cannot be used.
    """
    archive.discard(pipeline.state_dir)
    last_run.forget(pipeline.state_dir)
    numbers = [letter.letter for letter in dead_letters.read(pipeline.state_dir)]
    kept = len(numbers), 1 + max(numbers, default=0)
    if pipeline.durability == "memory":
        if fresh:
            forget(pipeline.state_dir)
        return Start(pipeline, None, *kept)
    opened = open_journal(
        pipeline.state_dir,
        fresh=fresh,
        relaxed=pipeline.durability == "relaxed",
    )
    return Start(pipeline, opened, *kept)
