"""The live view of one moment, as lines that fit the terminal: pure, so that it can be tested."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from pipeline_runner.observe import quantity
from pipeline_runner.observe.columns import Cell, Column, fit, lay_out
from pipeline_runner.observe.sentences import draining, headline
from pipeline_runner.observe.tree import Branch, branches
from pipeline_runner.observe.trend import Trend, eta_s, fill, queued_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_runner.observe.event_lines import Told
    from pipeline_runner.observe.snapshot import HostView, Snapshot, StageView

_BAR = 8  # cells
_MOST_TOLD = 3  # lines of one sentence

_STAGES = (
    Column("STAGE", "left", width=11),
    Column("WORKERS", width=7),
    Column("QUEUE", "left", width=_BAR + 5),
    Column("FLY", width=3, drop=8),
    Column("IN/s", width=5),
    Column("OUT/s", width=5, drop=4),
    Column("BUSY", width=4, drop=3),
    Column("P50", width=5, drop=9),
    Column("P99", width=5, drop=6),
    Column("ERR", width=3, drop=5),
    Column("DEAD", width=4, drop=2),
    Column("ETA", width=4, drop=7),
)
_HOSTS = (
    Column("HOST", "left", width=12),
    Column("WORKERS", width=7),
    Column("CPU", width=4, drop=2),
    Column("MEM", width=9, drop=3),
    Column("SEEN", width=5),
    Column("CODE", "left", width=4, drop=1),
)


@dataclass(frozen=True, slots=True)
class Scene:
    """What one frame shows: the run, how its queues move, its bottleneck, its last faults."""

    snapshot: Snapshot
    trend: Trend
    bottleneck: tuple[str, str] | None = None  # the fact, the cure
    faults: tuple[Told, ...] = ()
    owns: bool = True  # Ctrl-C here stops the run
    keys: str = ""  # what keys do, in a word or two
    answer: str = ""  # to a key that was pressed


def frame(scene: Scene, width: int, height: int) -> list[Text]:
    """Return at most ``height`` lines of at most ``width`` cells.

    Where the terminal is too low, hosts give way first, then the last faults, then stages.
    """
    snapshot = scene.snapshot
    top = [_head(snapshot, scene.keys, width)]
    if snapshot.state == "draining":
        told = draining(snapshot, owns=scene.owns)
        top += [Text(line, "bold yellow") for line in folded(told, width, most=_MOST_TOLD)]
    elif scene.bottleneck:
        top += _bottleneck(*scene.bottleneck, width)
    if snapshot.note:
        top.append(fit(Text(snapshot.note, "yellow"), width))
    if scene.answer:
        top.append(fit(Text(scene.answer, "bold"), width))
    stages = stage_table(snapshot, scene.trend, width)
    stages += [fit(line, width) for line in _troubles(snapshot)]
    hosts = host_table(snapshot.hosts, width)
    faults = [fault_line(told, width) for told in scene.faults]
    return _stack(top, stages, hosts, faults, height)


def stage_table(snapshot: Snapshot, trend: Trend, width: int) -> list[Text]:
    """Return the titles and a line for each stage, in the order their items travel."""
    rows = [_stage_row(snapshot, trend, branch) for branch in branches(snapshot)]
    return lay_out(_STAGES, rows, width, gap=2 if width >= 100 else 1)


def host_table(hosts: Sequence[HostView], width: int) -> list[Text]:
    """Return the titles and a line for each host; the head's is marked with a star."""
    return lay_out(_HOSTS, [_host_row(host) for host in hosts], width, gap=2)


def fault_line(told: Told, width: int) -> Text:
    """Return a fault in one line, its command at the right edge if there is room."""
    line = Text.assemble((told.who, "dim"), " ", (told.text, "red"))
    return _beside(line, told.hint, width)


def _head(snapshot: Snapshot, keys: str, width: int) -> Text:
    line = Text(headline(snapshot, width))
    line.stylize("bold", 0, len(snapshot.name))
    if line.cell_len + 2 < width:
        # The rule parts what scrolls above from what stays.
        rule = width - line.cell_len - 1
        if keys and rule > len(keys) + 4:
            line.append(f" {'─' * (rule - len(keys) - 3)} {keys} ─", "dim")
        else:
            line.append(" " + "─" * rule, "dim")
    return fit(line, width)


def folded(text: str, width: int, *, most: int) -> list[str]:
    """Return ``text`` in at most ``most`` lines of at most ``width`` cells, broken between words.

    What is left of the last line is cut, with an ellipsis.
    """
    lines = textwrap.wrap(text, width, break_on_hyphens=False) or [""]
    if len(lines) > most:
        lines[most - 1 :] = [" ".join(lines[most - 1 :])]
    return [fit(Text(line), width).plain for line in lines]


