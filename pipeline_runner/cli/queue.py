"""``runner queue ls|peek|purge``: what lies in the queues, with or without a head."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from pipeline_runner.cli import project
from pipeline_runner.cli.edges import Ends, edge_meant
from pipeline_runner.cli.options import CommonOptions, verb
from pipeline_runner.errors import NoHead, RunnerError

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_runner.queues.broker.inspection import Seen


@click.group()
def queue() -> None:
    """Look into the queues of a run, or empty one.

    Without a running head they are read from the run's journal, if it has one.
    """


@verb("ls", facts=True)
def ls(common: CommonOptions) -> None:
    """List the queues and what they hold."""
    backlogs, running = _backlogs(common)
    if common.json:
        click.echo(json.dumps(backlogs, indent=2))
        return
    from pipeline_runner.cli import terminal
    from pipeline_runner.observe import backlog

    if not running and not common.quiet:
        click.echo("no head runs: this is what the journal holds", err=True)
    if backlogs:
        terminal.show(backlog.edges(backlogs, terminal.width()), common.colour)
    elif not common.quiet:
        click.echo("nothing is queued", err=True)


_edge = click.argument(
    "words", nargs=-1, required=True, metavar="EDGE", shell_complete=project.stage_names
)


@verb("peek", facts=True)
@_edge
@click.option(
    "-n", "most", type=click.IntRange(1, 1000), default=10, help="So many items.  [default: 10]"
)
def peek(common: CommonOptions, words: tuple[str, ...], most: int) -> None:
    """Show the items that are next in EDGE. They stay where they are.

    EDGE is its name, or the two stages that it joins: `runner queue peek parse enrich`.
    """
    state = project.state_dir(common.file)
    backlogs, running = _backlogs(common)
    edge = edge_meant(words, _ends(common.file, state, backlogs, running=running)).name
    seen, bodies = _first(state, edge, most, running=running)
    queued = next((each["queued"] for each in backlogs if each["name"] == edge), 0)
    values = _values(seen, bodies, common.file.resolve().parent)
    facts = [asdict(item) | {"value": values[item.body, item.place]} for item in seen]
    if common.json:
        click.echo(json.dumps(facts, indent=2))
        return
    from pipeline_runner.cli import terminal
    from pipeline_runner.observe import backlog

    if facts:
        terminal.show(backlog.items(facts, terminal.width()), common.colour)
    if not common.quiet:
        more = queued - len(facts)
        click.echo(f"and {more:,} more" if more > 0 and facts else "", err=True, nl=more > 0)
        if not queued:
            click.echo(f"nothing is queued in {edge}", err=True)


@verb("purge", facts=True)
@_edge
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge(common: CommonOptions, words: tuple[str, ...], yes: bool) -> None:
    """Throw away every item that is queued in EDGE. Asks first.

    EDGE is its name, or the two stages that it joins. What workers hold at this moment is not
    touched.
    """
    from pipeline_runner.cli.confirm import sure
    from pipeline_runner.observe.quantity import plural

    state = project.state_dir(common.file)
    backlogs, running = _backlogs(common)
    edge = edge_meant(words, _ends(common.file, state, backlogs, running=running)).name
    count = next((each["queued"] for each in backlogs if each["name"] == edge), 0)
    facts = {"purged": 0, "leased": 0}
    if count:
        items = plural(count, "item")
        sure(f"Throw away {items} of {edge}?", f"{items} of {edge} would be gone for good", yes=yes)
        facts = _purge(state, edge, running=running)
    if common.json:
        click.echo(json.dumps(facts, indent=2))
    elif not common.quiet:
        click.echo(f"{plural(facts['purged'], 'item')} of {edge} gone for good", err=True)
        if facts["leased"]:
            click.echo(f"{plural(facts['leased'], 'item')} in work left alone", err=True)


for each in (ls, peek, purge):
    queue.add_command(each)


def _backlogs(common: CommonOptions) -> tuple[list[dict[str, Any]], bool]:
    """Return every edge's backlog, and whether a head runs. Raises NoHead if there is nothing."""
    from pipeline_runner.head.control.client import ask

    state = project.state_dir(common.file)
    try:
        backlogs: list[dict[str, Any]] = ask(state, "queues")["edges"]
    except NoHead:
        from pipeline_runner.queues.journal.inspection import backlogs as kept

        left = kept(state)
        if left is None:
            raise
        edges = project.edge_names(common.file)
        return [
            each.as_json() | {"parked": edges is not None and each.name not in edges}
            for each in left
        ], False
    return backlogs, True


def _ends(file: Path, state: Path, backlogs: list[dict[str, Any]], *, running: bool) -> list[Ends]:
    """Return every edge there is: of the run, or of the journal and the file beside it."""
    if running:
        from pipeline_runner.head.control.client import ask

        facts = ask(state, "ps")
        parked = [Ends(each["name"], *_split(each["name"])) for each in facts.get("parked", ())]
        return [*(Ends(each["name"], each["from"], each["to"]) for each in facts["edges"]), *parked]
    try:
        edges = project.load(file).edges
    except RunnerError:  # what is queued can be looked at while the file is being edited
        edges = ()
    ends = {edge.name: Ends(edge.name, edge.from_, edge.to) for edge in edges}
    for each in backlogs:
        ends.setdefault(each["name"], Ends(each["name"], *_split(each["name"])))
    return list(ends.values())


def _split(name: str) -> tuple[str, str]:
    source, arrow, target = name.partition("->")
    return (source, target) if arrow else ("", "")


def _first(
    state: Path, edge: str, most: int, *, running: bool
) -> tuple[list[Seen], dict[int, bytes]]:
    """Return the next items of ``edge``, and their bodies."""
    if running:
        from pipeline_runner.head.control.client import ask_for_bodies
        from pipeline_runner.queues.broker.inspection import Seen

        result, data = ask_for_bodies(state, "peek", edge=edge, most=most)
        seen = [Seen(**item) for item in result["items"]]
        bodies: dict[int, bytes] = {}
        for number, size in result["bodies"]:
            bodies[number], data = data[:size], data[size:]
        return seen, bodies
    from pipeline_runner.queues.journal.inspection import first

    return first(state, edge, most) or ([], {})


def _purge(state: Path, edge: str, *, running: bool) -> dict[str, int]:
    if running:
        from pipeline_runner.head.control.client import ask

        return ask(state, "purge", edge=edge)
    from pipeline_runner.head.address import held
    from pipeline_runner.head.last_run import recall
    from pipeline_runner.queues.broker.transaction import Transaction
    from pipeline_runner.queues.dead_letters import read
    from pipeline_runner.queues.journal import archive

    purged = 0

    def step(opened: Any) -> list[Transaction]:
        nonlocal purged
        there = [(edge, body, spans) for body, spans in opened.durable.spans(edge)]
        purged = sum(hi - lo for _edge, _body, spans in there for lo, hi in spans)
        return [Transaction(consumed=there)]

    with held(state, state.name):
        last = recall(state)
        archive.amend(state, step, over=last.run if last is not None and last.is_over else "")
        if not read(state):  # there is nothing to retry
            archive.discard(state)
    return {"purged": purged, "leased": 0}


def _values(seen: list[Seen], bodies: dict[int, bytes], root: Path) -> dict[tuple[int, int], str]:
    """Return each item as text, or why it cannot be shown, by body and place."""
    from pipeline_runner.cli.decoding import shown

    values: dict[tuple[int, int], str] = {}
    for body, data in bodies.items():
        places = [item.place for item in seen if item.body == body]
        texts = shown(data, places, root)
        values |= {(body, at): text for at, text in zip(places, texts, strict=True)}
    return values
