"""User code is imported in another interpreter, and nothing it does there reaches this one."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline_runner.config.callables import Definition, ProbeResult, Signature
from pipeline_runner.config.parse import load
from pipeline_runner.worker.probe.probe import probe

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_runner.config.pipeline import Pipeline

APP = """\
import functools

print("printed while imported")

def plain(item): ...

def source():
    yield 1

def resumed(cursor=None):
    yield 1

async def fetch(url, *, retries): ...

async def stream():
    yield 1

class Embedder:
    def __init__(self, model="small"): ...

    def __call__(self, items):
        yield from items

class Dumb: ...

class Static:
    @staticmethod
    def __call__(item): ...

half = functools.partial(plain, 1)
embed = Embedder()
number = 3

def marked(item): ...
marked.__pipeline_kind__ = "sink"

def wraps(function):
    @functools.wraps(function)
    def inner(*args): return function(*args)
    return inner

@wraps
def wrapped(item, more): ...
"""

CHECK = """
import sys, tempfile
from pathlib import Path
from pipeline_runner.config.parse import load
from pipeline_runner.worker.probe.probe import probe
tempfile.tempdir = sys.argv[1]
probe(load(Path(sys.argv[1], "pipeline.toml"), {}), 60)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").touch()
    (tmp_path / "app" / "images.py").write_text(APP, encoding="utf-8")
    return tmp_path


def pipeline_of(project: Path, *runs: str, env: str = "{}") -> Pipeline:
    """Return a pipeline of independent-looking stages s0, s1, ... in a chain."""
    text = '[pipeline]\nname = "p"\n'
    for at, run in enumerate(runs):
        text += f"[stages.s{at}]\nrun = '{run}'\nenv = {env}\n"
    for at in range(1, len(runs)):
        text += f"[[edges]]\nfrom = 's{at - 1}'\nto = 's{at}'\n"
    file = project / "pipeline.toml"
    file.write_text(text, encoding="utf-8")
    return load(file, {})


def probed(project: Path, *runs: str, timeout_s: float = 30, env: str = "{}") -> list[ProbeResult]:
    return list(probe(pipeline_of(project, *runs, env=env), timeout_s).values())


def is_gone(pid: int) -> bool:
    """Whether a process has ended, even where nobody has reaped it."""
    try:
        stat = Path("/proc", str(pid), "stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(") ")[2][0] == "Z"


def until(condition: Callable[[], bool]) -> None:
    """Wait for ``condition``; the test's own time limit ends a wait for what never comes."""
    while not condition():
        threading.Event().wait(0.01)


def test_each_kind_of_callable_is_told_apart(project: Path) -> None:
    names = {
        "plain": Signature("function", ("item",), 1),
        "source": Signature("generator", (), 0),
        "resumed": Signature("generator", (), 1, cursor=True),
        "fetch": Signature("coroutine", ("url",), 1, ("retries",)),
        "stream": Signature("asyncgen", (), 0),
        "Embedder": Signature("generator", ("items",), 1),
        "Static": Signature("function", ("item",), 1),
        "half": Signature("function", (), 0),
        "embed": Signature("generator", ("items",), 1),
        "wrapped": Signature("function", ("item", "more"), 2),
        "Embedder.__call__": Signature("generator", ("self", "items"), 2),
    }
    results = probed(project, *(f"app.images:{name}" for name in names))
    assert [result.signature for result in results] == list(names.values())
    assert results[0].definition == Definition("plain", "app/images.py", 5)
    by_name = dict(zip(names, results, strict=True))
    assert by_name["Embedder"].constructor == Signature("function", (), 1)
    assert by_name["embed"].constructor is None


def test_what_cannot_be_called_has_no_signature(project: Path) -> None:
    number, dumb = probed(project, "app.images:number", "app.images:Dumb")
    assert (number.signature, number.constructor, number.type_name) == (None, None, "int")
    assert dumb.signature is None
    assert dumb.constructor is not None


def test_a_decorator_s_mark_is_read(project: Path) -> None:
    assert probed(project, "app.images:marked")[0].decorator == "sink"


def test_a_missing_attribute_comes_with_its_neighbours_and_their_lines(project: Path) -> None:
    [result] = probed(project, "app.images:plian")
    assert result.missing is not None
    assert (result.missing.owner, result.missing.name) == ("app.images", "plian")
    assert result.missing.near[0] == Definition("plain", "app/images.py", 5)
    [result] = probed(project, "app.images:Embedder.close")
    assert result.missing is not None
    assert (result.missing.owner, result.missing.name) == ("app.images.Embedder", "close")


def test_an_absent_module_comes_with_those_beside_it(project: Path) -> None:
    outer, inner = probed(project, "ap.images:f", "app.image:f")
    assert outer.fault is not None
    assert outer.fault.kind == "absent"
    assert outer.fault.near == ("app.images",)
    assert inner.fault is not None
    assert inner.fault.near == ("app.images",)


