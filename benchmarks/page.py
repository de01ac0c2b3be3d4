"""Measured families to a page of Markdown: pure, so that the page is never written by hand."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.families import FAMILIES, OURS
from benchmarks.pairs import Spread, spread
from benchmarks.real.section import section
from benchmarks.table import number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Run = dict[str, float]
Cell = dict[str, Any]

HEAD = """\
# Beside what else one could pick

This page is written by `python -m benchmarks.report` from what it measured; nobody edits it.

Four stages, `generate -> square -> subtract_1 -> total`, a process each, on one machine, everything
over its fastest local transport. Every run's total is checked, and every byte of a blob is; a run
that loses or doubles an item has no number here. Ours is `runner up` on a file, at its defaults,
with `durability = "memory"`; the row `ours-fsync` is the same with a journal on disk. The functions
are next to nothing: this measures what moves the items, not what your functions do, and a stage
that takes a millisecond an item will not tell most of these apart.

**Read the ratio.** It is ours over theirs (of delays: smaller is better), the median of runs in
turns; in parentheses the lowest, the highest, and of how many. Absolute rates of a machine differ
from minute to minute; the two runs of a ratio stood seconds apart, a minute at most.

CPU is the processor time of all processes an item, servers included. Memory is the most that all
processes held together, sampled every tenth of a second, shared pages counted in each.
"""

WHAT = {
    "written": (
        "## Ints, an item a call",
        "As one writes it: one message, task or call an item. Ours packs items by itself.",
    ),
    "lists": (
        "## Ints, lists of 1,000 put together by hand",
        (
            "Peers get lists, and the stages loop over them. Ours is the same as above: one item a "
            "call to the user, packed underneath. This is the harder comparison."
        ),
    ),
    "dicts": ("## Dicts of five keys", "Each different, an item a call."),
    "1 KiB": ("## Blobs of 1 KiB", "Each different, an item a call."),
    "64 KiB": ("## Blobs of 64 KiB", "Each different, an item a call."),
    "1 MiB": ("## Blobs of 1 MiB", "Each different, an item a call."),
}

HOW = """\
## Measure it yourself

```sh
pip install -e '.[bench-peers]'
sudo apt-get install redis-server rabbitmq-server     # the servers pip does not have
python -m benchmarks.report                # measures what it has not yet, and writes this page
python -m benchmarks.report --only redis --again
```

A peer that is not installed is skipped, and named below the tables. Servers are started for their
runs on loopback ports, with their files in a temporary folder, and ended. Ray listens to every
network, so it runs in a network namespace that has nothing but loopback (`unshare`), and ours
beside it too. [benchmarks/README.md](../benchmarks/README.md) tells what every run has in common.
"""

JOIN = """
## How fast a machine joins

```sh
sudo python -m benchmarks.join --write
```

