"""Which host runs how many workers of which stage, and for every no a reason.

What runs stays. What is missing goes, one worker at a time, to the host with the highest
affinity, then by ``spread``, then to the least loaded, then by name: equal facts, equal plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline_runner.plan.balance import rebalance
from pipeline_runner.plan.board import Board
from pipeline_runner.plan.constraints import Reason
from pipeline_runner.plan.demand import demands
from pipeline_runner.plan.groups import enrol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.plan.demand import Demand
    from pipeline_runner.plan.hosts import Host

_NO_TOTALS: dict[str, int] = {}


@dataclass(frozen=True, slots=True)
class Plan:
    """How many workers of each stage each host should run.

    ``counts`` has every host, and of its stages those with workers: ``{host: {stage: n}}``.
    ``pending`` is what found no place: ``{stage: n}``, n above 0. ``reasons`` says for each stage
    why a host runs none (or, while some are pending, no more): ``{stage: {host: (reason, ...)}}``.
    ``warnings`` are sentences; those of ``crowded`` are among them, and wrong with nothing: hosts
    with more workers than cores.
    """

    counts: Mapping[str, Mapping[str, int]]
    pending: Mapping[str, int]
    reasons: Mapping[str, Mapping[str, tuple[Reason, ...]]]
    warnings: tuple[str, ...]
    crowded: tuple[str, ...] = ()

    def total(self, stage: str) -> int:
        """Return how many workers of ``stage`` have a place."""
        return sum(stages.get(stage, 0) for stages in self.counts.values())


def assign(
    pipeline: Pipeline,
    hosts: Sequence[Host],
    current: Mapping[str, Mapping[str, int]],
    *,
    totals: Mapping[str, int] = _NO_TOTALS,
) -> Plan:
    """Return the plan for ``hosts``, given what each runs now: ``{host: {stage: n}}``.

    A host that is no key of ``current`` has just joined, and workers move to it until no host
    exceeds it by more than one at equal workers a core. With no host joining, workers stop only
    where a rule, a cap or a total demands it. ``totals`` are the autoscaler's wishes.
    """
    members = enrol(pipeline.hosts, hosts)
    wanted = demands(pipeline, members, totals)
    board = Board(wanted, [member.host for member in members])
    _keep(board, current)
    _fill(board)
    joined = frozenset(board.hosts) - frozenset(current)
    rebalance(board, joined)
    _fill(board)  # a move may have freed a seat that another stage was waiting for
    pending = {
        stage: missing
        for stage, demand in wanted.items()
        if (missing := demand.total - board.placed[stage])
    }
    return Plan(
        counts={
            host: {stage: n for stage in wanted if (n := board.seated[stage][host])}
            for host in board.hosts
        },
        pending=pending,
        reasons={stage: _reasons(board, stage, stage in pending) for stage in wanted},
        warnings=(*_warnings(board), *(crowded := tuple(_crowded(board)))),
        crowded=crowded,
    )


def _keep(board: Board, current: Mapping[str, Mapping[str, int]]) -> None:
    for stage, demand in board.demands.items():
        for host in board.hosts:
            running = current.get(host, {}).get(stage, 0)
            board.put(stage, host, min(running, demand.seats[host]))
    for stage, demand in board.demands.items():
        while board.placed[stage] > demand.total:
            board.put(stage, board.worst(stage), -1)
    for name, facts in board.hosts.items():
        while facts.max_procs is not None and board.load[name] > facts.max_procs:
            board.put(_most_seated(board, name), name, -1)


def _most_seated(board: Board, host: str) -> str:
    here = [stage for stage in board.demands if board.seated[stage][host]]
    return max(here, key=lambda stage: (board.placed[stage], board.seated[stage][host], stage))


def _fill(board: Board) -> None:
    """Seat what is missing, so that every stage has one worker before any has two.

    Of stages with as many, the one with fewest hosts to choose from goes first.
    """
    choices = {
        stage: sum(seats > 0 for seats in demand.seats.values())
        for stage, demand in board.demands.items()
    }
    waiting = {s for s, demand in board.demands.items() if board.placed[s] < demand.total}
    while waiting:
        stage = min(waiting, key=lambda s: (board.placed[s], choices[s], s))
        host = board.best(stage)
        if host is None:
            waiting.remove(stage)
            continue
        board.put(stage, host)
        if board.placed[stage] == board.demands[stage].total:
            waiting.remove(stage)


def _reasons(board: Board, stage: str, short: bool) -> dict[str, tuple[Reason, ...]]:
    demand = board.demands[stage]
    reasons = demand.failed
    if short:
        for host in board.hosts:
            if host not in reasons:
                reasons[host] = _caps(board, demand, host)
    return reasons


def _caps(board: Board, demand: Demand, host: str) -> tuple[Reason, ...]:
    here, seats = board.seated[demand.stage][host], demand.seats[host]
    caps = []
    if here >= seats:
        key = "max_per_host" if seats == demand.max_per_host else "per_host"
        caps.append(Reason(f"{key} = {seats}", f"runs {here}"))
    if not board.free(host):
        most = board.hosts[host].max_procs
        caps.append(Reason(f"--max-procs {most}", f"runs {board.load[host]}"))
    return tuple(caps)


def _warnings(board: Board) -> list[str]:
    warnings = []
    for stage, demand in board.demands.items():
        warnings += [f"{stage}: {clash} fit the same host" for clash in sorted(demand.clashes)]
        if board.hosts and demand.failed.keys() == board.hosts.keys():
            warnings.append(f"{stage}: no host may run it")
    return warnings


def _crowded(board: Board) -> Iterator[str]:
    for name, facts in board.hosts.items():
        # One process of a source or a sink mostly waits: for room, or for items.
        waiting = sum(
            demand.kind != "map" and board.seated[stage][name] == 1
            for stage, demand in board.demands.items()
        )
        busy = board.load[name] - waiting
        if busy > facts.cores:
            wait = "waits" if waiting == 1 else "wait"
            beside = f", beside {waiting} that mostly {wait}" if waiting else ""
            yield f"{name}: {busy} workers on {facts.cores} cores{beside}"
