"""Where large outputs go: into the memory shared with the head, whatever kind of stage it is."""

from __future__ import annotations

import asyncio
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline_runner.wire.codec import decode, encode
from pipeline_runner.wire.messages import MOST_ITEM, Granted
from pipeline_runner.wire.shm.arena import Arena
from pipeline_runner.wire.shm.slots import LARGE_BYTES, SLOT_BYTES
from pipeline_runner.worker.call import Target
from pipeline_runner.worker.job import Out
from pipeline_runner.worker.loops.concurrent import ConcurrentLoop
from pipeline_runner.worker.loops.limits import Limits
from pipeline_runner.worker.page import Page
from pipeline_runner.worker.session.grants import Grant, InHand
from pipeline_runner.worker.session.ledger import Ledger
from pipeline_runner.worker.session.output_slots import OutputSlots

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="shared memory without a name")


async def enlarged(number: int) -> bytes:
    return bytes([number]) * 2 * LARGE_BYTES


def test_what_a_coroutine_returns_goes_into_a_place_once_it_is_known_to_be_large() -> None:
    arena = Arena.create(4 * SLOT_BYTES)
    assert arena is not None
    settled: list[tuple[Any, Any]] = []
    link: Any = SimpleNamespace(
        lock=threading.RLock(),
        ledger=Ledger("run-1"),
        places=OutputSlots(arena),
        most_item=MOST_ITEM,
        settle=lambda settle, data: settled.append((settle, data)),
    )
    for slot in range(3):
        place = arena.count + slot
        assert arena.reserve(place)
        link.places.add(place)
    job: Any = SimpleNamespace(outs=(Out("a->b", ()),), concurrency=4, timeout_s=None)
    target = Target(enlarged, "async", takes_cursor=False)
    loop = ConcurrentLoop(job, target, link, Page.create({}), Limits(None, None))
    body = encode([0, 1, 2])
    lease = Granted(1, 1, "s->a", 1, 0, 3, 3, len(body))
    items = InHand().items(Grant(lease, body))

    async def run() -> None:
        for index in range(3):
            await loop._one(lease, index, items)

    asyncio.run(run())
    places = [settle.outputs[0].at for settle, _data in settled]
    assert places == [0, arena.count + 2, arena.count + 1]
    for number, (settle, [data]) in enumerate(settled):
        output = settle.outputs[0]
        there = arena.view(output.at, output.size) if output.at else data
        assert decode(there) == [bytes([number]) * 2 * LARGE_BYTES]
    arena.close_fd()
