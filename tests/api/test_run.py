from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_runner import InvalidPipeline, Pipeline, RunnerError
from pipeline_runner.errors import AlreadyRunning, NoHead, UsageError
from pipeline_runner.head.address import Address, find
from tests.e2e.kit import until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from pipeline_runner import Result
    from pipeline_runner.events import Event
    from pipeline_runner.observe.snapshot import Snapshot
    from tests.api.conftest import Folder

GATED = """\
import os, time

OUTPUT = os.environ.get("RUNNER_OUTPUT", "")

def generate():
    n = 0
    while n < 50 or not os.path.exists(OUTPUT + "/enough"):
        yield n
        n += 1

def show(n):
    open(OUTPUT + "/begun", "w").close()
    while not os.path.exists(OUTPUT + "/gate"):
        time.sleep(0.002)
"""


class Watch:
    """A screen that remembers."""

    def __init__(self) -> None:
        self.last: Snapshot | None = None
        self.final: Snapshot | None = None
        self.lost: int | None = None
        self.restored = 0

    def event(self, event: Event) -> None: ...

    def snapshot(self, snapshot: Snapshot) -> None:
        self.last = snapshot

    def close(self, final: Snapshot, lost: int) -> None:
        self.final, self.lost = final, lost

    def restore(self) -> None:
        self.restored += 1


async def soon(true: Callable[[], object]) -> None:
    """Wait until ``true()`` is, while the event loop goes on."""
    await asyncio.to_thread(until, true)


def test_a_run_says_how_it_ended_and_what_went_through(project: Folder) -> None:
    result = Pipeline.from_toml(project.numbers()).run()
    assert (result.ok, result.exit_code, result.state) == (True, 0, "finished")
    assert (result.lost, result.dead_letters) == (0, ())
    assert repr(result) == "<Result of p: finished, ok=True, dead_letters=0, lost=0>"
    counts = {name: (stage.in_, stage.out) for name, stage in result.stages.items()}
    assert counts == {"generate": (0, 3), "square": (3, 3), "subtract": (3, 3), "show": (3, 0)}


