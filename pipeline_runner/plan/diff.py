"""What a change of the file does to what runs: the words of ``runner plan``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pipeline_runner.plan.settings import Setting, changed_keys, edge_settings, settings
from pipeline_runner.plan.spec import PLACEMENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pipeline_runner.config.model import Edge
    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.plan.assign import Plan
    from pipeline_runner.plan.constraints import Reason

_NOTHING: dict[str, int] = {}


@dataclass(frozen=True, slots=True)
class State:
    """A pipeline, its plan, and the indexes each host runs: ``{host: {stage: (index, ...)}}``."""

    pipeline: Pipeline
    plan: Plan
    slots: Mapping[str, Mapping[str, tuple[int, ...]]]


@dataclass(frozen=True, slots=True)
class Workers:
    """What happens to the workers of a stage on a host.

    ``before`` and ``after`` count them; ``start``, ``drain`` and ``restart`` are how many do.
    ``moved_from`` are hosts whose indexes start here; a drain takes at most ``grace_s`` seconds.
    """

    stage: str
    host: str
    before: int
    after: int
    start: int = 0
    drain: int = 0
    restart: int = 0
    moved_from: tuple[str, ...] = ()
    grace_s: float = 0.0
    because: str = ""


@dataclass(frozen=True, slots=True)
class Presence:
    """An edge, or a stage without a worker, that appears (``+``) or goes (``-``)."""

    sign: Literal["+", "-"]
    what: Literal["stage", "edge"]
    name: str
    effect: str


@dataclass(frozen=True, slots=True)
class Pending:
    """``n`` workers of a stage that find no place, and why, host by host."""

    stage: str
    n: int
    reasons: tuple[tuple[str, tuple[Reason, ...]], ...]


@dataclass(frozen=True, slots=True)
class Warned:
    """A warning of the plan."""

    text: str


@dataclass(frozen=True, slots=True)
class Parked:
    """Items of an edge that ``after`` has no more, and nothing that runs has either."""

    edge: str
    items: int


Change = Workers | Presence | Setting | Pending | Warned | Parked


def diff(
    before: State | None,
    after: State,
    *,
    queued: Mapping[str, int] = _NOTHING,
    parked: Mapping[str, int] = _NOTHING,
) -> tuple[Change, ...]:
    """Return what happens on the way from ``before`` (None: nothing runs) to ``after``.

    ``queued`` are the items that wait in each edge now, by its name; ``parked`` those of edges that
    nothing has any more. These, what is pending in ``after`` and its warnings come last; they are
    no changes (see :func:`acts`).
    """
    stages = list(after.pipeline.stages)
    if before is not None:
        stages += [stage for stage in before.pipeline.stages if stage not in stages]
    changes: list[Change] = []
    for stage in stages:
        workers = list(_workers(stage, before, after))
        changes += workers
        changes += _stage(stage, before, after, moved=bool(workers))
    changes += _edges(before, after, queued)
    if before is not None:
        changes += settings(before.pipeline, after.pipeline)
    changes += [
        Pending(stage, n, tuple(sorted(after.plan.reasons[stage].items())))
        for stage, n in after.plan.pending.items()
    ]
    edges = {edge.name for edge in after.pipeline.edges}
    changes += [Parked(edge, items) for edge, items in parked.items() if edge not in edges]
    changes += [Warned(text) for text in after.plan.warnings]
    return tuple(changes)


def acts(changes: Iterable[Change]) -> bool:
    """Whether anything would change (``plan --exit-code``): what only is so does not count."""
    return any(not isinstance(change, Pending | Warned | Parked) for change in changes)


def _workers(stage: str, before: State | None, after: State) -> Iterator[Workers]:
    olds = {} if before is None else _indexes(stage, before)
    news = _indexes(stage, after)
    home = {index: host for host, indexes in olds.items() for index in indexes}
    restarting = _restarting(stage, before, after)
    for host in sorted(olds.keys() | news.keys()):
        old, new = set(olds.get(host, ())), set(news.get(host, ()))
        restart = len(old & new) if restarting else 0
        if old == new and not restart:
            continue
        yield Workers(
            stage,
            host,
            before=len(old),
            after=len(new),
            start=len(new - old),
            # A host that left has taken its workers with it.
            drain=len(old - new) if host in after.plan.counts else 0,
            restart=restart,
            moved_from=tuple(sorted({home[index] for index in new - old if index in home})),
            grace_s=after.pipeline.reload.grace,
            because=_because(stage, host, after, restarting if restart else ()) if old else "",
        )


def _indexes(stage: str, state: State) -> dict[str, tuple[int, ...]]:
    return {host: stages[stage] for host, stages in state.slots.items() if stages.get(stage)}


def _restarting(stage: str, before: State | None, after: State) -> tuple[str, ...]:
    """Return the keys whose change restarts the stage's workers."""
    old = None if before is None else before.pipeline.stages.get(stage)
    new = after.pipeline.stages.get(stage)
    if old is None or new is None:
        return ()
    return tuple(key for key, *_, effect in changed_keys(old, new) if effect == "restart")


