"""Pure questions about a directed graph of names: its cycles, and what reaches what."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

Arrow = tuple[str, str]


def reachable(starts: Iterable[str], arrows: Iterable[Arrow]) -> frozenset[str]:
    """Return ``starts`` and every name that some of them lead to."""
    ends = _successors(arrows)
    seen: set[str] = set()
    waiting = list(starts)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(ends.get(name, ()))
    return frozenset(seen)


def components(names: Collection[str], arrows: Collection[Arrow]) -> tuple[tuple[str, ...], ...]:
    """Return the strongly connected components, upstream first, members in the order of ``names``.

    Of components that are free to come in either order, the one named first comes first.
    """
    position = {name: at for at, name in enumerate(names)}
    known = [arrow for arrow in arrows if arrow[0] in position and arrow[1] in position]
    backward = [(to, from_) for from_, to in known]
    left = list(names)
    groups: list[tuple[str, ...]] = []
    while left:
        first = left[0]
        mutual = reachable([first], known) & reachable([first], backward)
        groups.append(tuple(name for name in left if name in mutual))
        left = [name for name in left if name not in mutual]
    return _upstream_first(groups, known)


def cycles(names: Collection[str], arrows: Collection[Arrow]) -> tuple[tuple[str, ...], ...]:
    """Return the components that hold a cycle, a stage that feeds itself among them."""
    loops = {from_ for from_, to in arrows if from_ == to}
    return tuple(
        group for group in components(names, arrows) if len(group) > 1 or group[0] in loops
    )


def _upstream_first(
    groups: list[tuple[str, ...]], arrows: list[Arrow]
) -> tuple[tuple[str, ...], ...]:
    home = {name: at for at, group in enumerate(groups) for name in group}
    before: dict[int, set[int]] = {at: set() for at in range(len(groups))}
    for from_, to in arrows:
        if home[from_] != home[to]:
            before[home[to]].add(home[from_])
    ordered: list[int] = []
    while len(ordered) < len(groups):
        ready = min(at for at in before if at not in ordered and before[at] <= set(ordered))
        ordered.append(ready)
    return tuple(groups[at] for at in ordered)


def _successors(arrows: Iterable[Arrow]) -> dict[str, list[str]]:
    ends: dict[str, list[str]] = {}
    for from_, to in arrows:
        ends.setdefault(from_, []).append(to)
    return ends