def test_what_failed_for_good_comes_back_with_payload_and_traceback(
    project: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    project.write(
        "def generate(): yield from (1, 0)\ndef show(n): return 1 / n\n",
        "generate",
        "show",
        settings="[defaults]\nretry = { attempts = 1 }",
    )
    with caplog.at_level(logging.ERROR, "pipeline_runner"):
        result = Pipeline.from_toml(project.file).run()
    assert (result.ok, result.exit_code) == (False, 1)
    [letter] = result.dead_letters
    assert (letter.stage, letter.payload()) == ("show", 0)
    assert "return 1 / n" in letter.traceback
    assert result.stages["show"].dead == 1
    assert "show ZeroDivisionError: division by zero" in caplog.text


def test_what_user_code_prints_keeps_its_stream(
    project: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write(
        "import sys\ndef generate(): yield 1\n"
        "def show(n):\n    print('to', 'out')\n    print('to err', file=sys.stderr)\n",
        "generate",
        "show",
    )
    Pipeline.from_toml(project.file).run()
    out, err = capsys.readouterr()
    assert "show[0] to out\n" in out
    assert "show[0] to err\n" in err


def test_a_screen_of_ones_own_watches(project: Folder) -> None:
    watch = Watch()
    result = Pipeline.from_toml(project.numbers()).run(screen=watch)
    assert watch.final == result.snapshot
    assert (watch.lost, watch.restored) == (0, 1)


def test_a_pipeline_without_a_file_runs_and_runs_again(project: Folder) -> None:
    project.numbers()
    project.file.unlink()
    stages = {name: f"functions:{name}" for name in ("generate", "square", "show")}
    built = Pipeline.build("built", stages, [tuple(stages)], root=project.root, durability="memory")
    assert [built.run().stages["show"].in_ for _ in range(2)] == [3, 3]
    assert asyncio.run(built.arun()).ok
    assert not project.file.exists()


def test_what_cannot_be_imported_is_shown_before_anything_starts(project: Folder) -> None:
    project.numbers()
    text = project.file.read_text().replace("functions:square", "functions:sqare")
    project.file.write_text(text)
    pipeline = Pipeline.from_toml(project.file)
    with pytest.raises(InvalidPipeline, match=r"(?s)functions has no `sqare`\n.*:9:18.*`square`"):
        pipeline.run()
    assert not pipeline.spec.state_dir.exists()


def test_check_returns_what_there_is_to_say_of_a_sound_pipeline(project: Folder) -> None:
    file = project.numbers()
    file.write_text(file.read_text().replace('durability = "memory"\n', ""))
    problems = Pipeline.from_toml(file).check()
    assert [problem.code for problem in problems] == ["replay"]


def test_a_faulty_file_is_refused_with_its_frames(folder: Folder) -> None:
    folder.write("", "generate", settings="colour = 'red'", edges="\n")
    with pytest.raises(InvalidPipeline) as caught:
        Pipeline.from_toml(folder.file)
    assert "pipeline.toml:4:1\n4 | colour = 'red'\n  | ^^^^^^" in str(caught.value)
    assert isinstance(caught.value, RunnerError)


def test_a_file_that_is_not_there_is_refused_with_the_cure(folder: Folder) -> None:
    with pytest.raises(UsageError, match=r"there is no .*; name it .*runner init"):
        Pipeline.from_toml(folder.file)


def test_a_second_run_of_the_same_pipeline_is_refused(project: Folder) -> None:
    pipeline = Pipeline.from_toml(project.numbers())
    taken = Address(pipeline.spec.state_dir, "p")
    taken.take()
    try:
        with pytest.raises(AlreadyRunning, match=r"p runs already, .*; look at it with"):
            pipeline.run()
        with pytest.raises(AlreadyRunning, match="p runs already"):
            asyncio.run(pipeline.arun())
    finally:
        taken.leave()


def test_run_leaves_the_programs_signal_handlers_as_they_were(project: Folder) -> None:
    def mine(number: int, frame: object) -> None: ...

    kept = {number: signal.signal(number, mine) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        assert Pipeline.from_toml(project.numbers()).run().ok
        assert {signal.getsignal(number) for number in kept} == {mine}
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def test_run_in_another_thread_is_refused_with_what_to_write(folder: Folder) -> None:
    pipeline = Pipeline.from_toml(folder.numbers())
    said: list[str] = []

    def work() -> None:
        with pytest.raises(RuntimeError) as caught:
            pipeline.run()
        said.append(str(caught.value))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert said[0].endswith("in another thread write asyncio.run(pipeline.arun())")


def test_run_beside_an_event_loop_is_refused_with_what_to_write(folder: Folder) -> None:
    pipeline = Pipeline.from_toml(folder.numbers())

    async def main() -> None:
        pipeline.run()

    with pytest.raises(RuntimeError, match=r"write await pipeline\.arun\(\)"):
        asyncio.run(main())


def test_arun_in_another_thread_runs_to_the_end(project: Folder) -> None:
    pipeline = Pipeline.from_toml(project.numbers())
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.append(asyncio.run(pipeline.arun())))
    thread.start()
    thread.join()
    assert results[0].ok


def test_the_event_loop_goes_on_while_arun_runs(project: Folder) -> None:
    project.write(GATED, "generate", "show")
    (project.root / "enough").touch()

    async def main() -> Result:
        run = asyncio.create_task(Pipeline.from_toml(project.file).arun())
        await soon((project.root / "begun").exists)
        assert not run.done()
        (project.root / "gate").touch()  # nobody but this loop opens it
        return await run

    assert asyncio.run(main()).stages["show"].in_ == 50


def cancelled(
    project: Folder, cancel: Callable[[asyncio.Task[Any], Watch], Coroutine[Any, Any, None]]
) -> Watch:
    """Start a run that ``cancel`` then cancels, and return what watched it to its end."""
    watch = Watch()

    async def main() -> None:
        pipeline = Pipeline.from_toml(project.file)
        run = asyncio.create_task(pipeline.arun(screen=watch))
        await cancel(run, watch)
        with pytest.raises(asyncio.CancelledError):
            await run
        with pytest.raises(NoHead):
            find(pipeline.spec.state_dir)

    asyncio.run(main())
    return watch


def test_cancelling_arun_drains(project: Folder) -> None:
    project.write(GATED, "generate", "show")

    async def cancel(run: asyncio.Task[Any], watch: Watch) -> None:
        await soon((project.root / "begun").exists)
        run.cancel()
        (project.root / "gate").touch()

    watch = cancelled(project, cancel)
    assert watch.lost == 0
    assert watch.final is not None
    generate, show = watch.final.stages
    assert generate.out == show.in_ > 0
    assert watch.final.state == "stopped"


def test_cancelling_arun_again_stops_now(project: Folder) -> None:
    project.write(GATED, "generate", "show")

    async def cancel_twice(run: asyncio.Task[Any], watch: Watch) -> None:
        await soon((project.root / "begun").exists)
        run.cancel()
        await soon(lambda: watch.last is not None and watch.last.state == "draining")
        run.cancel()

    watch = cancelled(project, cancel_twice)
    assert watch.lost
    assert watch.restored == 1


def test_a_run_that_was_stopped_goes_on_where_it_was_unless_it_is_to_be_fresh(
    project: Folder,
) -> None:
    file = project.write(GATED, "generate", "show")
    file.write_text(file.read_text().replace('"memory"', '"relaxed"'))

    async def cancel_twice(run: asyncio.Task[Any], watch: Watch) -> None:
        await soon((project.root / "begun").exists)
        run.cancel()
        await soon(lambda: watch.last is not None and watch.last.state == "draining")
        run.cancel()

    watch = cancelled(project, cancel_twice)
    assert watch.lost == 0
    assert watch.final is not None
    left = watch.final.edges[0].queued + watch.final.edges[0].leased
    assert left > 0
    for name in ("enough", "gate"):
        (project.root / name).touch()
    result = Pipeline.from_toml(file).run()
    assert result.ok
    assert result.stages["show"].in_ == max(50, watch.final.stages[0].out)
    assert Pipeline.from_toml(file).run(fresh=True).stages["show"].in_ == 50


def test_arun_that_is_cancelled_before_it_began_starts_nothing(project: Folder) -> None:
    project.numbers()

    async def cancel(run: asyncio.Task[Any], watch: Watch) -> None:
        await asyncio.sleep(0)  # it has begun to try the imports, by now
        run.cancel()

    watch = cancelled(project, cancel)
    assert watch.final is None
    assert not (project.root / ".runner").exists()


def test_ctrl_c_drains_a_program_and_its_run_returns(project: Folder) -> None:
    project.write(GATED, "generate", "show")
    (project.root / "program.py").write_text(
        "from pipeline_runner import Pipeline\n"
        "result = Pipeline.from_toml('pipeline.toml').run()\n"
        "print(result.ok, result.state, result.lost)\n"
    )
    with subprocess.Popen(
        [sys.executable, "program.py"],
        cwd=project.root,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        try:
            until((project.root / "begun").exists)
            program.send_signal(signal.SIGINT)
            (project.root / "gate").touch()
            out, _none = program.communicate(timeout=60)
        finally:
            program.kill()
    assert out.splitlines()[-1] == "True stopped 0"
    assert program.returncode == 0


def test_the_package_and_its_light_names_import_nothing_heavy() -> None:
    heavy = ["asyncio", "logging", "pydantic", "tomli", "rich", "click"]
    code = (
        f"import sys, pipeline_runner; heavy = set({heavy})\n"
        "print(sorted(heavy & sys.modules.keys()))\n"
        "from pipeline_runner import InvalidPipeline, Pipeline, Result, RunnerError\n"
        "print(sorted((heavy - {'asyncio', 'logging'}) & sys.modules.keys()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(os.sep),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("[]\n[]\n", "")


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    import pipeline_runner

    with pytest.raises(AttributeError, match="has no attribute 'Pipelines'"):
        _ = pipeline_runner.Pipelines  # type: ignore[attr-defined]
    for name in pipeline_runner.__all__:
        assert getattr(pipeline_runner, name) is not None
