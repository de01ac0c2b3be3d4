"""The ``[hosts.NAME]`` groups: who their members are and which labels they get."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import TYPE_CHECKING

from pipeline_runner.config.expressions import parse_constraint
from pipeline_runner.plan.constraints import check

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline_runner.config.model import HostGroup
    from pipeline_runner.plan.hosts import Host


@dataclass(frozen=True, slots=True)
class Member:
    """A host with the labels its groups give it, and the names of those groups."""

    host: Host
    groups: frozenset[str]

    @property
    def name(self) -> str:
        """The host's name."""
        return self.host.name


def enrol(groups: Mapping[str, HostGroup], hosts: Iterable[Host]) -> tuple[Member, ...]:
    """Return ``hosts`` by name, each with its groups and their labels.

    Membership is judged by a host's own labels, so that groups do not depend on each other.
    A label the host was given itself wins over its groups', and of two groups the later name.
    """
    return tuple(_member(groups, host) for host in sorted(hosts, key=lambda host: host.name))


def _member(groups: Mapping[str, HostGroup], host: Host) -> Member:
    names = sorted(name for name, group in groups.items() if _belongs(group, host))
    labels: dict[str, str] = {}
    for name in names:
        labels.update(groups[name].labels)
    labels.update(host.labels)
    return Member(replace(host, labels=MappingProxyType(labels)), frozenset(names))


def _belongs(group: HostGroup, host: Host) -> bool:
    named = not group.match or any(fnmatchcase(host.name, glob) for glob in group.match)
    return named and all(check(parse_constraint(rule), host).held for rule in group.where)