def _because(stage: str, host: str, after: State, restarting: tuple[str, ...]) -> str:
    if host not in after.plan.counts:
        return "the host left"
    if stage not in after.pipeline.stages:
        return "no longer in the file"
    if restarting:
        return f"{', '.join(restarting)} changed"
    if after.plan.counts[host].get(stage, 0):
        return ""
    return ", ".join(
        f"{reason.rule}: {reason.actual}" for reason in after.plan.reasons[stage].get(host, ())
    )


def _stage(stage: str, before: State | None, after: State, *, moved: bool) -> Iterator[Change]:
    old = None if before is None else before.pipeline.stages.get(stage)
    new = after.pipeline.stages.get(stage)
    if old is None or new is None:
        if not moved:
            yield Presence("-" if new is None else "+", "stage", stage, "no worker")
        return
    for key, was, becomes, effect in changed_keys(old, new):
        # What starts, drains or restarts workers is told by their rows.
        if not moved or (effect == "in place" and key.split(".")[0] not in PLACEMENT):
            yield Setting(stage, key, was, becomes, effect)


def _edges(
    before: State | None, after: State, queued: Mapping[str, int]
) -> Iterator[Presence | Setting]:
    olds = {} if before is None else {edge.name: edge for edge in before.pipeline.edges}
    news = {edge.name: edge for edge in after.pipeline.edges}
    durability = "memory" if before is None else before.pipeline.durability
    for name, edge in news.items():
        old = olds.get(name)
        if old is not None and (old.from_, old.to) == (edge.from_, edge.to):
            yield from edge_settings(old, edge)
            continue
        if old is not None:
            yield _removed(old, queued.get(name, 0), durability)
        items = edge.capacity_items
        room = f"{edge.capacity}" if items is None else f"{items:,} items"
        yield Presence("+", "edge", name, f"room for {room}")
    for name, edge in olds.items():
        if name not in news:
            yield _removed(edge, queued.get(name, 0), durability)


def _removed(edge: Edge, waiting: int, durability: str) -> Presence:
    if not waiting:
        effect = "empty"
    elif durability == "memory":  # the run drains what it holds before it can be started again
        effect = f"drains {waiting:,} items, then goes"
    else:
        effect = f"parks {waiting:,} items until the file has it again"
    return Presence("-", "edge", edge.name, effect)


def render(changes: Sequence[Change]) -> list[str]:
    """Return the lines of ``runner plan``, columns aligned, without a line end."""
    rows = [_row(change) for change in changes]
    aligned = [row for row in rows if isinstance(row, tuple)]
    widths = [max((len(cell) for cell in column), default=0) for column in zip(*aligned)]  # noqa: B905
    lines = []
    for row in rows:
        if isinstance(row, str):
            lines.append(row)
            continue
        *cells, effect = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join([f"{cells[0]} {cells[1]}", *cells[2:], effect]).rstrip())
    return lines


def _row(change: Change) -> str | tuple[str, str, str, str, str]:
    match change:
        case Workers():
            sign = "+" if not change.before else "-" if not change.after else "~"
            counts = f"{change.before} -> {change.after}"
            return sign, change.stage, change.host, counts, _effect(change)
        case Presence():
            return change.sign, change.name, "", "", change.effect
        case Setting():
            values = f"{change.before} -> {change.after}"
            return "~", change.subject, change.key, values, change.effect
        case Pending():
            hosts = "; ".join(
                f"{host}: {', '.join(f'{reason.rule} ({reason.actual})' for reason in reasons)}"
                for host, reasons in change.reasons
            )
            return f"! {change.stage}: {change.n} pending. {hosts or 'No host is here'}"
        case Parked():
            items = "1 item" if change.items == 1 else f"{change.items:,} items"
            verb = "is" if change.items == 1 else "are"
            return f"! {items} of {change.edge} {verb} parked: the file has no such edge"
        case Warned():
            return f"! {change.text}"


def _effect(change: Workers) -> str:
    parts = []
    if change.start:
        origin = f" moved from {', '.join(change.moved_from)}" if change.moved_from else ""
        parts.append(f"start {change.start}{origin}")
    if change.drain:
        parts.append(f"drain {change.drain}, at most {change.grace_s:g} s, nothing lost")
    if change.restart:
        parts.append(f"restart {change.restart}")
    because = f" ({change.because})" if change.because else ""
    return "; ".join(parts) + because if parts else change.because
