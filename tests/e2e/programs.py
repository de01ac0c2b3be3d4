"""Random programs: a graph, its stages, what fails and is killed; and what a loop would give."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.e2e import program

_MAPS = ("plain", "generator", "coroutine", "asyncgen", "built")
_BATCHES = ("batch", "batch_generator", "batch_async")
_MANY = ("generator", "asyncgen")
LOST = -1  # in place of the number of a source's value that could not travel
_LETTERS = (program.RAISES, program.UNPICKLABLE)


@dataclass
class Program:
    """A pipeline, in plain data. ``trouble`` is what happens to it from outside while it runs."""

    seed: int
    sources: list[dict[str, Any]] = field(default_factory=list)
    stages: list[dict[str, Any]] = field(default_factory=list)  # maps, then sinks
    edges: list[tuple[str, str, str]] = field(default_factory=list)  # from, to, tag or ""
    durability: str = "fsync"
    trouble: list[str] = field(default_factory=list)

    @property
    def restarts(self) -> bool:
        """Whether more than one head works on it."""
        return any(each in ("head", "all", "interrupt") for each in self.trouble)

    def functions(self) -> str:
        """Return the text of the module."""
        lines = ["import program"]
        lines += [f"{each['name']} = program.source({each!r})" for each in self.sources]
        lines += [f"{each['name']} = program.stage({each!r})" for each in self.stages]
        return "\n".join(lines) + "\n"

    def document(self) -> str:
        """Return the file, but for its header."""
        text = ""
        for each in (*self.sources, *self.stages):
            text += f'[stages.{each["name"]}]\nrun = "functions:{each["name"]}"\n'
            text += "".join(f"{line}\n" for line in each["settings"])
        rng = random.Random(self.seed)
        for start, end, tag in self.edges:
            text += f'[[edges]]\nfrom = "{start}"\nto = "{end}"\n'
            text += f"capacity = {rng.choice((1, 7, 100, 10_000))}\n"
            text += f'tags = ["{tag}"]\n' if tag else ""
        return text

    def loop(self, *, mended: bool = False) -> Expected:
        """Return what a plain loop over the same functions gives."""
        expected = Expected()
        for each in self.sources:
            expected.dead.update({(each["name"], LOST): program.lost(each)})
        specs = {each["name"]: each for each in self.stages}
        expected.dead = +expected.dead
        waiting = [(each["name"], made) for each in self.sources for made in program.given(each)]
        while waiting:
            name, (number, tag) = waiting.pop()
            for start, end, wanted in self.edges:
                if start != name or (wanted and wanted != tag):
                    continue
                spec = specs[end]
                expected.arrived[end] += 1
                fate = program.fate(spec, number)
                is_dropped = fate == program.UNPICKLABLE and spec["sink"]  # what a sink returns is
                is_mended = mended and not spec["drops"]
                if not is_mended and fate in _LETTERS and not is_dropped:
                    gone = expected.dropped if spec["drops"] else expected.dead
                    gone[end, number] += 1
                    continue
                expected.done[end, number] += 1
                if not spec["sink"]:
                    waiting += [(end, made) for made in program.outputs(spec, number)]
        return expected


@dataclass
class Expected:
    """How often each number was done by a stage, and how often it was the end of it there."""

    arrived: Counter[str] = field(default_factory=Counter)
    done: Counter[tuple[str, int]] = field(default_factory=Counter)
    dead: Counter[tuple[str, int]] = field(default_factory=Counter)
    dropped: Counter[tuple[str, int]] = field(default_factory=Counter)  # on_failure = "drop"

    def told(self, stage: str) -> tuple[int, int]:
        """Return what the run has to say of a stage: how many went in, how many died there."""
        dead = sum(count for (name, _number), count in self.dead.items() if name == stage)
        return self.arrived[stage] - dead, dead


def make(seed: int) -> Program:
    """Return the program of a seed."""
    rng = random.Random(seed)
    made = Program(seed)
    trouble = ("", "worker", "worker", "agent", "head", "all", "interrupt", "retry")
    made.trouble = [each for each in rng.choices(trouble, k=rng.randint(0, 3)) if each]
    durabilities = ("fsync", "relaxed") if made.restarts else ("fsync", "relaxed", "memory")
    made.durability = rng.choice(durabilities)
    maps, sinks = rng.randint(0, 4), rng.randint(1, 2)
    for place in range(rng.randint(1, 2)):
        kind = rng.choice(("generator", "shares", "asyncgen", "cursor"))
        settings = ["processes = 2"] if kind == "shares" else []
        items = rng.choice((0, 1, 40, 200, 400))
        settings.append('retry = { attempts = 99, backoff = "1ms" }')
        spec = _spec(seed, f"source{place}", kind, settings, items=items)
        if rng.random() < 0.4:
            spec["fates"] = ((program.RAISES_ONCE, 6), (program.DIES_ONCE, 9))
            spec["fates"] += ((program.UNPICKLABLE, 13),) if rng.random() < 0.5 else ()
        made.sources.append(spec)
    feeders = [each["name"] for each in made.sources]
    for place in range(maps + sinks):
        is_sink = place >= maps
        name = f"sink{place - maps}" if is_sink else f"map{place}"
        spec = _stage(rng, seed, name, is_sink=is_sink, kills=bool(made.trouble))
        made.stages.append(spec)
        known = [each["name"] for each in made.stages if not each["sink"] and each is not spec]
        known = [*feeders, *known]
        wanted = 1 if rng.random() < 0.7 else 2
        for start in rng.sample(known, k=min(len(known), wanted)):
            made.edges.append((start, name, ""))
    _close_ends(rng, made)
    _tag(rng, made)
    return made


def _spec(seed: int, name: str, kind: str, settings: list[str], **more: Any) -> dict[str, Any]:
    spec = {"seed": seed, "name": name, "kind": kind, "settings": settings, "tags": (), "items": 0}
    for what in ("sink", "batch", "many", "drops"):
        spec[what] = False
    return {**spec, "turns": None, "fates": (), **more}


def _stage(
    rng: random.Random, seed: int, name: str, *, is_sink: bool, kills: bool
) -> dict[str, Any]:
    kind = rng.choice((*_MAPS, *_MAPS, *_BATCHES))
    is_batch = kind in _BATCHES
    attempts = 9 if kills else rng.randint(2, 4)  # a kill may cost an innocent item a try
    settings = [f'retry = {{ attempts = {attempts}, backoff = "{rng.choice((1, 40))}ms" }}']
    settings.append(f"processes = {rng.choice((1, 1, 2, 3))}")
    if is_batch:
        settings.append(f'batch = {{ count = {rng.choice((1, 3, 16))}, period = "5ms" }}')
    elif kind in ("coroutine", "asyncgen"):
        settings.append(f"concurrency = {rng.choice((1, 3, 20))}")
    if rng.random() < 0.2:
        settings.append(f"max_items = {rng.choice((20, 100))}")
    upto, fates = 0, []
    for fate, most in (
        (program.RAISES, 30),
        (program.RAISES_ONCE, 60),
        (program.UNPICKLABLE, 10),
        (program.DIES_ONCE, 6),
    ):
        if rng.random() < 0.4:
            upto += rng.randint(1, most)
            fates.append((fate, upto))
    if rng.random() < 0.1 and kind not in ("coroutine", "asyncgen"):
        settings.append('timeout = "2s"')
        fates.append((program.HANGS_ONCE, upto + 2))
    drops = rng.random() < 0.15
    if drops:
        settings.append('on_failure = "drop"')
    many = kind in _MANY and rng.random() < 0.7
    spec = _spec(seed, name, kind, settings, sink=is_sink, batch=is_batch, fates=tuple(fates))
    return {**spec, "many": many, "drops": drops}


def _close_ends(rng: random.Random, made: Program) -> None:
    """Let everything lead on, and now and then back to where it came from."""
    last = [each["name"] for each in made.stages if each["sink"]]
    for spec in (*made.sources, *(each for each in made.stages if not each["sink"])):
        mine = [edge for edge in made.edges if edge[0] == spec["name"]]
        if not mine:
            made.edges.append((spec["name"], rng.choice(last), ""))
    maps = [each for each in made.stages if not each["sink"]]
    if maps and rng.random() < 0.3:
        spec = rng.choice(maps)
        if not spec["many"]:
            name = spec["name"]
            spec["turns"] = rng.randint(1, 5)
            made.edges = [
                (start, end, "out" if start == name else tag) for start, end, tag in made.edges
            ]
            made.edges.append((name, name, "again"))


def _tag(rng: random.Random, made: Program) -> None:
    """Give the edges of some stages tags, so that each output fits some."""
    for spec in (*made.sources, *made.stages):
        mine = [edge for edge in made.edges if edge[0] == spec["name"]]
        if len(mine) > 1 and spec["turns"] is None and rng.random() < 0.5:
            tags = tuple(f"t{place}" for place in range(len(mine)))
            spec["tags"] = tags
            for tag, edge in zip(tags, mine, strict=True):
                if tag != "t0" or rng.random() < 0.5:
                    made.edges[made.edges.index(edge)] = (*edge[:2], tag)
