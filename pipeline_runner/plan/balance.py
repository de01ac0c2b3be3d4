"""What moves when a host joins: workers of the hosts that were there, until none has too many.

Only hosts that just joined receive, so nothing moves between hosts that ran before. Workers stay
where their stage's affinity is higher, and a stage with ``spread = "pack"`` does not move. Nor does
a source for the load alone: elsewhere it would begin again up to its cursor, from other files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from pipeline_runner.plan.board import Board

_MOVING = {"map": 0, "sink": 1, "source": 2}  # what is moved first


def rebalance(board: Board, joined: AbstractSet[str]) -> None:
    """Move workers to ``joined`` until no host exceeds one of them by more than one.

    First within each stage; then, where no stage's balance suffers, over all stages. Each move
    lowers the first sum, or keeps it and lowers the second, so that this comes to an end.
    """
    while (move := _within_a_stage(board, joined) or _over_all(board, joined)) is not None:
        stage, giver, taker = move
        board.put(stage, giver, -1)
        board.put(stage, taker)


def _within_a_stage(board: Board, joined: AbstractSet[str]) -> tuple[str, str, str] | None:
    for stage in _spreading(board):
        found = min(
            (
                (
                    board.next_share(stage, taker),
                    -board.last_share(stage, giver),
                    -board.last_load(giver),
                    giver,
                    taker,
                )
                for giver, taker in _pairs(board, stage, joined)
                if board.last_share(stage, giver) > board.next_share(stage, taker)
            ),
            default=None,
        )
        if found is not None:
            *_, giver, taker = found
            return stage, giver, taker
    return None


def _over_all(board: Board, joined: AbstractSet[str]) -> tuple[str, str, str] | None:
    moves = [
        (-board.last_load(giver), board.next_load(taker), giver, taker, rank, stage)
        for rank, stage in enumerate(_spreading(board))
        if board.demands[stage].kind != "source"
        for giver, taker in _pairs(board, stage, joined)
        if board.last_load(giver) > board.next_load(taker)
        and board.last_share(stage, giver) >= board.next_share(stage, taker)
    ]
    if not moves:
        return None
    *_, giver, taker, _, stage = min(moves)
    return stage, giver, taker


def _spreading(board: Board) -> list[str]:
    stages = [stage for stage, demand in board.demands.items() if demand.spread == "host"]
    return sorted(stages, key=lambda stage: (_MOVING[board.demands[stage].kind], stage))


def _pairs(board: Board, stage: str, joined: AbstractSet[str]) -> Iterator[tuple[str, str]]:
    takers = [host for host in sorted(joined) if board.room(stage, host)]
    givers = [host for host, n in board.seated[stage].items() if n and host not in joined]
    for giver in givers:
        for taker in takers:
            if board.score(stage, taker) >= board.score(stage, giver):
                yield giver, taker