def _bottleneck(fact: str, cure: str, width: int) -> list[Text]:
    if len(fact) + len(cure) + 2 <= width:
        return [_beside(Text(fact, "yellow"), cure, width)]
    return [fit(Text(fact, "yellow"), width), fit(Text(f"  {cure}", "cyan"), width)]


def _stage_row(snapshot: Snapshot, trend: Trend, branch: Branch) -> list[Cell]:
    stage = branch.stage
    eta = eta_s(snapshot, trend, stage)
    left = "-" if eta is None or stage.state == "finished" else quantity.about(eta)
    is_source, is_sink = stage.kind == "source", stage.kind == "sink"
    return [
        Text.assemble((branch.indent, "dim"), (stage.name, _name_style(stage))),
        _workers(stage),
        "-" if is_source else _queue(snapshot, stage.name),
        quantity.count(stage.leased),
        "-" if is_source else quantity.rate(stage.in_rate),
        "-" if is_sink else quantity.rate(stage.out_rate),
        # A source is busy whenever it waits for what it reads: that is no fault of it.
        Text(
            quantity.percent(stage.busy),
            "bold yellow" if stage.busy >= 0.9 and not is_source else "",
        ),
        "-" if stage.p50_s is None else quantity.duration(stage.p50_s),
        "-" if stage.p99_s is None else quantity.duration(stage.p99_s),
        Text(quantity.count(stage.failed), "yellow" if stage.failed else "dim"),
        Text(quantity.count(stage.dead), "bold red" if stage.dead else "dim"),
        left,
    ]


def _name_style(stage: StageView) -> str:
    return {"failing": "bold red", "paused": "yellow", "finished": "dim"}.get(stage.state, "cyan")


def _workers(stage: StageView) -> Cell:
    if stage.state == "finished":
        return Text("done", "green")
    if stage.state == "loading":
        return Text("loading", "yellow")
    if not stage.desired and not stage.running:
        return "-"  # not planned yet
    style = "yellow" if stage.running < stage.desired else ""
    return Text(f"{stage.running}/{stage.desired}", style)


def _queue(snapshot: Snapshot, stage: str) -> Cell:
    share = fill(snapshot, stage)
    full = min(_BAR, round(share * _BAR))
    style = "red" if share >= 0.9 else "yellow" if share >= 0.5 else "green"
    queued = quantity.count(queued_for(snapshot, stage))
    return Text.assemble(("█" * full, style), ("░" * (_BAR - full), "dim"), f"{queued:>5}")


def _host_row(host: HostView) -> list[Cell]:
    if host.state in ("away", "lost"):
        seen: Cell = Text(f"! {quantity.duration(host.seen_s)}", "bold red")
    elif host.head or host.seen_s < 1:
        seen = "now"
    else:
        seen = Text(quantity.duration(host.seen_s), "yellow" if host.seen_s >= 3 else "")
    memory = "-"
    if host.memory_used is not None and host.memory_total:
        memory = f"{quantity.size(host.memory_used)}/{quantity.size(host.memory_total)}"
    state = "" if host.state == "up" else f" {host.state}"
    return [
        f"{host.name}{'*' if host.head else ''}",
        str(len(host.workers)),
        "-" if host.cpu is None else quantity.percent(host.cpu),
        memory,
        seen,
        f"{host.release[:4] or '-'}{state}",
    ]


def _troubles(snapshot: Snapshot) -> list[Text]:
    return [
        Text(f"{stage.name} is {stage.state}: {stage.reason}", "bold red")
        for stage in snapshot.stages
        if stage.reason and stage.state in ("failing", "paused", "waiting")
    ]


def _beside(line: Text, remark: str, width: int) -> Text:
    """Return ``line`` with ``remark`` after it, whole or not at all: half a command is no help."""
    room = width - len(remark) - 2
    if remark and room >= min(line.cell_len, width // 2):
        line = fit(line, room)
        line.append("  ")
        line.append(remark, "cyan")
    return fit(line, width)


def _stack(
    top: list[Text], stages: list[Text], hosts: list[Text], faults: list[Text], height: int
) -> list[Text]:
    if len(top) + len(stages) + len(hosts) + len(faults) > height:
        hosts = []
    spare = height - len(top) - len(stages)
    faults = faults[-spare:] if spare > 0 else []
    room = height - len(top)
    if len(stages) > room:
        hidden = len(stages) - room + 1
        stages = [*stages[: max(0, room - 1)], Text(f"… {hidden} more", "dim")]
    return [*top, *stages, *hosts, *faults][: max(1, height)]