def test_a_file_s_name_in_place_of_a_module_s_is_understood(project: Path) -> None:
    [result] = probed(project, "app.images.py:f")
    assert result.fault is not None
    assert result.fault.kind == "absent"
    assert result.fault.near == ("app.images",)


@pytest.mark.parametrize(
    ("code", "message", "line"),
    [
        ("import os\n\n1 / 0\n", "ZeroDivisionError: division by zero", 3),
        ("def f(:\n", "SyntaxError: invalid syntax", 1),
        ("import nothing_of_that_name\n", "No module named 'nothing_of_that_name'", 1),
        ("import json\njson.loads('')\n", "JSONDecodeError", 2),
        ("raise SystemExit(3)\n", "SystemExit: 3", 1),
        ("raise KeyboardInterrupt\n", "KeyboardInterrupt", 1),
    ],
)
def test_an_import_that_raises_names_the_user_s_own_line(
    project: Path, code: str, message: str, line: int
) -> None:
    (project / "bad.py").write_text(code, encoding="utf-8")
    [result] = probed(project, "bad:f")
    assert result.fault is not None
    assert result.fault.kind == "raised"
    assert message in result.fault.message
    assert result.fault.place == Definition("", "bad.py", line)


def test_a_module_that_ends_the_interpreter_costs_only_its_own_stages(project: Path) -> None:
    (project / "dies.py").write_text("import os\nos._exit(3)\n", encoding="utf-8")
    (project / "killed.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", encoding="utf-8"
    )
    runs = ["app.images:source", "dies:f", "killed:f", "dies:g", "app.images:plain"]
    first, dies, killed, again, last = probed(project, *runs)
    assert first.signature is not None
    assert last.signature is not None
    assert dies.fault == again.fault
    assert dies.fault is not None
    assert (dies.fault.kind, dies.fault.message) == ("died", "exit code 3")
    assert killed.fault is not None
    assert (killed.fault.kind, killed.fault.message) == ("died", "SIGKILL")


def test_a_module_that_hangs_is_ended_with_all_it_started(project: Path) -> None:
    (project / "hangs.py").write_text(
        "import os, pathlib, signal\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "if os.fork() == 0:\n"
        "    pathlib.Path(os.environ['RUNNER_OUTPUT'], 'child').write_text(str(os.getpid()))\n"
        "signal.pause()\n",
        encoding="utf-8",
    )
    hangs, fine = probed(project, "hangs:f", "app.images:plain", timeout_s=2)
    assert hangs.fault is not None
    assert (hangs.fault.kind, hangs.fault.message) == ("timeout", "2 s")
    assert fine.signature is not None
    child = int((project / "child").read_text(encoding="utf-8"))
    until(lambda: is_gone(child))


def test_a_check_that_is_killed_leaves_no_interpreter_behind(project: Path) -> None:
    (project / "hangs.py").write_text(
        "import os, pathlib, signal\n"
        "output = pathlib.Path(os.environ['RUNNER_OUTPUT'])\n"
        "(output / 'new').write_text(str(os.getpid()))\n"
        "(output / 'new').rename(output / 'pid')\n"
        "signal.pause()\n",
        encoding="utf-8",
    )
    pipeline_of(project, "hangs:f")
    check = subprocess.Popen([sys.executable, "-c", CHECK, str(project)])
    try:
        until((project / "pid").exists)
    finally:
        check.kill()
        check.wait()
    until(lambda: is_gone(int((project / "pid").read_text(encoding="utf-8"))))


def test_threads_and_prints_of_user_code_hold_nothing_up(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "noisy.py").write_text(
        "import sys, threading\nprint('x' * 200_000)\nsys.stdout.close()\nsys.stderr.close()\n"
        "threading.Thread(target=threading.Event().wait).start()\ndef f(item): ...\n",
        encoding="utf-8",
    )
    [result] = probed(project, "noisy:f")
    assert result.signature is not None
    assert capfd.readouterr() == ("", "")


def test_a_user_s_module_may_be_named_like_one_of_the_standard_library(project: Path) -> None:
    for name in ("queue", "json", "inspect", "types", "pathlib", "runpy"):
        (project / f"{name}.py").write_text("def mine(item): ...\n", encoding="utf-8")
    [result] = probed(project, "queue:mine")
    assert result.signature == Signature("function", ("item",), 1)


def test_the_environment_is_the_worker_s(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "needs.py").write_text(
        "import os\nassert os.environ['MODEL'] == 'big'\nassert 'RUNNER_KEY' not in os.environ\n"
        "assert os.getcwd() == os.path.dirname(os.path.abspath(__file__))\ndef f(item): ...\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("RUNNER_KEY", "k" * 32)
    [result] = probed(project, "needs:f", env='{ MODEL = "big" }')
    assert result.fault is None


def test_no_folder_is_left_behind(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = project / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    probed(project, "app.images:plain")
    assert list(folder.iterdir()) == []
