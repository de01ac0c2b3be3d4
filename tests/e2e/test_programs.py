"""Random programs: whatever a plain loop gives, a run gives too, through failures and kills.

``PROGRAMS=100-200`` runs the programs of these seeds; each says of itself all there is to know.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e import program, programs
from tests.e2e.kit import until

if TYPE_CHECKING:
    from pipeline_runner.queues.dead_letters import DeadLetter
    from tests.e2e.kit import Ended, Project, Run

_FIRST, _, _LAST = os.environ.get("PROGRAMS", "6-10").partition("-")
SEEDS = range(int(_FIRST), int(_LAST or _FIRST) + 1)
WITHIN_S = 120.0


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_gives_what_a_plain_loop_gives(project: Project, seed: int) -> None:
    made = programs.make(seed)
    write(project, made)
    ended = run(project, made)
    facts = (ended.code, ended.err[-2000:], made)
    wanted = made.loop()
    assert dead(project, made) == wanted.dead, facts
    assert ended.code == (1 if wanted.dead else 0), facts
    check_done(project, made, wanted, facts)
    if not made.restarts:
        for spec in made.stages:
            told = ended.stage(spec["name"])
            assert (told["in"], told["dead"]) == wanted.told(spec["name"]), (spec["name"], facts)
    if made.durability == "memory" or not wanted.dead:
        return
    lost = Counter({key: n for key, n in wanted.dead.items() if key[1] == programs.LOST})
    (project.root / "mended").touch()
    retried = project.runner("errors", "retry", "--all")
    assert lost or retried.returncode == 0, (retried.stdout, retried.stderr, facts)
    if lost == wanted.dead:
        return
    ended = project.up("--local", within_s=WITHIN_S)
    assert dead(project, made) == lost, (ended, facts)
    assert ended.code == (1 if lost else 0), (ended, facts)
    check_done(project, made, made.loop(mended=True), facts)


def write(project: Project, made: programs.Program) -> None:
    text = Path(program.__file__).read_text()
    project.write(made.functions(), made.document(), more={"program": text})
    file = project.root / "pipeline.toml"
    file.write_text(file.read_text().replace('"memory"', f'"{made.durability}"', 1))


def run(project: Project, made: programs.Program) -> Ended:
    """Run it to its end, with what troubles it on the way."""
    rng = random.Random(made.seed)
    run = project.start("--local")
    for trouble in made.trouble:
        await_notes(project, run, len(project.notes()) + rng.randint(0, 150))
        if is_over(run):
            break
        match trouble:
            case "worker":
                kill_one(run, rng)
            case "retry":  # in vain: they come back
                project.runner("errors", "retry", "--all")
            case "agent":
                if pid := run.agent():
                    kill(pid)
            case "head" | "all":
                run.popen.kill()
                run.popen.wait()
                if trouble == "all":
                    run.end()
                run = project.start("--local")
            case "interrupt":
                run.signal(signal.SIGINT)
                ended = run.wait(WITHIN_S)
                if ended.code != 130:
                    return ended
                run = project.start("--local")
    return run.wait(WITHIN_S)


def await_notes(project: Project, run: Run, count: int) -> None:
    until(lambda: len(project.notes()) >= count or is_over(run), "work", within_s=WITHIN_S)


def is_over(run: Run) -> bool:
    return run.popen.poll() is not None


def kill_one(run: Run, rng: random.Random) -> None:
    workers = sorted(run.workers())
    if workers:
        kill(rng.choice(workers))


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:  # it had just ended
        return


def dead(project: Project, made: programs.Program) -> Counter[tuple[str, int]]:
    return Counter(
        (one.stage, number_of(made, one) if one.edge else programs.LOST)
        for one in project.letters()
    )


def number_of(made: programs.Program, letter: DeadLetter) -> int:
    sys.modules.setdefault("program", program)  # as it is called in a run
    return program.number_of(made.seed, letter.payload())


def check_done(
    project: Project, made: programs.Program, wanted: programs.Expected, facts: Any
) -> None:
    """Compare what every stage did, by the names of its items."""
    named: dict[tuple[str, str], int] = {}
    batches: Counter[tuple[str, int]] = Counter()
    for name, item_id, number, *_attempt in project.notes():
        if isinstance(number, list):
            batches.update((name, each) for each in number)
            continue
        assert item_id, (name, number)
        assert named.setdefault((name, item_id), number) == number, (name, item_id, facts)
    done = Counter((name, number) for (name, _item_id), number in named.items())
    for spec in made.stages:
        name = spec["name"]
        want = Counter({key: n for key, n in wanted.done.items() if key[0] == name})
        if spec["batch"]:
            if spec["sink"]:
                got = Counter({key: n for key, n in batches.items() if key[0] == name})
                assert got.keys() == want.keys(), (name, facts)
                assert got >= want, (name, facts)
            continue
        tried = wanted.dead + wanted.dropped
        failed = Counter({key: n for key, n in tried.items() if key[0] == name})
        got = Counter({key: n for key, n in done.items() if key[0] == name})
        assert got == want + failed, (name, got - want - failed, want + failed - got, facts)
