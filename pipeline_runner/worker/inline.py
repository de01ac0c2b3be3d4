"""A whole pipeline in this process, one call after the other: for a debugger, and for tests.

Nothing is retried and nothing is caught: what user code raises arrives where it was called.
Values travel through the codec as they would between processes, taken at the moment they are
yielded or returned: what cannot be pickled, is changed by it, or is changed afterwards shows here
too.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline_runner.wire.codec import decode, encode, take
from pipeline_runner.worker import context as contexts
from pipeline_runner.worker.call import Target, check_count, load, one_by_one
from pipeline_runner.worker.job import Out
from pipeline_runner.worker.loops.routing import Router, UnsendableError
from pipeline_runner.worker.loops.source_values import check_returned, marked
from pipeline_runner.worker.values import END, At

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from typing_extensions import Self

    from pipeline_runner.config.pipeline import Pipeline


def run(
    pipeline: Pipeline,
    *,
    limit: int | None = None,
    only: str | None = None,
    items: Sequence[Any] | None = None,
    feed: Mapping[str, Iterable[Any]] | None = None,
) -> dict[str, list[Any]]:
    """Run ``pipeline`` here and return what its sinks returned, by stage.

    ``limit`` ends each source after so many values. With ``only``, just that stage is called, with
    ``items``, and its outputs are returned. With ``feed`` no source is called: what enters are
    the items it has for each of its stages, a source's as if that had given them. Raises whatever
    user code raises.
    """
    if only is not None:
        with InlineRunner(pipeline, [only]) as desk:
            for item in items or ():
                desk.call(only, item, forward=False)
            desk.flush(only, forward=False)
        return {only: desk.results[only]}
    called = [name for name in pipeline.stages if feed is None or pipeline.inputs(name)]
    with InlineRunner(pipeline, called) as desk:
        if feed is None:
            for source in pipeline.sources:
                for value in itertools.islice(desk.values(source), limit):
                    desk.give(source, value)
        else:
            for name, given in feed.items():
                enter = desk.give if name in pipeline.sources else desk.take
                for value in given:
                    enter(name, value.value if isinstance(value, At) else value)
        desk.flush_all()
    return {sink: desk.results[sink] for sink in pipeline.sinks}


@dataclass(slots=True)
class _Stage:
    router: Router
    batch: int | None
    target: Target | None = None
    gathered: list[Any] = field(default_factory=list)


class InlineRunner:
    """The stages and the items on their way between them; entered, those it calls are there."""

    def __init__(self, pipeline: Pipeline, called: Sequence[str]) -> None:
        self._pipeline = pipeline
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[tuple[str, Any]] = deque()
        self._finished = False
        self._count = 0
        self._names = called
        self.results: dict[str, list[Any]] = {name: [] for name in pipeline.stages}
        self._stages = {name: self._made(name) for name in pipeline.stages}

    def __enter__(self) -> Self:
        try:
            for name in self._names:
                self._enter(name)
                target = load(self._pipeline.stages[name].run)
                self._stages[name].target = target
                if target.kind in {"async", "asyncgen"} or target.closes_async:
                    self._refuse_another_loop(name)
        except BaseException:
            self._close(finished=False)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._close(finished=kind is None)

    def _made(self, name: str) -> _Stage:
        stage = self._pipeline.stages[name]
        outs = [Out(edge.name, edge.tags) for edge in self._pipeline.outputs(name)]
        router = Router(outs, self._pipeline.server.max_item)
        return _Stage(router, stage.batch.count if stage.batch else None)

    def _target(self, name: str) -> Target:
        target = self._stages[name].target
        assert target is not None, f"{name} is not called in this run"
        return target

    def _refuse_another_loop(self, name: str) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        raise RuntimeError(
            f"{name} is async and would run in an event loop of its own, and one runs here "
            "already: call this from code that is not async"
        )

    def _enter(self, name: str) -> None:
        contexts.enter(
            contexts.Context(
                name,
                "localhost",
                0,
                1,
                "",
                self._pipeline.root,
                "inline",
                lambda: (f"{name}:{self._count}", 1),
                lambda: self._finished,
            )
        )

    def values(self, name: str) -> Iterator[Any]:
        """Yield what a source yields or returns, to its end."""
        for value in self._values(name, self._target(name)):
            self._enter(name)
            yield value

    def _values(self, name: str, target: Target) -> Iterable[Any]:
        self._enter(name)
        arguments = {"cursor": None} if target.takes_cursor else {}
        if target.kind == "asyncgen":
            given = self._iterate(target.call(**arguments))
            return (at.value for at in marked(given)) if target.takes_cursor else given
        if target.takes_cursor:
            return (at.value for at in marked(target.call(**arguments)))
        if target.kind == "generator":
            values: Iterable[Any] = target.call()
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
            check_returned(value)
            yield value

    def give(self, name: str, value: Any) -> None:
        """Let a source give ``value``, and call stages until nothing is on its way."""
        if self._stages[name].router.is_sink:
            self.results[name].append(value)
        self.emit(name, [self._taken(name, value)])
        self.drain()

    def take(self, name: str, item: Any) -> None:
        """Let a stage take ``item`` as if an edge had brought it, and go on like :meth:`give`."""
        self.call(name, decode(encode([take(item)]))[0])
        self.drain()

    def _taken(self, name: str, value: Any) -> Any:
        """Return a stage's output as it is now. Raises why it cannot travel, if so."""
        try:
            return self._stages[name].router.take(value)
        except UnsendableError as error:
            raise error.__cause__ or error from None

    def emit(self, name: str, taken: list[Any]) -> None:
        """Send a stage's outputs, as they were taken, to the edges they fit."""
        bodies = self._stages[name].router.encode(taken)
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

    def flush_all(self) -> None:
        """Call every batch that is not full, upstream first, until none has an item left."""
        while any(stage.gathered for stage in self._stages.values()):
            for name in itertools.chain.from_iterable(self._pipeline.components):
                self.flush(name)
                self.drain()

    def _run(self, name: str, given: Any, forward: bool) -> None:
        self._enter(name)
        self._count += 1
        stage, target = self._stages[name], self._target(name)
        count = None if stage.batch is None else len(given)  # before user code may empty it
        if not forward or stage.router.is_sink:
            self.results[name] += self._outputs(stage, target, target.call(given))
        else:
            outputs = self._outputs(stage, target, target.call(given))
            taken = [self._taken(name, output) for output in outputs]
            if count is not None:
                check_count(len(taken), count)
            self.emit(name, taken)

    def _outputs(self, stage: _Stage, target: Target, result: Any) -> Iterable[Any]:
        """Return what a call gives, one after the other as it is yielded."""
        if target.kind == "asyncgen":
            return self._iterate(result)
        is_one = stage.batch is None
        if target.kind == "generator" and (not is_one or hasattr(type(result), "__next__")):
            return one_by_one(result)
        result = self._finish(target, result)
        return [result] if is_one or stage.router.is_sink else one_by_one(result)

    def _close(self, *, finished: bool) -> None:
        """Close what classes built. After an error, it alone is told: not what follows from it."""
        self._finished = finished
        try:
            for name in self._names:
                self._enter(name)
                target = self._stages[name].target
                if target is not None:
                    with nullcontext() if finished else suppress(Exception):
                        self._close_one(name, target)
        finally:
            contexts.enter(None)
            if self._loop is not None:
                self._loop.run_until_complete(self._loop.shutdown_asyncgens())
                self._loop.close()

    def _close_one(self, name: str, target: Target) -> None:
        closing, grace_s = target.close(), self._pipeline.reload.grace
        if closing is None:
            return
        try:
            self._own_loop().run_until_complete(asyncio.wait_for(closing, grace_s))
        except asyncio.TimeoutError as error:
            what = f"{name}: its close() ran longer than the grace of {grace_s:g} s"
            raise TimeoutError(what) from error

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
