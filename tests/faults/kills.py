"""kill -9 of random workers, spread over a run: ``python -m tests.faults.kills [KILLS] [ITEMS]``.

Two hops of items that take a millisecond each. After every kill the run must still come out exact:
every value once at the sink by item id, every edge settled as often as items went over it. What
ran twice is bounded by what was leased to the stage of each victim when it was struck.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.e2e.kit import Run, chain, stage
from tests.e2e.projects import fresh_project

if TYPE_CHECKING:
    from tests.e2e.kit import Ended, Project

FUNCTIONS = """\
import os
import time

from kept import note


def numbers():
    yield from range({items})


_calls = os.open(
    os.environ["RUNNER_OUTPUT"] + "/calls", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644
)


def work(number):
    os.write(_calls, b"%d\\n" % number)
    time.sleep(0.001)
    return number


def twice(number):
    return 2 * number
"""
WORKERS = 6


@dataclass(frozen=True)
class Outcome:
    """What a run with kills came to."""

    ended: Ended
    kills: int
    leased: int  # at the kills, over the stages struck
    calls: Counter[int]
    kept: list[int]
    seconds: float

    def faults(self, items: int) -> list[str]:
        """Return what is not as it must be."""
        edges = ("numbers->work", "work->twice", "twice->keep")
        settled = {edge: self.ended.edge(edge)["settled"] for edge in edges}
        facts = {
            "exit code 0": self.ended.code == 0,
            "every value once at the sink": sorted(self.kept) == [2 * n for n in range(items)],
            f"settled {items} on every edge, not {settled}": set(settled.values()) == {items},
            "every item ran": len(self.calls) == items,
            "nothing ran again that was not leased": self.calls.total() - items <= self.leased,
            "nobody was charged": all(
                each["failed"] <= self.kills for each in (self.ended.snapshot or {})["stages"]
            ),
            "no dead letter": (self.ended.snapshot or {})["dead_letters"] == 0,
        }
        return [fact for fact, holds in facts.items() if not holds]


def run_with_kills(project: Project, *, items: int, kills: int, seed: int) -> Outcome:
    """Run ``items`` through two hops while ``kills`` workers are killed at random."""
    document = stage("numbers", "functions:numbers") + stage("keep", "kept:keep")
    document += stage("work", "functions:work", f"processes = {WORKERS}")
    document += stage("twice", "functions:twice")
    # Charges for dying alone with an item are just, and must not end in a letter here.
    document = document.replace(
        "[stages.work]", '[defaults]\nretry = { attempts = 50, backoff = "1ms" }\n[stages.work]'
    )
    project.write(
        FUNCTIONS.format(items=items), document + chain("numbers", "work", "twice", "keep")
    )
    chance = random.Random(seed)
    began = time.monotonic()
    run = project.start()
    struck, leased = 0, 0
    while struck < kills and run.popen.poll() is None:
        facts = run.look()
        if not facts:
            continue
        done = next(edge["settled"] for edge in facts["edges"] if edge["name"] == "numbers->work")
        if done < items * struck / kills:
            time.sleep(0.005)
            continue
        leased += _strike(run, chance)
        struck += 1
    ended = run.wait(within_s=300)
    calls = Counter(map(int, (project.root / "calls").read_text().split()))
    return Outcome(ended, struck, leased, calls, project.kept(), time.monotonic() - began)


def _strike(run: Run, chance: random.Random) -> int:
    """Kill a worker; return what its stage had leased when it could do no more."""
    while True:
        workers = {
            worker["pid"]: worker["stage"]
            for host in run.look().get("hosts", ())
            for worker in host["workers"]
        }
        if not workers:
            return 0
        pid = chance.choice(sorted(workers))
        try:
            os.kill(pid, signal.SIGSTOP)
            leased: int = run.stage(workers[pid]).get("leased", 0)
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        return leased


def main() -> int:
    """Run the whole and print what came out."""
    kills, items = (int(word) for word in (*sys.argv[1:], *("100", "100000")[len(sys.argv) - 1 :]))
    seed = int(time.time())
    with fresh_project() as project:
        outcome = run_with_kills(project, items=items, kills=kills, seed=seed)
        again = outcome.calls.total() - items
        print(
            f"seed {seed}: {items} items, {outcome.kills} kills, {outcome.seconds:.1f} s, "
            f"{again} runs again of {outcome.leased} leased"
        )
        for fault in outcome.faults(items):
            print(f"FAULT: not {fault}")
        return 1 if outcome.faults(items) else 0


if __name__ == "__main__":
    sys.exit(main())
