"""What was measured of whole jobs, as a part of docs/benchmarks.md: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.real.table import markdown, rows

if TYPE_CHECKING:
    from collections.abc import Iterator

_DISTRIBUTION = {"dask": "distributed"}

REAL = """
## Whole jobs, from start to end

Everything above leaves out what it takes to start. Here is all of it: from the start of one process
to its end, with interpreters, imports and servers, as one writes a job for one machine. The same
functions do the same work, and every result goes to the same sink; what it holds at the end must be
what a plain loop comes to. Peers get as many items in a message as serve them best; ours is
`runner up --local` at its defaults, with `durability = "{durability}"`.

**Read the ratio**: it is of times, so smaller is better; the median of rounds in which all take
turns, in parentheses the lowest, the highest, and of how many. Measured on {machine} ({date}) by

```sh
python -m benchmarks.real --write
```

{peers}.
"""


def section(told: dict[str, Any]) -> Iterator[str]:
    """Yield the part of docs/benchmarks.md about whole jobs, from what was kept of them."""
    if not told:
        return
    versions = told["versions"]
    named = {name: f"{name} {versions[name]}" for name in versions}
    peers = "; ".join(
        f"{named.get(_DISTRIBUTION.get(peer, peer), peer)}: {what}"
        for peer, what in told["peers"].items()
    )
    facts = {key: told[key] for key in ("durability", "machine", "date")}
    yield REAL.format(peers=peers, **facts)
    for name, job in told["jobs"].items():
        yield f"### {name}: {job['says']}\n"
        yield f"{job['size']:,} items at most, {job['processes']} processes.\n"
        yield markdown(rows(job["cells"], job["bars"])) + "\n"
        for cell in job["cells"]:
            if cell["failed"]:
                yield f"- {cell['peer']}: no number, {cell['failed'].splitlines()[0]}\n"
