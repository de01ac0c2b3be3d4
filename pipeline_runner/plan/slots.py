"""Which worker is which: every worker of a stage has an index of its own, over all hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def slots(
    counts: Mapping[str, Mapping[str, int]],
    current: Mapping[str, Mapping[str, tuple[int, ...]]],
) -> dict[str, dict[str, tuple[int, ...]]]:
    """Return the indexes each host runs: ``{host: {stage: (index, ...)}}``, sorted.

    ``counts`` is a plan's, ``current`` the indexes that run now. A stage of n workers has the
    indexes 0..n-1, each once. A host keeps the lowest of those it runs as far as its count and n
    allow; the others go to the hosts that need some, both in order.
    """
    found: dict[str, dict[str, tuple[int, ...]]] = {host: {} for host in counts}
    for stage in sorted({stage for stages in counts.values() for stage in stages}):
        shares = {host: counts[host].get(stage, 0) for host in sorted(counts)}
        kept = _kept(stage, shares, current)
        taken = {index for indexes in kept.values() for index in indexes}
        spare = [index for index in range(sum(shares.values())) if index not in taken]
        spare.reverse()
        for host, share in shares.items():
            mine = kept[host] + [spare.pop() for _ in range(share - len(kept[host]))]
            if mine:
                found[host][stage] = tuple(sorted(mine))
    return found


def _kept(
    stage: str,
    shares: Mapping[str, int],
    current: Mapping[str, Mapping[str, tuple[int, ...]]],
) -> dict[str, list[int]]:
    n = sum(shares.values())
    kept: dict[str, list[int]] = {}
    taken: set[int] = set()
    for host, share in shares.items():
        running = current.get(host, {}).get(stage, ())
        # While a worker moves, two hosts may run the same index; one of them keeps it.
        mine = sorted(index for index in set(running) if index < n and index not in taken)[:share]
        kept[host] = mine
        taken.update(mine)
    return kept
