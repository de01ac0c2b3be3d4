"""A whole pipeline in this process, one call after the other: for a debugger, and for tests.

Nothing is retried and nothing is caught: what user code raises arrives where it was called.
Values travel through the codec as they would between processes, so what cannot be pickled or is
changed by it shows here too.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline_runner.queues.codec import decode
from pipeline_runner.worker import context as contexts
from pipeline_runner.worker.call import Target, load
from pipeline_runner.worker.job import Out
from pipeline_runner.worker.routing import Router
from pipeline_runner.worker.values import END, At

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pipeline_runner.config.pipeline import Pipeline


def run(
    pipeline: Pipeline,
    *,
    limit: int | None = None,
    only: str | None = None,
    items: Sequence[Any] | None = None,
) -> dict[str, list[Any]]:
    """Run ``pipeline`` here and return what its sinks returned, by stage.

    ``limit`` ends each source after so many values. With ``only``, just that stage is called, with
    ``items``, and its outputs are returned. Raises whatever user code raises.
    """
    if only is not None:
        desk = _Desk(pipeline, [only])
        for item in items or ():
            desk.call(only, item, forward=False)
        desk.flush(only, forward=False)
        desk.close()
        return {only: desk.results[only]}
    desk = _Desk(pipeline, list(pipeline.stages))
    for source in pipeline.sources:
        for value in itertools.islice(desk.values(source), limit):
            desk.emit(source, [value])
            desk.drain()
    for component in pipeline.components:
        for stage in component:
            desk.flush(stage)
            desk.drain()
    desk.close()
    return {sink: desk.results[sink] for sink in pipeline.sinks}


@dataclass(slots=True)
class _Stage:
    target: Target
    router: Router
    batch: int | None
    gathered: list[Any] = field(default_factory=list)


class _Desk:
    """The stages and the items on their way between them."""

    def __init__(self, pipeline: Pipeline, names: Sequence[str]) -> None:
        self._pipeline = pipeline
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[tuple[str, Any]] = deque()
        self._finished = False
        self._count = 0
        self.results: dict[str, list[Any]] = {name: [] for name in names}
        self._stages = {name: self._load(name) for name in names}

    def _load(self, name: str) -> _Stage:
        stage = self._pipeline.stages[name]
        outs = [Out(edge.name, edge.tags) for edge in self._pipeline.outputs(name)]
        self._enter(name)
        return _Stage(load(stage.run), Router(outs), stage.batch.count if stage.batch else None)

    def _enter(self, name: str) -> None:
        contexts.enter(
            contexts.Context(
                name,
                "localhost",
                0,
                1,
                "",
                self._pipeline.root,
                lambda: (f"{name}:{self._count}", 1),
                lambda: self._finished,
            )
        )

    def values(self, name: str) -> Iterator[Any]:
        """Yield what a source yields or returns, to its end."""
        target = self._stages[name].target
        for value in self._values(name, target):
            self._enter(name)
            yield value.value if isinstance(value, At) else value

    def _values(self, name: str, target: Target) -> Iterable[Any]:
        self._enter(name)
        arguments = {"cursor": None} if target.takes_cursor else {}
        if target.kind == "asyncgen":
            return self._iterate(target.call(**arguments))
        if target.kind == "generator" or target.takes_cursor:
            values: Iterable[Any] = target.call(**arguments)
            return values
        return self._called(target)

    def _called(self, target: Target) -> Iterator[Any]:
        while True:
            try:
                value = self._finish(target, target.call())
            except StopIteration:
                return
            if value is END:
                return
            yield value

    def emit(self, name: str, values: list[Any]) -> None:
        """Send a stage's outputs to the edges they fit."""
        bodies = self._stages[name].router.encode(values)
        targets = {edge.name: edge.to for edge in self._pipeline.outputs(name)}
        for output, data in zip(bodies.outputs, bodies.data, strict=True):
            for edge in output.edges:
                self._waiting.extend((targets[edge], value) for value in decode(data))

    def drain(self) -> None:
        """Call stages until nothing is on its way."""
        while self._waiting:
            self.call(*self._waiting.popleft())

    def call(self, name: str, item: Any, *, forward: bool = True) -> None:
        """Give one item to a stage; a batch waits until it is full."""
        stage = self._stages[name]
        if stage.batch is None:
            self._run(name, item, forward)
            return
        stage.gathered.append(item)
        if len(stage.gathered) >= stage.batch:
            self.flush(name, forward=forward)

    def flush(self, name: str, *, forward: bool = True) -> None:
        """Call a batch that is not full."""
        stage = self._stages[name]
        gathered, stage.gathered = stage.gathered, []
        if gathered:
            self._run(name, gathered, forward)

    def _run(self, name: str, given: Any, forward: bool) -> None:
        self._enter(name)
        self._count += 1
        stage = self._stages[name]
        result = stage.target.call(given)
        if stage.target.kind == "asyncgen":
            outputs = list(self._iterate(result))
        elif stage.target.kind == "generator":
            outputs = list(result)
        else:
            result = self._finish(stage.target, result)
            outputs = list(result) if stage.batch and not stage.router.is_sink else [result]
        if not forward or stage.router.is_sink:
            self.results[name] += outputs
        else:
            self.emit(name, outputs)

    def close(self) -> None:
        """Close what classes built, at the true end."""
        self._finished = True
        for name, stage in self._stages.items():
            self._enter(name)
            stage.target.close()
        contexts.enter(None)
        if self._loop is not None:
            self._loop.close()

    def _finish(self, target: Target, result: Any) -> Any:
        return self._own_loop().run_until_complete(result) if target.kind == "async" else result

    def _iterate(self, values: Any) -> Iterator[Any]:
        iterator = values.__aiter__()
        while True:
            try:
                yield self._own_loop().run_until_complete(iterator.__anext__())
            except StopAsyncIteration:
                return

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop
