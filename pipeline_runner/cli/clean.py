"""``runner clean``: delete what earlier runs left, after saying how much it is."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline_runner.cli import output as say
from pipeline_runner.cli import project
from pipeline_runner.cli.options import DEFAULT_FILE, CommonOptions, verb
from pipeline_runner.errors import AlreadyRunning

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class _Left:
    path: Path
    what: str
    size_bytes: int
    output: Path | None = None  # of a cache: where things go that user code wrote into it
    letters: dict[int, str] | None = None  # of dead letters: their numbers, and the run of each


@verb("clean", facts=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
def clean(common: CommonOptions, yes: bool) -> None:
    """Delete what earlier runs left behind.

    Old dead letters, logs, finished journals, and copies of the project's files. Says first what
    and how much. Never touches a run that lives, or can be gone on with.
    """
    from pipeline_runner.queues.journal.recovery import NAME

    root = common.file.resolve().parent
    if common.file == DEFAULT_FILE and not common.file.exists():
        state = Path(".runner")  # a machine that only joined: it has caches alone
    else:
        state = project.state_dir(common.file)
    with _free(state) as is_free:
        left = _left(state, root, is_free=is_free)
    if common.json:
        click.echo(json.dumps([_facts(each, state) for each in left], indent=2))
        if not yes:
            return
    elif not common.quiet:
        _show(left, stays=state.is_dir() and (not is_free or (state / NAME).exists()))
    if left:
        _delete(state, root, left, yes=yes, quiet=common.quiet or common.json)


def _left(state: Path, root: Path, *, is_free: bool) -> list[_Left]:
    """Return what can go; with ``is_free`` no head has the folder."""
    from pipeline_runner.observe.quantity import plural
    from pipeline_runner.queues import dead_letters
    from pipeline_runner.queues.journal.archive import FINISHED
    from pipeline_runner.queues.journal.inspection import run_of
    from pipeline_runner.queues.journal.recovery import NAME
    from pipeline_runner.sync.survey import size_of

    found = [
        (path, "dead letters of an earlier run")
        for path in sorted(state.glob("dead-*"))
        if path.is_dir()
    ]
    if is_free and not (state / NAME).exists():
        found.append((state / "logs", "what workers printed"))
        run = run_of(state)
        own = sum(letter.run == run for letter in dead_letters.read(state))
        letters = plural(own, "dead letter")
        text = f"the journal of a finished run: without it its {letters} cannot be retried"
        found.append((state / FINISHED, text))
    left = [_Left(path, what, size_of(path)) for path, what in found if path.exists()]
    left += _earlier_letters(state) if is_free else ()
    return left + [cache for cache in _caches(state, root, is_free=is_free) if cache.path.exists()]


def _earlier_letters(state: Path) -> Iterator[_Left]:
    """Yield the dead letters that are not of the last run."""
    from pipeline_runner.head.last_run import recall
    from pipeline_runner.observe.quantity import plural
    from pipeline_runner.queues import dead_letters
    from pipeline_runner.queues.journal.inspection import run_of
    from pipeline_runner.sync.survey import size_of

    kept = dead_letters.read(state)
    last = recall(state)
    run = run_of(state) or (last.run if last is not None else "")
    earlier = {letter.letter: letter.run for letter in kept if letter.run != run}
    if run and earlier:
        folder = state / dead_letters.FOLDER
        share = size_of(folder) * len(earlier) // len(kept)
        what = f"{plural(len(earlier), 'dead letter')} of earlier runs"
        yield _Left(folder, what, share, letters=earlier)


def _caches(state: Path, root: Path, *, is_free: bool) -> Iterator[_Left]:
    """Yield the copies of the project that nobody works in: they are made again when needed."""
    from pipeline_runner.head.files.releases import FOLDER
    from pipeline_runner.sync.cache_dirs import output_of
    from pipeline_runner.sync.clearing import is_used, joined
    from pipeline_runner.sync.survey import size_of

    own = state / FOLDER
    if is_free and own.is_dir() and not is_used(own):
        what = "copies of the project that workers ran in"
        yield _Left(own, what, size_of(own), root)
    for cache, pipeline in joined().items():
        if (pipeline == state.name or not state.is_dir()) and not is_used(cache):
            what = f"copies of {pipeline}, from when this machine joined it"
            yield _Left(cache, what, size_of(cache), output_of(pipeline))


def _delete(state: Path, root: Path, left: list[_Left], *, yes: bool, quiet: bool) -> None:
    from pipeline_runner.cli.confirm import sure
    from pipeline_runner.observe.quantity import size
    from pipeline_runner.queues import dead_letters

    total = size(sum(each.size_bytes for each in left))
    sure(f"Delete {total}?", f"{total} would be gone for good", yes=yes)
    with _free(state) as is_free:
        # A run may have begun while the question stood.
        still = {each.path for each in _left(state, root, is_free=is_free)}
        for each in left:
            if each.path not in still:
                continue
            if each.letters is not None:
                dead_letters.forget_each(state, each.letters)
                dead_letters.sweep(state)
            elif each.output is not None:
                _clear(each.path, each.output)
            elif each.path.is_dir():
                shutil.rmtree(each.path)
            else:
                each.path.unlink()
    if not quiet:
        say.fine(f"{total} deleted")


def _clear(cache: Path, output: Path) -> None:
    from pipeline_runner.sync.clearing import clear
    from pipeline_runner.sync.local_writes import told

    moved = clear(cache, output)
    if moved:
        say.note(told(moved, output)[0])


@contextmanager
def _free(state: Path) -> Iterator[bool]:
    """Keep heads out of ``state`` meanwhile; gives False, and keeps nobody out, if one is there."""
    from pipeline_runner.head.address import held

    with ExitStack() as stack:
        is_free = state.is_dir()
        try:
            if is_free:
                stack.enter_context(held(state, state.name))
        except AlreadyRunning:
            is_free = False
        yield is_free


def _show(left: list[_Left], *, stays: bool) -> None:
    from pipeline_runner.observe.quantity import size

    width = max((len(each.path.name) for each in left), default=0)
    for each in left:
        click.echo(f"{size(each.size_bytes):>6}  {each.path.name:<{width}}  {each.what}")
    if not left:
        click.echo("nothing to delete", err=True)
    if stays:
        click.echo(
            "a run that is not over keeps its journal, its logs and its dead letters", err=True
        )


def _facts(left: _Left, state: Path) -> dict[str, object]:
    inside = left.path.is_relative_to(state)
    name = str(left.path.relative_to(state) if inside else left.path)
    return {"name": name, "what": left.what, "size_bytes": left.size_bytes}
