"""The table on which workers are placed: who sits where, who has room, who would be next."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline_runner.plan.demand import Demand
    from pipeline_runner.plan.hosts import Host

# Loads are compared as floats: division is correctly rounded, so equal ratios of small whole
# numbers are equal floats, and placement does not depend on the machine that computes it.


class Board:
    """Workers by stage and host, while a plan is made. ``hosts`` are sorted by name."""

    def __init__(self, demands: Mapping[str, Demand], hosts: Sequence[Host]) -> None:
        self.demands = demands
        self.hosts = {host.name: host for host in hosts}
        self.seated = {stage: dict.fromkeys(self.hosts, 0) for stage in demands}
        self.placed = dict.fromkeys(demands, 0)
        self.load = dict.fromkeys(self.hosts, 0)
        # Seats whose stage has no choice: they count as taken when others look for a quiet host.
        self._reserved = {
            host: sum(d.seats[host] for d in demands.values() if d.fixed) for host in self.hosts
        }

    def put(self, stage: str, host: str, n: int = 1) -> None:
        """Seat ``n`` more workers (or fewer, below 0) of a stage on a host."""
        self.seated[stage][host] += n
        self.placed[stage] += n
        self.load[host] += n
        if self.demands[stage].fixed:
            self._reserved[host] -= n

    def free(self, host: str) -> bool:
        """Whether the host's own cap lets it run one more worker of whatever stage."""
        most = self.hosts[host].max_procs
        return most is None or self.load[host] < most

    def room(self, stage: str, host: str) -> bool:
        """Whether the host may run one more worker of this stage."""
        return self.seated[stage][host] < self.demands[stage].seats[host] and self.free(host)

    def score(self, stage: str, host: str) -> int:
        """Return the affinity of a stage for a host."""
        return self.demands[stage].scores[host]

    def next_share(self, stage: str, host: str) -> float:
        """Return the workers of this stage a core that one more worker would find there."""
        return self.seated[stage][host] / self.hosts[host].cores

    def last_share(self, stage: str, host: str) -> float:
        """Return the workers of this stage a core that the last one found there.

        A host exceeds another by more than one, at equal workers a core, exactly when its
        ``last_share`` is above the other's ``next_share``.
        """
        return (self.seated[stage][host] - 1) / self.hosts[host].cores

    def next_load(self, host: str) -> float:
        """Return the workers a core, of all stages, that one more worker would find there."""
        return self.load[host] / self.hosts[host].cores

    def last_load(self, host: str) -> float:
        """Return the workers a core, of all stages, that the last one found there."""
        return (self.load[host] - 1) / self.hosts[host].cores

    def best(self, stage: str) -> str | None:
        """Return the host for one more worker of this stage, None when no host has room."""
        rooms = [host for host in self.hosts if self.room(stage, host)]
        return min(rooms, key=lambda host: self._rank(stage, host), default=None)

    def worst(self, stage: str) -> str:
        """Return the host that gives up a worker of this stage first. It must have one."""
        having = [host for host, n in self.seated[stage].items() if n]
        return max(having, key=lambda host: self._surplus(stage, host))

    def _rank(self, stage: str, host: str) -> tuple[int, float, float, int, str]:
        cores = self.hosts[host].cores
        if self.demands[stage].spread == "pack":
            # Fill one host's cores before the next is begun, and only then crowd any.
            full = self.load[host] >= cores
            tight = float("inf") if full else -float(self.seated[stage][host])
        else:
            tight = self.next_share(stage, host)
        crowd = (self.load[host] + self._reserved[host]) / cores
        return (-self.score(stage, host), tight, crowd, -cores, host)

    def _surplus(self, stage: str, host: str) -> tuple[int, float, float, str]:
        if self.demands[stage].spread == "pack":
            crowded = self.load[host] > self.hosts[host].cores
            loose = float("inf") if crowded else -float(self.seated[stage][host])
        else:
            loose = self.last_share(stage, host)
        return (-self.score(stage, host), loose, self.last_load(host), host)
