"""A million items while heads, agents and workers are killed at random, with nobody to look on."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.e2e.kit import chain, stage
from tests.faults import durable
from tests.faults.outcome import Outcome, totals

if TYPE_CHECKING:
    from tests.e2e.kit import Project, Run

FUNCTIONS = """\
import os
import time

from pipeline_runner import At, context

_out = os.open(os.environ["RUNNER_OUTPUT"] + "/out", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def numbers(cursor):
    for number in range(cursor or 0, {items}):
        if number % 100 == 0:
            time.sleep(0.006)  # to be at it for a minute or two
        yield At(number, number + 1)


def square(number):
    return number * number


def keep(value):
    os.write(_out, b"%s %d\\n" % (context().item_id.encode(), value))
"""
LIFE_S = (0.3, 2.5)  # of a head, from its first answer


def run_a_marathon(project: Project, *, items: int, seed: int) -> Outcome:
    """Run ``items`` through two hops; no head lives for longer than three seconds.

    Within each life a few workers are killed too, and now and then the agent.
    """
    document = stage("numbers", "functions:numbers") + stage("keep", "functions:keep")
    document += stage("square", "functions:square", "processes = 2")
    # To die alone with an item is a charge, and charges must not end in a letter here.
    document = '[defaults]\nretry = { attempts = 1000, backoff = "1ms" }\n' + document
    project.write(FUNCTIONS.format(items=items), document + chain("numbers", "square", "keep"))
    file = project.root / "pipeline.toml"
    file.write_text(file.read_text().replace('durability = "memory"', 'durability = "fsync"'))
    chance, struck = random.Random(seed), {"heads": 0, "agents": 0, "workers": 0}
    began = time.monotonic()
    while True:
        run = durable.start(project)
        epoch = durable.epoch(project) if run.popen.poll() is None else 0
        if _ends_by_itself(run, chance, struck):
            break
    ended = run.wait(within_s=60)
    seconds = time.monotonic() - began
    lines = [line.split() for line in (project.root / "out").read_text().splitlines()]
    by_id = {line[0]: int(line[1]) for line in lines}
    outcome = totals(by_id, (number * number for number in range(items)), len(lines))
    outcome.figures |= {
        "kills of the head": struck["heads"],
        "of the agent": struck["agents"],
        "of workers": struck["workers"],
        "epoch": epoch,
        "seconds in all": seconds,
        "items a second": round(items / seconds),
    }
    outcome.require(ended.code == 0, f"exit code {ended.code}: {ended.err[-300:]}")
    outcome.require(epoch == struck["heads"] + 1, f"epoch {epoch} after {struck['heads']} kills")
    return outcome


def _ends_by_itself(run: Run, chance: random.Random, struck: dict[str, int]) -> bool:
    """Kill what a head's life has in store for it; whether the run was over before the head."""
    until = time.monotonic() + chance.uniform(*LIFE_S)
    while time.monotonic() < until:
        time.sleep(chance.uniform(0.02, 0.3))
        if run.popen.poll() is not None:
            return True
        victims = run.workers()
        kind = "workers"
        if chance.random() < 0.05:
            victims, kind = list(filter(None, [run.agent()])), "agents"
        if victims:
            with suppress(ProcessLookupError):
                os.kill(chance.choice(victims), signal.SIGKILL)
                struck[kind] += 1
    if run.popen.poll() is not None:
        return True
    run.signal(signal.SIGKILL)
    run.popen.communicate()
    struck["heads"] += 1
    return False
