"""Seeded schedules of everything that can go wrong, over the real broker and the real ledger.

``python -m tests.queues.simulator --seeds 20000`` runs them and says what happened how often.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from random import Random
from typing import TYPE_CHECKING

from pipeline_runner.queues.broker.broker import Broker
from pipeline_runner.worker.session.ledger import Ledger
from tests.queues.schedule import FAULTS, Schedule
from tests.queues.shapes import random_shape
from tests.queues.traces import TRACES
from tests.queues.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


ALWAYS_SEEN = (
    *FAULTS,
    "adopt",
    "adopt kept something",
    "adopt lost something",
    "batch raised",
    "committed at once",
    "commits lost with the head",
    "dropped",
    "durable, the head died before it said so",
    "frame of an old session",
    "frames to a worker lost",
    "frames to the head late",
    "frames to the head lost",
    "item to be retried",
    "letter",
    "old session closed with frames unread",
    "piece read ahead",
    "poison",
    "return",
    "retried together",
    "settle in part",
    "settle refused",
    "settle sent again",
    "source failed",
    "source value lost",
    "staged",
    "step of a source refused with the one before it",
    "suspect alone",
    "zombie woke",
)


class Failure(AssertionError):
    """A schedule that broke something: its seed, its last steps, and what broke."""

    def __init__(self, seed: int, world: World, error: BaseException) -> None:
        steps = "\n  ".join(world.trace)
        super().__init__(
            f"seed {seed}, {world.shape.name}\n  {steps}\n{type(error).__name__}: {error}"
        )
        self.seed = seed


def run_seed(
    seed: int,
    *,
    make_broker: Callable[..., Broker] = Broker,
    make_ledger: Callable[[str], Ledger] = Ledger,
    outcomes_only: bool = False,
) -> Counter[str]:
    """Run one schedule; return what happened in it. Raises Failure.

    The first seeds are the fixed traces, each with random steps behind it.
    """
    shape = TRACES[seed].shape if seed < len(TRACES) else random_shape(seed)
    world = World(
        shape, make_broker=make_broker, make_ledger=make_ledger, outcomes_only=outcomes_only
    )
    rng = Random(seed)
    try:
        if seed < len(TRACES):
            TRACES[seed].play(world)
        world.at_once = seed % 3 == 0
        Schedule(world, rng).run(steps=rng.choice((150, 300, 600)))
    except Exception as error:
        raise Failure(seed, world, error) from error
    return world.count


def run_seeds(seeds: Iterable[int]) -> Counter[str]:
    """Run many schedules; return what happened in all of them. Raises Failure."""
    count: Counter[str] = Counter()
    for seed in seeds:
        count.update(run_seed(seed))
    return count


def main() -> int:
    """Run the simulator from a shell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    try:
        count = run_seeds(range(options.first, options.first + options.seeds))
    except Failure as failure:
        print(failure)
        return 1
    for kind, times in sorted(count.items()):
        print(f"{times:>9,} {kind}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
