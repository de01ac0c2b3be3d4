"""Queues on a screen: a line for each edge, or one for each of the items that are next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from pipeline_runner.observe.columns import Cell, Column, lay_out
from pipeline_runner.observe.printed import tame
from pipeline_runner.observe.quantity import duration, size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_EDGES = (
    Column("EDGE", "left", width=8),
    Column("QUEUED", width=6),
    Column("LEASED", width=6, drop=2),
    Column("WAITING", width=7, drop=3),
    Column("SIZE", width=6, drop=1),
    Column("OLDEST", width=6, drop=4),
    Column("", "left"),
)
_ITEMS = (
    Column("ITEM", "left", drop=1),
    Column("TRIES", drop=2),
    Column("VALUE", "left", cut=30),
)


def edges(backlogs: Sequence[Mapping[str, Any]], width: int) -> list[Text]:
    """Return a line of titles and one for each edge."""
    rows: list[list[Cell]] = [
        [
            Text(each["name"], "cyan"),
            f"{each['queued']:,}",
            f"{each['leased']:,}",
            f"{each['waiting']:,}",
            size(each["size_bytes"]),
            "-" if (oldest_s := each.get("oldest_s")) is None else duration(oldest_s),
            Text("PARKED", "red") if each.get("parked") else "",
        ]
        for each in backlogs
    ]
    return lay_out(_EDGES, rows, width, gap=2)


def items(seen: Sequence[Mapping[str, Any]], width: int) -> list[Text]:
    """Return a line of titles and one for each item, next first; values are cut at the edge."""
    rows: list[list[Cell]] = [
        [each["item_id"], str(each["attempts"]), Text(tame(each["value"]))] for each in seen
    ]
    return lay_out(_ITEMS, rows, width, gap=2)
