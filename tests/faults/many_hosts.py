"""What happens to a host that has joined: its agent killed, its cable cut, its processes stopped.

Two hosts work through everything; the third sits on the items it holds until it is struck, so that
what becomes of those can be told apart from all the rest.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.e2e.kit import chain, stage, until
from tests.faults.outcome import Outcome, totals
from tests.hosts.site import Joined, Site, network, site

if TYPE_CHECKING:
    from collections.abc import Iterator

STRUCK, STAYS = "pi", "rig"
N = 8_000


@dataclass
class Holding:
    """A site on which everything is done but what the host to be struck holds."""

    site: Site
    struck: Joined
    held: set[int]

    @property
    def pids(self) -> set[int]:
        """The processes that sit on what is held."""
        begun = self.site.begun()
        return {pid for n in self.held for host, pid, _when in begun.get(n, ()) if host == STRUCK}

    def taken_again(self) -> float:
        """Wait until others have begun all that was held; return when, by the monotonic clock."""

        def when() -> list[float]:
            begun = self.site.begun()
            each = (
                [at for host, _pid, at in begun.get(n, ()) if host != STRUCK] for n in self.held
            )
            return [min(times) for times in each if times]

        until(lambda: len(when()) == len(self.held), "all that was held is begun again")
        return max(when())

    def through(self) -> bool:
        """Whether every item but the last has come out."""
        return len(self.site.kept()) == N - 1

    def finish(self) -> Outcome:
        """Let everybody go on, and compare what came out with what should have."""
        self.site.open_gate(f"open-{STRUCK}")
        until(self.through, "every item but the last is out")
        until(lambda: self.site.workers().get(STRUCK), f"{STRUCK} is back")
        self.site.open_gate("end")
        return self.compared()

    def compared(self) -> Outcome:
        """Wait for the end, and compare what came out with what should have."""
        ended = self.site.run.wait(within_s=30)
        runs = len(self.site.notes("keep"))
        outcome = totals(self.site.kept(), (number * number for number in range(N)), runs)
        again = sum(len(beginnings) - 1 for beginnings in self.site.begun().values())
        outcome.figures |= {"held": len(self.held), "re-runs": again}
        outcome.require(ended.code == 0, f"exit code {ended.code}: {ended.err[-300:]}")
        outcome.require(self.held, f"{STRUCK} held nothing")
        outcome.require(again <= len(self.held), f"{again} items ran again")
        return outcome


@contextmanager
def holding(durability: str = "memory") -> Iterator[Holding]:
    """Give three hosts that are through with everything but what one of them holds."""
    with network("desk", STRUCK, STAYS) as lan, site(lan, "desk") as made:
        document = stage("numbers", "functions:held_back")
        document += stage("work", "functions:work", "per_host = 2")
        document += stage("square", "functions:square") + stage("keep", "functions:keep")
        document += chain("numbers", "work", "square", "keep")
        made.write(document, items=N, durability=durability)
        made.open_gate("fast")
        made.open_gate(f"shut-{STRUCK}")
        made.up()
        struck, _stays = made.join(lan[STRUCK]), made.join(lan[STAYS])
        until(
            lambda: [made.workers().get(name, {}).get("work") for name in lan.hosts] == [2, 2, 2],
            "two workers on each host",
        )
        made.open_gate("all-here")
        until(lambda: _only_held_is_left(made), "the others are through", within_s=60)
        out = set(made.kept().values())
        yield Holding(made, struck, {n for n in range(N - 1) if n * n not in out})


def _only_held_is_left(made: Site) -> bool:
    """Whether all that has not come out is in the hands of the host to be struck."""
    leased = made.run.stage("work").get("leased", 0)
    begun = made.begun()
    return (
        len(made.kept()) + leased == N - 1
        and any(beginning[0] == STRUCK for each in begun.values() for beginning in each)
        and leased > 0
    )


def agent_killed() -> Outcome:
    """4: kill -9 of the agent of a joined host."""
    with holding() as holds:
        pids = holds.pids
        os.kill(holds.struck.popen.pid, signal.SIGKILL)
        struck = time.monotonic()
        until(lambda: not pids & set(holds.struck.host.pids()), "its children are gone")
        gone_s = time.monotonic() - struck
        again_s = holds.taken_again() - struck
        until(holds.through, "every item but the last is out")
        holds.site.open_gate("end")
        outcome = holds.compared()
        outcome.figures |= {"children gone after s": gone_s, "taken again after s": again_s}
        outcome.require(gone_s < 1, f"its children were there for {gone_s:.1f} s")
        outcome.require(again_s < 12, f"its items were taken again after {again_s:.1f} s")
        return outcome


def cut_for_good() -> Outcome:
    """6: the network of a joined host goes down for good."""
    with holding() as holds:
        holds.struck.host.cut()
        struck = time.monotonic()
        again_s = holds.taken_again() - struck
        until(holds.through, "every item but the last is out")
        holds.site.open_gate("end")
        outcome = holds.compared()
        outcome.figures |= {"taken again after s": again_s}
        outcome.require(8 <= again_s <= 12, f"its items were taken again after {again_s:.1f} s")
        return outcome


def cut_for(seconds: float) -> Outcome:
    """7: the network of a joined host goes down, and comes back before it is given up."""
    with holding() as holds:
        holds.struck.host.cut()
        time.sleep(seconds)  # the fault: it lasts so long
        holds.struck.host.mend()
        outcome = holds.finish()
        outcome.figures |= {"down for s": seconds}
        again = outcome.figures["re-runs"]
        outcome.require(not again, f"{again} items ran again")
        return outcome


def stopped_for(seconds: float) -> Outcome:
    """8: an agent and its workers are stopped for longer than the head waits, and go on."""
    with holding() as holds:
        stopped = holds.struck.host.signal(signal.SIGSTOP)
        struck = time.monotonic()
        again_s = holds.taken_again() - struck
        until(holds.through, "every item but the last is out")
        time.sleep(max(0.0, struck + seconds - time.monotonic()))  # the fault: it lasts so long
        holds.struck.host.signal(signal.SIGCONT)
        outcome = holds.finish()  # what they held they now settle, too late
        late = sum(
            host == STRUCK and number in holds.held
            for number, host, *_ in holds.site.notes("worked")
        )
        outcome.figures |= {
            "processes stopped": len(stopped),
            "stopped for s": seconds,
            "taken again after s": again_s,
            "late results refused": late,
        }
        outcome.require(late, f"nothing that {STRUCK} held was worked on to its end")
        outcome.require(8 <= again_s <= 12, f"its items were taken again after {again_s:.1f} s")
        return outcome


def connections_reset(seconds: float) -> Outcome:
    """8: every connection of a joined host is reset, with an item of ``seconds`` in work."""
    with holding() as holds:
        struck = holds.struck.host.reset()
        time.sleep(seconds)  # the item: it takes so long
        outcome = holds.finish()
        outcome.figures |= {"connections reset": struck, "the item takes s": seconds}
        again = outcome.figures["re-runs"]
        outcome.require(struck >= 2, f"{struck} connections were reset: an agent's and a worker's")
        outcome.require(not again, f"{again} items ran again")
        return outcome


def head_killed(seconds: float) -> Outcome:
    """2: kill -9 of the head, which is started again ``seconds`` later; hosts have joined it."""
    with holding("fsync") as holds:
        holds.site.run.signal(signal.SIGKILL)
        holds.site.run.popen.communicate()
        time.sleep(seconds)  # the fault: it lasts so long
        began = time.monotonic()
        holds.site.up()
        hosts = holds.site.lan.hosts
        until(lambda: all(holds.site.workers().get(name) for name in hosts), "all are back")
        back_s = time.monotonic() - began
        outcome = holds.finish()
        outcome.figures |= {"without a head for s": seconds, "all back after s": back_s}
        again = outcome.figures["re-runs"]
        outcome.require(not again, f"{again} items ran again")
        return outcome
