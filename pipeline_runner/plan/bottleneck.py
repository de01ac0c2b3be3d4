"""Which stage holds the others up, and how many workers would keep up.

The test is Flink's: of a chain, the slow task is the one that is busy nearly all the time while
what comes in piles up; those before it are held back, those after it starve, and neither is busy.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_runner.config.model import Stage

BUSY = 0.9
FULL = 0.95
SLOWEST = 1e-5  # items a second: less than one a day foretells nothing
GROWING = 0.01  # of the rate in: less is the noise of two counters read a moment apart


@dataclass(frozen=True, slots=True)
class StageLoad:
    """One stage, lately. ``busy`` is 0..1 of its workers' time; rates are items a second.

    ``queued`` items wait for it and grow by ``growth_per_s``; ``fill`` is 0..1 of the capacity of
    its fullest queue. ``key`` is the setting that decides its count (see :func:`count_key`).
    """

    name: str
    busy: float
    queued: int
    growth_per_s: float
    workers: int
    in_rate: float
    fill: float = 0.0
    key: str = "processes"


@dataclass(frozen=True, slots=True)
class Cores:
    """The cores of all hosts that take work; ``busy`` is 0..1 of their time, lately.

    ``can_grow`` if another machine can join.
    """

    count: int
    busy: float
    can_grow: bool = True


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """The stage that holds the others up, in a sentence, with its cure.

    ``workers`` would keep up, by estimate; ``at_least`` when a full queue hides how much more
    would come. With ``needs_host`` they would find no free core on the hosts that are here.
    """

    stage: str
    workers: int
    at_least: bool
    sentence: str
    cure: str
    needs_host: bool = False


def bottleneck(stages: Sequence[StageLoad], cores: Cores | None = None) -> Bottleneck | None:
    """Return the stage that falls behind its input the most, None when none does.

    ``cores`` is None where nobody knows how busy they are: then more workers are the cure.
    """
    slow = [stage for stage in stages if _holds_up(stage)]
    if not slow:
        return None
    worst = max(slow, key=lambda stage: (_needed(stage) / stage.workers, stage.queued, stage.name))
    needed, hidden = _needed(worst), worst.fill >= FULL
    queue = "queue full" if hidden else f"queue +{worst.growth_per_s:.0f}/s"
    if 0 < worst.growth_per_s < 1 and not hidden:
        queue = f"queue +{worst.growth_per_s:.1g}/s"
    about = f"{'at least' if hidden else 'about'} {needed} workers would keep up"
    cure = f"raise `{worst.key}` of [stages.{worst.name}]: {about}"
    needs_host = cores is not None and cores.busy >= BUSY
    if cores is not None and needs_host:
        cure = _more_cores(cores)
    return Bottleneck(
        stage=worst.name,
        workers=needed,
        at_least=hidden,
        sentence=f"{worst.name}: {worst.busy:.0%} busy, {queue}".replace("%", " %"),
        cure=cure,
        needs_host=needs_host,
    )


def count_key(stage: Stage) -> str:
    """Return the key to edit when ``stage`` needs more workers."""
    if stage.autoscale is not None:
        return "autoscale.max"
    if stage.processes is None and stage.per_host is not None:
        return "per_host"
    return "processes"


def _more_cores(cores: Cores) -> str:
    """Return the cure where more workers would only take turns on the same cores."""
    full = "the only core is busy" if cores.count == 1 else f"all {cores.count} cores are busy"
    if cores.can_grow:
        return f"{full}: `runner join` on another machine"
    return f"{full}: restart without --local, then `runner join` elsewhere"


def _holds_up(stage: StageLoad) -> bool:
    if not stage.workers or stage.busy < BUSY or not stage.queued:
        return False
    return stage.fill >= FULL or stage.growth_per_s > GROWING * stage.in_rate


def _needed(stage: StageLoad) -> int:
    """Return the workers whose busy time would cover what arrives; at least one more than now."""
    if stage.in_rate < SLOWEST:
        return stage.workers + 1
    arriving = stage.in_rate + max(0.0, stage.growth_per_s)
    # Rounded first: 8 * 1.5 in floats may come out a hair above 12.
    covered = ceil(round(stage.workers * stage.busy * arriving / stage.in_rate, 6))
    return max(stage.workers + 1, covered)
