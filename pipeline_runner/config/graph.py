"""Pure questions about a directed graph of names: its cycles, and what reaches what."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

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
    groups = [tuple(sorted(group, key=position.__getitem__)) for group in _tarjan(names, known)]
    groups.sort(key=lambda group: position[group[0]])
    return _upstream_first(groups, known)


def cycles(names: Collection[str], arrows: Collection[Arrow]) -> tuple[tuple[str, ...], ...]:
    """Return the components that hold a cycle, a stage that feeds itself among them."""
    loops = {from_ for from_, to in arrows if from_ == to}
    return tuple(
        group for group in components(names, arrows) if len(group) > 1 or group[0] in loops
    )


def _tarjan(names: Iterable[str], arrows: Iterable[Arrow]) -> Iterator[list[str]]:
    """Yield the strongly connected components in one pass, members in any order."""
    ends = _successors(arrows)
    number: dict[str, int] = {}  # of each name seen, in the order of seeing
    lowest: dict[str, int] = {}  # that each leads back to
    path: list[str] = []
    on_path: set[str] = set()
    for root in names:
        if root in number:
            continue
        # A stack of our own: a chain of stages may be longer than Python lets calls nest.
        calls: list[tuple[str, Iterator[str]]] = []
        entered: str | None = root
        while entered is not None or calls:
            if entered is not None:
                number[entered] = lowest[entered] = len(number)
                path.append(entered)
                on_path.add(entered)
                calls.append((entered, iter(ends.get(entered, ()))))
            name, following = calls[-1]
            entered = None
            for end in following:
                if end not in number:
                    entered = end
                    break
                if end in on_path:
                    lowest[name] = min(lowest[name], number[end])
            if entered is not None:
                continue
            calls.pop()
            if calls:
                caller = calls[-1][0]
                lowest[caller] = min(lowest[caller], lowest[name])
            if lowest[name] == number[name]:
                group: list[str] = []
                while not group or group[-1] != name:
                    group.append(path.pop())
                on_path.difference_update(group)
                yield group


def _upstream_first(
    groups: list[tuple[str, ...]], arrows: list[Arrow]
) -> tuple[tuple[str, ...], ...]:
    home = {name: at for at, group in enumerate(groups) for name in group}
    between = {(home[from_], home[to]) for from_, to in arrows if home[from_] != home[to]}
    waits = [0] * len(groups)  # for so many groups before it
    after: list[list[int]] = [[] for _ in groups]
    for before, behind in between:
        waits[behind] += 1
        after[before].append(behind)
    ready = [at for at, count in enumerate(waits) if not count]  # ascending, so a heap already
    ordered: list[int] = []
    while ready:
        first = heappop(ready)
        ordered.append(first)
        for behind in after[first]:
            waits[behind] -= 1
            if not waits[behind]:
                heappush(ready, behind)
    return tuple(groups[at] for at in ordered)


def _successors(arrows: Iterable[Arrow]) -> dict[str, list[str]]:
    ends: dict[str, list[str]] = {}
    for from_, to in arrows:
        ends.setdefault(from_, []).append(to)
    return ends
