"""One run of one pipeline, for whoever starts it: the command line, or Python."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pipeline_runner.head.address import Address
from pipeline_runner.head.head import Head
from pipeline_runner.head.options import RunResult, UpOptions
from pipeline_runner.head.recovery import Start, begin
from pipeline_runner.head.signals import Signals
from pipeline_runner.worker.nested_runs import refuse

if TYPE_CHECKING:
    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.observe.screen import Screen

__all__ = ["RunResult", "UpOptions", "run"]


def run(pipeline: Pipeline, screen: Screen, options: UpOptions) -> RunResult:
    """Run ``pipeline`` until its end or a signal, telling ``screen``.

    In the main thread, that is: in another one no signal reaches it, and only `down` stops it.
    Raises NestedRun inside a worker of the same pipeline, and while the modules of stages are
    imported; AlreadyRunning if another head has its state folder, or its name on the network.
    """
    refuse(pipeline.name)
    address = Address(pipeline.state_dir, pipeline.name)
    address.take()
    signals = Signals()
    with signals.taken(for_good=options.exits):
        try:
            start = begin(pipeline, fresh=options.fresh)
            return asyncio.run(_run(pipeline, screen, options, address, start, signals))
        finally:
            address.leave()


async def _run(
    pipeline: Pipeline,
    screen: Screen,
    options: UpOptions,
    address: Address,
    start: Start,
    signals: Signals,
) -> RunResult:
    return await Head(pipeline, screen, options, address, start, signals).run()
