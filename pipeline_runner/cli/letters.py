"""``runner errors retry`` and ``drop``: dead letters go back to work, or for good."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from pipeline_runner.cli import output, project
from pipeline_runner.cli.options import CommonOptions, verb
from pipeline_runner.errors import ExitCode, NoHead, RunnerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from pipeline_runner.queues.broker.transaction import Transaction
    from pipeline_runner.queues.dead_letters import Dead, DeadLetter
    from pipeline_runner.queues.journal.recovery import OpenJournal

    _Steps = Callable[[OpenJournal], Sequence[Transaction]]

_AT_ONCE = 10_000  # letters of one step: between two the head does other work
_NUMBERS = click.argument("letters", metavar="[ID]...", type=int, nargs=-1)
_EVERY = click.option("--all", "every", is_flag=True, help="Every dead letter.")
_STAGE = click.option(
    "--stage", metavar="S", help="Those of stage S.", shell_complete=project.stage_names
)


@dataclass
class _Outcome:
    """What became of the letters that were named."""

    closed: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    running: bool = True
    sources: list[str] = field(default_factory=list)  # that go on where they failed
    notes: list[str] = field(default_factory=list)


@verb("retry", facts=True)
@_NUMBERS
@_EVERY
@_STAGE
def retry(
    common: CommonOptions, letters: tuple[int, ...], every: bool, stage: str | None
) -> ExitCode:
    """Put dead letters back into their queues.

    They are as if they had never failed. Without a running head the next `runner up` takes them,
    if the run had a journal. A source that failed goes on there where it was.
    """
    state = project.state_dir(common.file)
    chosen = _chosen(state, common, letters, every, stage)
    outcome = _Outcome()
    if chosen:
        outcome = _through_head(state, "retry", chosen) or _retry_here(state, common, chosen)
    where = "" if outcome.running else f": the next `runner up{common.again}` works on them"
    return _tell(common, outcome, "retried", f"back in the queue{where}")


@verb("drop", facts=True)
@_NUMBERS
@_EVERY
@_STAGE
@click.option("--yes", is_flag=True, help="Do not ask.")
def drop(
    common: CommonOptions, letters: tuple[int, ...], every: bool, stage: str | None, yes: bool
) -> ExitCode:
    """Forget dead letters and their items for good. Asks first."""
    from pipeline_runner.cli.confirm import sure
    from pipeline_runner.observe.quantity import plural

    state = project.state_dir(common.file)
    chosen = _chosen(state, common, letters, every, stage)
    outcome = _Outcome()
    if chosen:
        count = plural(len(chosen), "dead letter")
        sure(f"Drop {count}, with what they hold?", f"{count} would be gone for good", yes=yes)
        outcome = _through_head(state, "drop", chosen) or _drop_here(state, chosen)
    return _tell(common, outcome, "dropped", "gone for good")


def _chosen(
    state: Path, common: CommonOptions, numbers: Sequence[int], every: bool, stage: str | None
) -> list[DeadLetter]:
    """Return the letters that the arguments name. Raises UsageError for one that is not there."""
    from pipeline_runner.queues.dead_letters import read

    if bool(numbers) == (every or stage is not None):
        raise UsageError(
            "name the dead letters, or all of them, or those of a stage",
            hint="for example: runner errors retry 3 4, --all, or --stage resize",
        )
    found = sorted(read(state), key=lambda letter: letter.letter)
    if not numbers:
        return [letter for letter in found if stage in (None, letter.stage)]
    there = {letter.letter: letter for letter in found}
    for number in numbers:
        if number not in there:
            raise UsageError(f"there is no dead letter {number}", hint=which(found, common))
    return [there[number] for number in dict.fromkeys(numbers)]


def _through_head(state: Path, what: str, letters: Sequence[DeadLetter]) -> _Outcome | None:
    """Have the running head do it, a part at a time; None if there is none."""
    from pipeline_runner.head.control.client import ask

    outcome = _Outcome()
    for start in range(0, len(letters), _AT_ONCE):
        part = letters[start : start + _AT_ONCE]
        numbers, runs = [one.letter for one in part], [one.run for one in part]
        try:
            answer = ask(state, what, letters=numbers, runs=runs)
        except NoHead:
            if outcome.closed or outcome.refused:
                raise
            return None
        outcome.closed += answer["closed"]
        outcome.refused |= dict(answer["refused"])
    # What is neither was taken by somebody else between the look and the question.
    return outcome


def _retry_here(state: Path, common: CommonOptions, letters: Sequence[DeadLetter]) -> _Outcome:
    """Put letters back in the journal of a run that no head has. Raises RunnerError without one."""
    from pipeline_runner.head.address import held
    from pipeline_runner.queues import dead_letters as deadletters
    from pipeline_runner.queues.broker.transaction import Transaction, redriven, renamed
    from pipeline_runner.queues.journal import archive

    outcome = _Outcome(running=False)
    with held(state, state.name):
        if archive.found(state) is None:
            one = letters[0].letter
            raise RunnerError(
                "nothing goes on with them: their run has ended, and its queues with it",
                hint=f"try one here: runner errors show {one} --pdb{common.again}; a run whose "
                'durability is not "memory" can be gone on with',
            )
        dead = deadletters.redrive(state, {letter.letter for letter in letters})
        outcome.refused |= dead.refused
        edges = project.edge_names(common.file)
        earlier: dict[int, str] = {}

        def steps(opened: OpenJournal) -> list[Transaction]:
            own: list[int] = []
            for number, run in dead.runs.items():
                if number in dead.sources:
                    continue
                edge = dead.revivals[number].edge
                if edges is not None and edge not in edges:
                    outcome.refused[number] = f"the pipeline has no edge {edge} any more"
                elif run != opened.run:
                    earlier[number] = run
                elif number in opened.durable.dead:
                    own.append(number)
            first = opened.durable.next_body
            back = [dead.revivals[number] for number in own]
            back += renamed([dead.revivals[number] for number in earlier], first)
            outcome.closed += sorted([*own, *earlier])
            sources = _sources_again(opened, dead, project.stages_of(common.file), outcome)
            items = Transaction(redriven=redriven(back, first + len(earlier)), closed=own)
            return [items, *sources]

        _amend(state, steps, outcome)
        _forget(state, earlier)
    return outcome


def _sources_again(
    opened: OpenJournal, dead: Dead, stages: Collection[str] | None, outcome: _Outcome
) -> Iterator[Transaction]:
    """Yield the steps that let sources that failed go on behind the last item they gave."""
    from pipeline_runner.queues.broker.transaction import Transaction
    from pipeline_runner.wire.messages import Cursor

    reopened: set[tuple[str, int]] = set()
    for number, share in dead.sources.items():
        stage, index = share
        if stages is not None and stage not in stages:
            outcome.refused[number] = f"the pipeline has no stage {stage} any more"
        elif dead.runs[number] != opened.run:
            outcome.refused[number] = (
                f"a later run began {stage} anew; forget it: runner errors drop {number}"
            )
        elif number in opened.durable.dead:
            outcome.closed.append(number)
            outcome.sources.append(stage)
            step = Transaction(closed=[number])
            was = opened.durable.cursors.get(share)
            if was is not None and was.finished and share not in reopened:
                reopened.add(share)
                step.source = stage, index, Cursor(was.seq + 1, was.count, was.mark)
                step.builds_on = was.seq
            yield step


def _drop_here(state: Path, letters: Sequence[DeadLetter]) -> _Outcome:
    """Drop letters that no head knows of."""
    from pipeline_runner.head.address import held
    from pipeline_runner.queues import dead_letters as deadletters
    from pipeline_runner.queues.broker.transaction import Transaction
    from pipeline_runner.queues.journal import archive

    numbers = [letter.letter for letter in letters]
    outcome = _Outcome(closed=numbers, running=False)
    with held(state, state.name):
        if archive.found(state) is not None:
            _amend(state, lambda _opened: [Transaction(closed=numbers)], outcome)
        _forget(state, {letter.letter: letter.run for letter in letters})
        if not deadletters.read(state):
            archive.discard(state)
    return outcome


def _forget(state: Path, runs: dict[int, str]) -> None:
    """Take letters out of their file; ``runs`` says of which run each is."""
    from pipeline_runner.queues import dead_letters as deadletters

    deadletters.forget_each(state, runs)
    deadletters.sweep(state)


def _amend(state: Path, steps: _Steps, outcome: _Outcome) -> None:
    from pipeline_runner.queues import dead_letters as deadletters
    from pipeline_runner.queues.journal import archive

    opened = archive.amend(state, steps)
    outcome.notes += opened.damage
    left = opened.durable.dead.keys() - set(outcome.closed)
    deadletters.keep_only(state, opened.run, left)
    deadletters.sweep(state)


def _tell(common: CommonOptions, outcome: _Outcome, done: str, words: str) -> ExitCode:
    from pipeline_runner.observe.quantity import plural

    for note in outcome.notes:
        output.error(note, colour=common.colour)
    if common.json:
        facts = {done: outcome.closed, "refused": outcome.refused, "running": outcome.running}
        click.echo(json.dumps(facts, indent=2))
    for number, why in outcome.refused.items():
        output.error(f"dead letter {number} cannot be {done}: {why}", colour=common.colour)
    if not common.quiet and not common.json:
        if items := len(outcome.closed) - len(outcome.sources):
            output.fine(f"{plural(items, 'dead letter')} {words}")
        for stage in dict.fromkeys(outcome.sources):
            output.fine(f"{stage} goes on where it failed, with the next `runner up{common.again}`")
        if not outcome.closed and not outcome.refused:
            click.echo("no dead letters", err=True)
    return ExitCode.ERRORS if outcome.refused else ExitCode.OK


def which(letters: list[DeadLetter], common: CommonOptions) -> str:
    """Return which letters there are, for somebody who named another."""
    if not letters:
        return "there is none at all"
    first, last = letters[0].letter, letters[-1].letter
    span = str(first) if first == last else f"{first} to {last}"
    return f"there is {span}: runner errors list{common.again}"
