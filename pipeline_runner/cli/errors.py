"""``runner errors list|show|retry|drop``: dead letters, with or without a head."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from pipeline_runner.cli import project
from pipeline_runner.cli.letters import drop, retry, which
from pipeline_runner.cli.options import CommonOptions, verb
from pipeline_runner.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from pipeline_runner.queues.dead_letters import DeadLetter

_PAGE = 50  # letters of a page; with more, what is wanted first is what there is


@click.group()
def errors() -> None:
    """List, retry or drop dead letters: items that failed for good.

    Each is kept with its payload and its traceback.
    """


@verb("list", facts=True)
@click.option("--stage", metavar="S", help="Those of stage S.", shell_complete=project.stage_names)
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="N letters a page.")
@click.option("--page", metavar="P", type=click.IntRange(min=1), help="Page P; 1 is the oldest.")
@click.option(
    "--grouped/--each",
    default=None,
    help="A line for each exception, or for each letter.  [default: grouped from 51 letters on]",
)
def list_(
    common: CommonOptions,
    stage: str | None,
    limit: int | None,
    page: int | None,
    grouped: bool | None,
) -> None:
    """List the dead letters, oldest first, or count them by exception."""
    letters = [one for one in _letters(common) if stage in (None, one.stage)]
    pages = limit is not None or page is not None
    if common.json:
        _print_json(letters, limit, page, grouped=bool(grouped))
        return
    if not letters:
        if not common.quiet:
            click.echo("no dead letters", err=True)
        return
    from pipeline_runner.cli import terminal
    from pipeline_runner.observe import letters as screen

    if grouped or (grouped is None and not pages and len(letters) > _PAGE):
        groups = _groups(letters)
        terminal.show(screen.groups(groups, terminal.width()), common.colour)
        if not common.quiet:
            _tell_groups(letters, groups, common)
        return
    some = _page_of(letters, limit or _PAGE, page or 1)
    terminal.show(screen.table([_facts(x) for x in some], terminal.width()), common.colour)
    if not common.quiet:
        if len(some) < len(letters):
            _tell_page(letters, limit or _PAGE, page or 1, common)
        click.echo(f"look at one:  runner errors show {some[-1].letter}{common.again}", err=True)
        _tell_retry(letters, common)


def _print_json(
    letters: list[DeadLetter], limit: int | None, page: int | None, *, grouped: bool
) -> None:
    import msgspec

    facts: list[dict[str, Any]]
    if grouped:
        facts = _groups(letters)
    elif limit is not None or page is not None:
        facts = [_facts(x) for x in _page_of(letters, limit or _PAGE, page or 1, exact=False)]
    else:
        facts = [_facts(letter) for letter in letters]
    click.echo(msgspec.json.format(msgspec.json.encode(facts)))


def _page_of(
    letters: list[DeadLetter], limit: int, page: int, *, exact: bool = True
) -> list[DeadLetter]:
    """Return one page. Past the last it is empty, or if ``exact`` UsageError is raised."""
    some = letters[(page - 1) * limit : page * limit]
    if not some and exact:
        raise UsageError(
            f"there is no page {page}", hint=f"the last is {-(-len(letters) // limit)}"
        )
    return some


def _tell_page(letters: list[DeadLetter], limit: int, page: int, common: CommonOptions) -> None:
    last = -(-len(letters) // limit)
    of = f"page {page} of {last:,}, {len(letters):,} dead letters in all"
    if page < last:
        by = f" --limit {limit}" if limit != _PAGE else ""
        of += f": runner errors list --page {page + 1}{by}{common.again}"
    click.echo(of, err=True)


def _tell_groups(
    letters: list[DeadLetter], groups: list[dict[str, Any]], common: CommonOptions
) -> None:
    from pipeline_runner.observe.quantity import plural

    total = f"{len(letters):,} dead letters of {plural(len(groups), 'kind')}"
    click.echo(f"{total}; one by one: runner errors list --page 1{common.again}", err=True)
    newest = groups[0]["newest"]
    click.echo(f"look at one:  runner errors show {newest}{common.again}", err=True)
    _tell_retry(letters, common)


def _tell_retry(letters: list[DeadLetter], common: CommonOptions) -> None:
    newest = letters[-1].run
    if earlier := sum(one.run != newest for one in letters):
        are = "is" if earlier == 1 else "are"
        click.echo(f"{earlier:,} of them {are} of earlier runs", err=True)
    click.echo(f"once mended:  runner errors retry --all{common.again}", err=True)


def _groups(letters: list[DeadLetter]) -> list[dict[str, Any]]:
    """Return how many letters of a stage failed with the same exception, most first."""
    found: dict[tuple[str, str, str], list[DeadLetter]] = {}
    for letter in letters:
        context = letter.context
        kind = letter.error.partition(":")[0]
        found.setdefault((context.stage, kind, context.cause), []).append(letter)
    return [
        {
            "count": len(some),
            "stage": stage,
            "exception": kind,
            "cause": cause,
            "oldest": some[0].letter,
            "newest": some[-1].letter,
            "first_ts": some[0].ts,
            "last_ts": some[-1].ts,
            "error": some[-1].error,
        }
        for (stage, kind, cause), some in sorted(found.items(), key=lambda one: -len(one[1]))
    ]


@verb("show", facts=True)
@click.argument("letter", metavar="ID", type=int)
@click.option("--pdb", "debugs", is_flag=True, help="Run its item here, and debug what fails.")
def show(common: CommonOptions, letter: int, debugs: bool) -> int:
    """Show one dead letter, with payload and traceback."""
    letters = _letters(common)
    found = next((each for each in letters if each.letter == letter), None)
    if found is None:
        raise UsageError(f"there is no dead letter {letter}", hint=which(letters, common))
    if debugs:
        from pipeline_runner.cli.postmortem import examine

        return examine(found, common)
    payload = _payload(found, common)
    if common.json:
        facts = _facts(found) | {"traceback": found.traceback, "payload": payload}
        click.echo(json.dumps(facts, indent=2))
        return ExitCode.OK
    from pipeline_runner.cli import terminal
    from pipeline_runner.observe import letters as screen

    terminal.show(screen.page(_facts(found), payload, found.traceback), common.colour)
    return ExitCode.OK


errors.add_command(list_)
errors.add_command(show)
errors.add_command(retry)
errors.add_command(drop)


def _letters(common: CommonOptions) -> list[DeadLetter]:
    from pipeline_runner.queues.dead_letters import read

    return sorted(read(project.state_dir(common.file)), key=lambda letter: letter.letter)


def _facts(letter: DeadLetter) -> dict[str, Any]:
    context = letter.context
    return {
        "letter": letter.letter,
        "ts": letter.ts,
        "run": context.run,
        "stage": context.stage,
        "edge": context.edge,
        "item_id": letter.item_id,
        "host": context.host,
        "pid": context.pid,
        "release": context.release,
        "made_by": context.made_by,
        "attempts": letter.attempts,
        "error": letter.error,
        "cause": context.cause,
    }


def _payload(letter: DeadLetter, common: CommonOptions) -> str:
    """Return the payload as Python would show it, or why it cannot be shown."""
    from pipeline_runner.cli.decoding import shown

    if not letter.has_item:
        return letter.shown
    try:
        body, at = letter.held_in()
    except (OSError, ValueError) as fault:
        return f"<cannot be read here: {fault}>"
    return shown(body, [at], common.file.resolve().parent, pretty=True)[0]