measures it with real heads and real `runner join`, on hosts that are network namespaces behind one
bridge; here on {machine} ({date}), busy with other things too. The source gives an item every
10 ms, and only the joining host may run the stage behind it.
"""


def page(kept: dict[str, Any]) -> str:
    """Return the page for what was kept: families by name, each with its cells or a reason."""
    return "\n".join(_parts(kept)) + "\n"


def _parts(kept: dict[str, Any]) -> Iterator[str]:
    families = kept["families"]
    measured = {name: families[name] for name in FAMILIES if "cells" in families.get(name, {})}
    cells = [cell for facts in measured.values() for cell in facts["cells"]]
    yield HEAD
    yield from _conditions(measured)
    yield from _promises({cell["peer"] for cell in cells})
    for kind, (title, says) in WHAT.items():
        chosen = [cell for cell in cells if _kind(cell) == kind and not cell["failed"]]
        if chosen:
            yield f"{title}\n\n{says}\n"
            yield from _rates(chosen)
    paced = [cell for cell in cells if cell["kind"] == "paced" and not cell["failed"]]
    if paced:
        yield "## 100 items a second: how long one is under way\n"
        yield "From the source to the sink, over three hops; in the hundreds, it did not keep up.\n"
        yield from _delays(paced)
    yield from _missing(families, cells)
    yield HOW.rstrip()
    yield from section(kept.get("real", {}))
    if joins := [row for part in kept.get("join", {}).get("rows", {}).values() for row in part]:
        yield JOIN.format(**kept["join"])
        yield from _joins(joins)


def _kind(cell: Cell) -> str:
    if cell["kind"] != "ints":
        return str(cell["kind"])
    return "lists" if cell["packed"] else "written"


def _conditions(measured: dict[str, Any]) -> Iterator[str]:
    yield "## Measured on\n"
    together: dict[tuple[str, str, str], list[str]] = {}
    for name, facts in measured.items():
        with_what = (facts["machine"], facts["runner"], f"up to {facts['pairs']} rounds")
        together.setdefault(with_what, []).append(f"{name} ({facts['date']})")
    for with_what, names in together.items():
        yield f"- {'; '.join(with_what)}: {', '.join(names)}"
    told = {k: v for facts in measured.values() for k, v in facts["versions"].items()}
    yield "- " + "; ".join(f"{name}: {version}" for name, version in sorted(told.items())) + "\n"


def _promises(peers: set[str]) -> Iterator[str]:
    yield "## What each promises\n"
    yield "As set up here, by its own documentation; a rate without this beside it says little.\n"
    known = {name: each for family in FAMILIES.values() for name, each in family.promises.items()}
    rows = [("ours", OURS), *((name, each) for name, each in known.items() if name in peers)]
    head = ("", "what it is", "durable", "acknowledged", "a worker is killed")
    yield from _table(
        head, [(n, p.what, p.durable, p.acknowledged, p.on_kill) for n, p in rows], words=len(head)
    )


def _rates(cells: list[Cell]) -> Iterator[str]:
    blobs = bool(cells[0]["size_bytes"])

    def rate(run: Run, size: int) -> float:
        return run["items"] / run["seconds"] * (size / 1e6 if size else 1)

    def row(cell: Cell) -> tuple[str, ...]:
        size = cell["size_bytes"]
        ratio = _ratio(cell, lambda run: rate(run, size))
        return (
            cell["peer"].removesuffix("-lists") if cell["packed"] else cell["peer"],
            _middle(cell["ours"], lambda run: rate(run, size)),
            _middle(cell["theirs"], lambda run: rate(run, size)),
            _spread(ratio, len(cell["ours"])),
            _middle(cell["ours"], _cpu_us),
            _middle(cell["theirs"], _cpu_us),
            _middle(cell["ours"], _memory_mb),
            _middle(cell["theirs"], _memory_mb),
        )

    unit = "MB/s" if blobs else "items/s"
    head = (
        *("", f"ours, {unit}", f"theirs, {unit}", "**ours / theirs**"),
        *("CPU us, ours", "theirs", "MB, ours", "theirs"),
    )
    yield from _table(head, [row(cell) for cell in cells])


def _delays(cells: list[Cell]) -> Iterator[str]:
    def row(cell: Cell) -> tuple[str, ...]:
        numbers: list[str] = [cell["peer"]]
        for key in ("p50_ms", "p99_ms"):
            read = _reader(key)
            numbers += [_middle(cell["ours"], read), _middle(cell["theirs"], read)]
        return (*numbers, _spread(_ratio(cell, _reader("p50_ms")), len(cell["ours"])))

    head = ("", "p50 ms, ours", "theirs", "p99 ms, ours", "theirs", "**p50, ours / theirs**")
    yield from _table(head, [row(cell) for cell in cells])


def _joins(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield "| | figure | bar | | how |\n|---|---:|---:|---|---|"
    for row in rows:
        reached = "reached" if row["is_reached"] else "**missed**"
        value, bar = (
            f"{number(each)} {row['unit']}".strip() for each in (row["value"], row["bar"])
        )
        yield f"| {row['what']} | {value} | {bar} | {reached} | {row['how']} |"


def _missing(families: dict[str, Any], cells: list[Cell]) -> Iterator[str]:
    reasons = [
        f"- {name}: {facts['skipped']}" for name, facts in families.items() if "skipped" in facts
    ]
    reasons += [
        f"- {cell['peer']}, {cell['kind']}: {cell['failed'].splitlines()[0]}"
        for cell in cells
        if cell["failed"]
    ]
    if reasons:
        yield "## No number\n"
        yield "\n".join(reasons) + "\n"


def _ratio(cell: Cell, read: Callable[[Run], float]) -> Spread:
    both = zip(cell["ours"], cell["theirs"], strict=True)
    return spread([read(ours) / read(theirs) for ours, theirs in both])


def _middle(runs: list[Run], read: Callable[[Run], float]) -> str:
    return number(median(read(run) for run in runs))


def _spread(ratio: Spread, runs: int) -> str:
    low, high = number(ratio.low), number(ratio.high)
    return f"**{number(ratio.median)}** ({low}-{high}; {runs})"


def _reader(key: str) -> Callable[[Run], float]:
    return lambda run: run[key]


def _cpu_us(run: Run) -> float:
    return run["cpu_s"] / run["items"] * 1e6


def _memory_mb(run: Run) -> float:
    return run["peak_rss_bytes"] / 1e6


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]], words: int = 1) -> Iterator[str]:
    """Give a table whose first ``words`` columns are text, the others numbers."""
    yield f"| {' | '.join(head)} |"
    yield "|" + "|".join("---" if i < words else "---:" for i in range(len(head))) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""
