"""Modules that hosts do not have: gathered, given their cure, and told once for all the stages."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from pipeline_runner.config.faults import listed

if TYPE_CHECKING:
    from pipeline_runner.head.files.releases import Releases
    from pipeline_runner.head.hosts.presence import HostEvents
    from pipeline_runner.head.hosts.roster import HostRecord, Hosts
    from pipeline_runner.head.view.announcer import Announcer

_GATHERED_S = 0.5  # workers that start together find out within it
_MODULE = re.compile(r"\w+(\.\w+)*")
_LONGEST = 200  # characters; it is shown on a terminal


class MissingModules:
    """Takes the hosts' word for what they lack, and no work of those stages to them."""

    def __init__(
        self, hosts: Hosts, presence: HostEvents, releases: Releases, teller: Announcer
    ) -> None:
        self._hosts = hosts
        self._host_events = presence
        self._releases = releases
        self._announcer = teller
        self._loop = asyncio.get_running_loop()
        self._stages: dict[tuple[str, str], list[str]] = {}  # by host and module

    def heard(self, host: str, stage: str, module: str) -> None:
        """A host has no ``module``, which ``stage`` imports. Raises TypeError for what is none."""
        if _MODULE.fullmatch(module) is None or len(module) > _LONGEST:
            raise TypeError(f"{module[:_LONGEST]!r} is no module's name")
        stages = self._stages.setdefault((host, module), [])
        if not stages:
            self._loop.call_later(_GATHERED_S, self._look_up, self._hosts.members[host], module)
        if stage not in stages:
            stages.append(stage)

    def _look_up(self, member: HostRecord, module: str) -> None:
        self._releases.cure(module, lambda cure: self._tell(member, module, cure))

    def _tell(self, member: HostRecord, module: str, cure: str) -> None:
        name = member.host.name
        stages = self._stages.pop((name, module))
        if self._hosts.members.get(name) is not member:
            return  # it has left, or joined anew and may have it now
        reason = f"it has no module {module}: {cure}, and join again"
        self._announcer.warn(f"{name} gets no work of {listed(stages)}: {reason}")
        self._host_events.lacks(name, dict.fromkeys(stages, reason))
