"""Where a worker's large outputs go: places in the memory it shares with the head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline_runner.wire.codec import NoRoom, encode_into
from pipeline_runner.wire.shm.slots import SLOT_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_runner.wire.messages import Output
    from pipeline_runner.wire.shm.arena import Arena


class OutputSlots:
    """The places this worker was granted. For whoever holds the link's lock."""

    def __init__(self, arena: Arena | None = None) -> None:
        self.arena = arena
        self._granted: list[int] = []
        self.item_bytes = 0.0  # mean size in the last body: the next one will be like it

    def add(self, place: int) -> None:
        """Take in a place that was granted."""
        self._granted.append(place)

    def take_back(self, outputs: Sequence[Output]) -> None:
        """Keep the places of outputs that nobody took for other ones."""
        self._granted += [output.at for output in outputs if output.at]

    def write(
        self, taken: Sequence[Any], *, scalars: bool = False
    ) -> tuple[int, memoryview | None]:
        """Encode a large body into a place; 0 and None where there is no place for it."""
        fits = self.item_bytes * len(taken) <= SLOT_BYTES
        if self.arena is None or not self._granted or not fits:
            return 0, None
        room = self.arena.view(self._granted[-1])
        try:
            size = encode_into(taken, room, scalars=scalars)
        except NoRoom:
            return 0, None
        return self._granted.pop(), room[:size]
