"""``Pipeline``: from a file or from code, checked, run from a program."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline_runner.api.result import Result
from pipeline_runner.errors import InvalidPipeline, RunnerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pipeline_runner.api.settings import EdgeSettings, Run, Settings, StageSettings
    from pipeline_runner.config.pipeline import Pipeline as Spec
    from pipeline_runner.errors import Problem
    from pipeline_runner.observe.screen import Screen

IMPORT_TIMEOUT_S = 60.0


class Pipeline:
    """A pipeline that is sound as far as its text tells: one of :meth:`from_toml`, :meth:`build`.

    It holds nothing open and can be run again and again, though not twice at a time.
    ``functions.py``::

        def numbers():
            yield from range(100)

        def square(number):
            return number * number

        def show(number):
            print(number)

    Its functions are imported by workers, each in a process of its own:

        >>> from functions import numbers, show, square
        >>> squares = Pipeline.build(
        ...     "squares",
        ...     {"numbers": numbers, "square": {"run": square, "processes": 2}, "show": show},
        ...     [("numbers", "square", "show")],
        ... )
        >>> squares
        <Pipeline squares of ...: numbers, square, show>
        >>> squares.run()
        show[0] ...
        <Result of squares: finished, ok=True, dead_letters=0, lost=0>
        >>> print(squares.to_toml())
        [pipeline]
        name = "squares"
        ...
    """

    def __init__(self, spec: Spec, text: str, problems: tuple[Problem, ...], file: str) -> None:
        self._spec = spec
        self._text = text
        self._problems = problems
        self._file = file

    @classmethod
    def from_toml(cls, file: str | Path = "pipeline.toml") -> Pipeline:
        """Return the pipeline of ``file``; the project is the folder it is in.

        Raises InvalidPipeline, whose text shows every fault in its place, or UsageError when the
        file cannot be read.
        """
        from pipeline_runner.config.parse import parse, read

        with _in_full():
            path = Path(file)
            text = read(path)
            spec, problems = parse(text, file=str(file), environ=os.environ)
            if spec is None:
                raise InvalidPipeline(problems, text)
            return cls(spec.at(path.resolve()), text, problems, str(file))

    @classmethod
    def build(
        cls,
        name: str,
        stages: Mapping[str, Run | StageSettings],
        edges: Iterable[tuple[str, ...] | EdgeSettings] = (),
        *,
        root: str | Path | None = None,
        durability: str = "fsync",
        defaults: Settings | None = None,
        hosts: Mapping[str, Mapping[str, Any]] | None = None,
        sync: Mapping[str, Any] | None = None,
        reload: Mapping[str, Any] | None = None,
        server: Mapping[str, Any] | None = None,
    ) -> Pipeline:
        """Return a pipeline without a file, in the file's own words::

            Pipeline.build(
                "squares",
                {"generate": generate, "square": {"run": square, "processes": 4}, "show": show},
                [("generate", "square", "show")],
            )

        A stage is its callable, ``"module:callable"``, or a table whose ``run`` is one of them.
        An edge is a path of two or more stages, or a table with ``from`` and ``to``. ``root`` is
        the project: where workers run and find their modules first; the working directory unless
        given. A callable must stand at the top of a module, for a worker imports it by its name.

        Raises InvalidPipeline, whose text shows every fault in its place, and TypeError or
        ValueError for a stage, an edge or a value that no file could have.
        """
        from pipeline_runner.api.build import build

        tables = {
            "defaults": defaults,
            "hosts": hosts,
            "sync": sync,
            "reload": reload,
            "server": server,
        }
        given = {key: table for key, table in tables.items() if table is not None}
        header = {"name": name, "durability": durability}
        with _in_full():
            project = Path.cwd() if root is None else Path(root).resolve()
            spec, problems, text = build(header, stages, edges, given, project)
            if spec is None:
                raise InvalidPipeline(problems, text)
            return cls(spec, text, problems, spec.file.name)

    @property
    def spec(self) -> Spec:
        """The pipeline with its defaults merged in: stages, edges, hosts and rules."""
        return self._spec

    @property
    def name(self) -> str:
        """Its name."""
        return self._spec.name

    def to_toml(self) -> str:
        """Return the text of its file; of one that was built, a file that says the same."""
        return self._text

    def check(self) -> tuple[Problem, ...]:
        """Import what the stages run, in another interpreter, and return what there is to say.

        That is warnings and notes, in file order. Raises InvalidPipeline if there are errors.
        """
        from pipeline_runner.config.callable_checks import check_callables
        from pipeline_runner.config.faults import in_file_order
        from pipeline_runner.config.locate import Locator
        from pipeline_runner.sync.checks import check_project
        from pipeline_runner.worker.probe.probe import probe

        found = probe(self._spec, IMPORT_TIMEOUT_S)
        locator = Locator(self._text, self._file)
        judge = check_project if self._spec.file.is_file() else check_callables
        more = judge(self._spec, found, locator)
        problems = in_file_order((*self._problems, *more))
        with _in_full():
            if any(problem.severity == "error" for problem in problems):
                raise InvalidPipeline(problems, self._text)
        return problems

    def run(self, *, fresh: bool = False, screen: Screen | None = None) -> Result:
        """Run it to its end, as ``runner up`` does, and return how it ended.

        ``fresh`` forgets what an earlier run left queued. ``screen`` watches; without one, events
        go to the logger ``pipeline_runner`` and what user code prints to this process's streams.
        Ctrl-C and SIGTERM drain, a second one stops now: either way this returns.

        For the main thread of a program without an event loop; elsewhere, see :meth:`arun`.
        Raises RuntimeError there, InvalidPipeline if something cannot be imported, AlreadyRunning
        if another head has this pipeline.
        """
        self._refuse_inside()
        _refuse_elsewhere()
        self.check()
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            return self._serve(_screen(screen), fresh)
        finally:
            for number, handler in handlers.items():
                if handler is not None:  # None is one that only C code could put back
                    signal.signal(number, handler)

    async def arun(self, *, fresh: bool = False, screen: Screen | None = None) -> Result:
        """Like :meth:`run`, beside an event loop, which goes on meanwhile.

        The run has a thread of its own; ``screen`` is called there. Signals stay the program's:
        cancelling this drains, cancelling again stops now, and it ends once the run has.
        """
        from pipeline_runner.api.apart import Heard, Stop, in_thread

        self._refuse_inside()
        stop = Stop(self._spec.state_dir)
        heard = Heard(_screen(screen), stop)

        def work() -> Result:
            try:
                self.check()
                stop.check()
                return self._serve(heard, fresh)
            finally:
                stop.done_waiting()

        return await in_thread(work, stop)

    def _refuse_inside(self) -> None:
        from pipeline_runner.worker.nested_runs import refuse

        with _in_full():
            refuse(self.name)

    def _serve(self, screen: Screen, fresh: bool) -> Result:
        from pipeline_runner.head.run import UpOptions, run
        from pipeline_runner.queues import dead_letters

        try:
            with _in_full():
                ended = run(self._spec, screen, UpOptions(fresh=fresh, text=self._text))
        finally:
            screen.restore()
        kept = dead_letters.read(self._spec.state_dir)  # of earlier runs, too
        letters = tuple(letter for letter in kept if letter.run == ended.run)
        return Result(ended.exit_code, ended.snapshot, letters, ended.lost)

    def __repr__(self) -> str:
        return f"<Pipeline {self.name} of {self._spec.root}: {', '.join(self._spec.stages)}>"


def _screen(screen: Screen | None) -> Screen:
    from pipeline_runner.api.log import Log

    return Log() if screen is None else screen


def _refuse_elsewhere() -> None:
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            "Pipeline.run() is for the main thread, where signals can stop it; "
            "in another thread write asyncio.run(pipeline.arun())"
        )
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        "Pipeline.run() would block the event loop that runs here; write await pipeline.arun()"
    )


@contextmanager
def _in_full() -> Iterator[None]:
    """Let the text of an error say all that a command line would: the frames, or the cure."""
    from pipeline_runner.config.report import render

    try:
        yield
    except InvalidPipeline as error:
        errors = [problem for problem in error.problems if problem.severity == "error"]
        error.args = (f"{error.message}\n{render(errors, error.text)}",)
        raise
    except RunnerError as error:
        error.args = (f"{error.message}; {error.hint}" if error.hint else error.message,)
        raise
