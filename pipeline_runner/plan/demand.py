"""What each stage asks for: how many workers, on which hosts at most, and whom it prefers."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from pipeline_runner.config.expressions import parse_constraint, parse_count
from pipeline_runner.plan.constraints import Reason, check, count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline_runner.config.model import Stage, StageKind
    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.plan.groups import Member

HEAD_AFFINITY = 50


@dataclass(frozen=True, slots=True)
class Demand:
    """One stage's wishes.

    ``total`` workers are wanted; ``seats`` is the most each host may run (every host is a key);
    ``scores`` are the hosts' affinities; ``rules`` are all rules of the stage, host by host.
    ``clashes`` are entries of its ``per_host`` table that fit a host as well and disagree.
    """

    stage: str
    kind: StageKind
    total: int
    seats: Mapping[str, int]
    scores: Mapping[str, int]
    spread: Literal["host", "pack"]
    rules: Mapping[str, tuple[Reason, ...]]
    clashes: frozenset[str] = frozenset()
    max_per_host: int | None = None

    @property
    def failed(self) -> dict[str, tuple[Reason, ...]]:
        """The rules that did not hold, for the hosts that have any."""
        failed = {
            host: tuple(rule for rule in rules if not rule.held)
            for host, rules in self.rules.items()
        }
        return {host: rules for host, rules in failed.items() if rules}

    @property
    def fixed(self) -> bool:
        """Whether every seat is wanted, so that there is nothing to choose."""
        return self.total >= sum(self.seats.values())


def demands(
    pipeline: Pipeline, members: Sequence[Member], totals: Mapping[str, int]
) -> dict[str, Demand]:
    """Return what each stage asks of ``members``, by stage name in alphabetical order.

    ``totals`` holds the wanted total of autoscaled stages; one that is missing starts at its min.
    """
    return {
        name: _demand(name, pipeline.stages[name], pipeline.kind(name), members, totals.get(name))
        for name in sorted(pipeline.stages)
    }


def _demand(
    name: str, stage: Stage, kind: StageKind, members: Sequence[Member], scaled: int | None
) -> Demand:
    total = _total(stage, kind, scaled)
    seats: dict[str, int] = {}
    rules: dict[str, tuple[Reason, ...]] = {}
    clashes: set[str] = set()
    for member in members:
        checked = [check(parse_constraint(text), member.host) for text in stage.constraints]
        if name in member.host.lacks:
            checked.append(Reason("its module can be imported", member.host.lacks[name]))
        share = _share(stage, kind, member)
        if share is None:
            assert total is not None
            most = total
        else:
            most = share.workers
            checked.append(share.reason)
            clashes.update(share.clash)
        if stage.max_per_host is not None:
            most = min(most, stage.max_per_host)
        seats[member.name] = most if all(rule.held for rule in checked) else 0
        rules[member.name] = tuple(checked)
    if _per_host(stage, kind) is not None:
        everywhere = sum(seats.values())
        total = everywhere if total is None else min(total, everywhere)
    assert total is not None
    return Demand(
        stage=name,
        kind=kind,
        total=total,
        seats=seats,
        scores={member.name: _score(stage, kind, member) for member in members},
        spread=stage.spread,
        rules=rules,
        clashes=frozenset(clashes),
        max_per_host=stage.max_per_host,
    )


def _per_host(stage: Stage, kind: StageKind) -> int | str | dict[str, int | str] | None:
    unset = stage.processes is None and stage.autoscale is None
    if stage.per_host is None and unset and kind == "map":
        return 1
    return stage.per_host


def _total(stage: Stage, kind: StageKind, scaled: int | None) -> int | None:
    """Return the total that is wanted (or, beside ``per_host``, the cap); None for no total."""
    if stage.autoscale is not None:
        low, high = stage.autoscale.min, stage.autoscale.max
        return max(low, min(high, low if scaled is None else scaled))
    if stage.processes is not None:
        return stage.processes
    return 1 if _per_host(stage, kind) is None else None


def _score(stage: Stage, kind: StageKind, member: Member) -> int:
    # Results gather at the head unless the file says anything about where or how many.
    gathers = kind == "sink" and stage.processes in {None, 1} and stage.autoscale is None
    if gathers and stage.per_host is None and not stage.affinity:
        return HEAD_AFFINITY if member.host.head else 0
    return sum(
        affinity.weight
        for affinity in stage.affinity
        if check(parse_constraint(affinity.if_), member.host).held
    )


@dataclass(frozen=True, slots=True)
class _Share:
    """What ``per_host`` gives one host, and by which rule; ``clash`` names entries at odds."""

    workers: int
    reason: Reason
    clash: tuple[str, ...] = ()


def _share(stage: Stage, kind: StageKind, member: Member) -> _Share | None:
    per_host = _per_host(stage, kind)
    if per_host is None:
        return None
    if not isinstance(per_host, dict):
        return _by_entry("per_host", per_host, member)
    matching = [(rank, key) for key in per_host if (rank := _rank(key, member)) is not None]
    if not matching:
        return _Share(0, Reason("per_host", "no entry for this host"))
    closest = min(rank for rank, _ in matching)
    keys = sorted(key for rank, key in matching if rank == closest)
    shares = [_by_entry(f'per_host."{key}"', per_host[key], member) for key in keys]
    if len({share.workers for share in shares}) > 1:
        clash = " and ".join(share.reason.rule for share in shares)
        return _Share(0, Reason(clash, "both fit this host and disagree"), (clash,))
    return shares[0]


def _rank(key: str, member: Member) -> int | None:
    """Return how closely a key of the table names this host, 0 the closest; None if not at all."""
    if key == "*":
        return 3
    if key.startswith("@"):
        return 1 if key.removeprefix("@") in member.groups else None
    if key == member.name:
        return 0
    return 2 if fnmatchcase(member.name, key) else None


def _by_entry(name: str, entry: int | str, member: Member) -> _Share:
    if isinstance(entry, int):
        return _Share(entry, Reason(f"{name} = {entry}", str(entry), held=entry > 0))
    expression = parse_count(entry)
    workers = count(expression, member.host)
    actual = f"{workers}, with {expression.base} = {getattr(member.host, expression.base)}"
    return _Share(workers, Reason(f'{name} = "{entry}"', actual, held=workers > 0))
