"""How a run ended: a sentence, a line for each stage, and what to look at next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from pipeline_runner.observe import quantity
from pipeline_runner.observe.columns import Cell, Column, fit, lay_out
from pipeline_runner.observe.sentences import parked, parked_cure
from pipeline_runner.observe.tree import branches

if TYPE_CHECKING:
    from pipeline_runner.observe.snapshot import Snapshot, StageView

_COLUMNS = (
    Column("STAGE", "left", width=8),
    Column("IN", width=6),
    Column("OUT", width=6),
    Column("FAILED", width=6),
    Column("DEAD", width=4),
    Column("TIME", width=6),
    Column("RATE", width=7),
    Column("P50", width=6, drop=1),
    Column("P99", width=6, drop=2),
)
_STYLES = {"finished": "bold green", "stopped": "bold", "failed": "bold red"}


def summary(final: Snapshot, lost: int, width: int, *, again: str = "") -> list[Text]:
    """Return the lines that end a run; ``again`` names the same pipeline to a command."""
    rows = [_row(b.indent, b.stage, final.up_s) for b in branches(final)]
    lines = [_verdict(final), *lay_out(_COLUMNS, rows, width, gap=2)]
    lines += [
        Text(f"{stage.name}: {stage.reason}", "red")
        for stage in final.stages
        if stage.reason and stage.state != "finished"
    ]
    lines += [
        Text(
            f"{stage.name} gave no items; of the project it sees what `runner files{again}` lists",
            "yellow",
        )
        for stage in final.stages
        if stage.kind == "source"
        and stage.state == "finished"
        and stage.out == stage.failed == stage.dead == 0
    ]
    if final.note:
        lines.append(Text(final.note, "yellow"))
    if lost:
        items = quantity.plural(lost, "item")
        lines.append(Text(f"{items} lost: what was queued in memory is gone", "bold red"))
    for one in final.parked:
        lines.append(Text(parked(one.queued, one.name), "bold red"))
        lines.append(Text(f"  {parked_cure(one.name, again=again)}"))
    if final.dead_letters:
        kept = (
            "1 dead letter is kept"
            if final.dead_letters == 1
            else (f"{final.dead_letters:,} dead letters are kept")
        )
        lines.append(
            Text.assemble(
                (kept, "red"),
                ", with payload and traceback: ",
                (f"runner errors list{again}", "cyan"),
            )
        )
        when = ", while a run goes on" if final.durability == "memory" else ""
        retry = (f"runner errors retry --all{again}", "cyan")
        lines.append(Text.assemble(f"once what failed is mended{when}: ", retry))
    return [fit(line, width) if i <= len(rows) + 1 else line for i, line in enumerate(lines)]


def _verdict(final: Snapshot) -> Text:
    state = final.state if final.state in _STYLES else "stopped"
    words = f"{final.name} {state} after {quantity.duration(final.up_s)}"
    return Text(words, _STYLES[state])


def _row(indent: str, stage: StageView, up_s: float) -> list[Cell]:
    done_s = up_s if stage.done_s is None else stage.done_s
    items = stage.items - stage.earlier
    was_over = items == 0 and stage.items > 0  # all of it was done before this run began
    pace = f"{quantity.rate(items / done_s)}/s" if done_s > 0 and not was_over else "-"
    return [
        Text.assemble((indent, "dim"), (stage.name, "cyan")),
        "-" if stage.kind == "source" else f"{stage.in_:,}",
        "-" if stage.kind == "sink" else f"{stage.out:,}",
        Text(f"{stage.failed:,}", "yellow" if stage.failed else "dim"),
        Text(f"{stage.dead:,}", "bold red" if stage.dead else "dim"),
        "-" if was_over else quantity.duration(done_s),
        pace,
        "-" if stage.p50_s is None else quantity.duration(stage.p50_s),
        "-" if stage.p99_s is None else quantity.duration(stage.p99_s),
    ]
