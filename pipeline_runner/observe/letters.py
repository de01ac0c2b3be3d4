"""Dead letters on a screen: a line for each, or one with all it holds."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from rich.text import Text

from pipeline_runner.escaping import escaped
from pipeline_runner.observe.columns import Cell, Column, lay_out
from pipeline_runner.observe.printed import tame
from pipeline_runner.observe.quantity import plural

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_COLUMNS = (
    Column("ID", width=4),
    Column("WHEN", "left", drop=2),
    Column("STAGE", "left"),
    Column("HOST", "left", drop=1),
    Column("TRIES", drop=3),
    Column("ERROR", "left", cut=30),
)
_GROUP_COLUMNS = (
    Column("COUNT", width=5),
    Column("STAGE", "left"),
    Column("LAST", "left", drop=1),
    Column("ID"),
    Column("FOR EXAMPLE", "left", cut=30),
)


def table(letters: Sequence[Mapping[str, Any]], width: int) -> list[Text]:
    """Return a line of titles and one for each letter; errors are cut at ``width`` cells."""
    rows: list[list[Cell]] = [
        [
            str(letter["letter"]),
            moment(letter["ts"]),
            Text(letter["stage"], "cyan"),
            letter["host"],
            str(letter["attempts"]),
            Text(tame(letter["error"]), "red"),
        ]
        for letter in letters
    ]
    return lay_out(_COLUMNS, rows, width, gap=2)


def groups(found: Sequence[Mapping[str, Any]], width: int) -> list[Text]:
    """Return a line of titles and one for each kind of letter, with an example of each."""
    rows: list[list[Cell]] = [
        [
            f"{group['count']:,}",
            Text(group["stage"], "cyan"),
            moment(group["last_ts"]),
            str(group["newest"]),
            Text(tame(group["error"]), "red"),
        ]
        for group in found
    ]
    return lay_out(_GROUP_COLUMNS, rows, width, gap=2)


def page(letter: Mapping[str, Any], payload: str, traceback: str) -> list[Text]:
    """Return all of one letter: the fault first, then its facts, its payload, its traceback."""
    lines = [
        Text.assemble(
            (f"dead letter {letter['letter']}", "bold"), "  ", (escaped(letter["error"]), "red")
        ),
        Text(),
    ]
    tries = plural(letter["attempts"], "attempt")
    facts = {
        "stage": letter["stage"],
        "edge": letter["edge"],
        "item": letter["item_id"],
        "when": f"{moment(letter['ts'])}, after {tries}",
        "where": f"{letter['host']}, pid {letter['pid']}",
        "release": letter["release"],
        "made by": letter["made_by"] if letter["made_by"] != letter["release"] else "",
        "cause": letter["cause"],
    }
    lines += [Text(f"{name:<8} {value}") for name, value in facts.items() if value]
    lines += [
        Text(),
        Text("payload", "bold"),
        *(Text(f"  {x}") for x in escaped(payload).splitlines()),
    ]
    if traceback:
        lines += [Text(), Text(escaped(traceback.rstrip()))]
    return lines


def moment(ts: float) -> str:
    """Return Unix time ``ts`` as local date and time: ``2025-03-09 14:02:11``."""
    return f"{datetime.fromtimestamp(ts, tz=timezone.utc).astimezone():%Y-%m-%d %H:%M:%S}"
