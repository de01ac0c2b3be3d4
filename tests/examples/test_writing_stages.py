"""Every block of docs/writing-stages.md, run: its functions in the test's own process, what it
promises of a killed process under ``runner up``.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_runner import Tagged
from pipeline_runner.config.parse import parse
from pipeline_runner.testing import run_inline
from tests.examples.conftest import PATIENCE_S, REPOSITORY, RUNNER, environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

PAGE = REPOSITORY / "docs" / "writing-stages.md"
BLOCKS: list[tuple[str, str]] = re.findall(
    r"^```(\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)
PYTHON = [text for language, text in BLOCKS if language == "python"]
TOML = [text for language, text in BLOCKS if language == "toml"]
OPTIONAL = ("psycopg", "pyarrow")

# A source and a sink around the one stage that a block shows.
AROUND = """
[stages.feed]
run = "around:feed"
[stages.gather]
run = "around:gather"
[[edges]]
from = "feed"
to = "{name}"
[[edges]]
from = "{name}"
to = "gather"
"""
AROUND_FUNCTIONS = """
def feed():
    raise AssertionError("the test gives the items")


def gather(item):
    return item
"""


def block(marker: str, among: list[str] = PYTHON) -> str:
    """Return the one block that has ``marker`` in it."""
    found = [text for text in among if marker in text]
    assert len(found) == 1, f"{len(found)} blocks have {marker!r}"
    return found[0]


@dataclass
class Project:
    """A folder with ``functions.py``, ``around.py`` and ``pipeline.toml``."""

    folder: Path

    def write(self, functions: str, toml: str, extra: str = "") -> Path:
        """Write them and return the pipeline file; ``extra`` is added to ``around.py``."""
        (self.folder / "functions.py").write_text(functions)
        (self.folder / "around.py").write_text(AROUND_FUNCTIONS + extra)
        file = self.folder / "pipeline.toml"
        file.write_text(toml)
        return file

    def between(self, functions: str, run: str, settings: str = "") -> Path:
        """Write a pipeline of a source, one stage between and a sink."""
        head = '[pipeline]\nname = "p"\n'
        stage = f'[stages.it]\nrun = "functions:{run}"\n{settings}\n'
        return self.write(functions, head + stage + AROUND.format(name="it"))

    def load(self) -> ModuleType:
        """Return ``functions.py`` as a module of its own."""
        spec = importlib.util.spec_from_file_location("block", self.folder / "functions.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def up(self, **env: str) -> dict[str, Any]:
        """Run it to its end as a user does, and return the final facts."""
        done = subprocess.run(
            [*RUNNER, "up", "--local", "--json", "--ui", "none"],
            cwd=self.folder,
            env=environment() | env,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, done.stderr
        facts: dict[str, Any] = json.loads(done.stdout)
        return facts


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Give an empty project; what was imported of it is forgotten."""
    yield Project(tmp_path)
    for name in ("functions", "around"):
        sys.modules.pop(name, None)


def needs(text: str) -> None:
    """Skip a block whose library is not installed here."""
    for name in OPTIONAL:
        if f"import {name}" in text:
            pytest.importorskip(name)


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_every_python_block_is_a_module_of_its_own(project: Project, number: int) -> None:
    compile(PYTHON[number], f"block {number}", "exec")
    needs(PYTHON[number])
    project.write(PYTHON[number], "")
    defined = [name for name in vars(project.load()) if not name.startswith("_")]
    assert defined


@pytest.mark.parametrize("text", TOML)
def test_every_toml_block_is_a_sound_file(text: str) -> None:
    pipeline, problems = parse(text, file="pipeline.toml", environ={})
    assert [problem for problem in problems if problem.severity == "error"] == []
    assert pipeline is not None
    assert pipeline.stages


def test_the_first_pipeline_runs(project: Project) -> None:
    file = project.write(block("def lines()"), block('"first"', TOML))
    (project.folder / "access.log").write_text("10.0.0.1 GET /\n10.0.0.2 GET /a\n")
    # Where code runs is the release; the log travels with it, for it lies in the project.
    project.up()
    lines = (project.folder / "entries.txt").read_text().splitlines()
    assert sorted(lines) == ["10.0.0.1: GET /", "10.0.0.2: GET /a"]
    assert file.exists()


def test_the_decorators_are_held_to_the_graph(project: Project) -> None:
    edges = '[[edges]]\nfrom = "numbers"\nto = "square"\n[[edges]]\nfrom = "square"\nto = "show"\n'
    stages = "".join(
        f'[stages.{name}]\nrun = "functions:{name}"\n' for name in ("numbers", "square", "show")
    )
    file = project.write(block("@source"), '[pipeline]\nname = "p"\n' + stages + edges)
    assert run_inline(file)["show"] == [None] * 10
    code = block("@source").replace("@stage", "@sink")
    project.write(code, file.read_text())
    said = subprocess.run(
        [*RUNNER, "check"], cwd=project.folder, env=environment(), capture_output=True, text=True
    )
    assert said.returncode == 1
    assert "square is marked @sink" in said.stdout


@pytest.mark.parametrize("marker", ["def files():\n    for path in", "def my_share()"])
def test_a_source_gives_every_file(project: Project, marker: str) -> None:
    name = "files" if "files" in marker else "my_share"
    toml = f'[pipeline]\nname = "p"\n[stages.s]\nrun = "functions:{name}"\n'
    file = project.write(block(marker), toml)
    pictures = project.folder / "pictures"
    pictures.mkdir()
    for letter in "cab":
        (pictures / f"{letter}.jpg").touch()
    assert run_inline(file)["s"] == [f"pictures/{letter}.jpg" for letter in "abc"]


def test_several_processes_share_the_files(project: Project) -> None:
    toml = block('"shares"', TOML).replace("[stages.files]", "[stages.feed]")
    toml += '[stages.keep]\nrun = "around:keep"\n[[edges]]\nfrom = "feed"\nto = "keep"\n'
    keep = """
from pipeline_runner import context
def keep(name):
    with open(context().output / "kept", "a") as out:
        out.write(name + "\\n")
"""
    project.write(block("def my_share()"), toml, keep)
    (project.folder / "pictures").mkdir()
    wanted = [f"pictures/{number:02}.jpg" for number in range(21)]
    for name in wanted:
        (project.folder / name).touch()
    project.up()
    assert sorted((project.folder / "kept").read_text().split()) == wanted


def test_the_dice_end_with_a_six(project: Project) -> None:
    toml = '[pipeline]\nname = "p"\n[stages.dice]\nrun = "functions:dice"\n'
    thrown = run_inline(project.write(block("def dice()"), toml))["dice"]
    assert set(thrown) <= {1, 2, 3, 4, 5}


def test_a_cursor_goes_on_where_the_last_line_ended(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write(block("def entries(cursor)"), "")
    entries = project.load().entries
    (project.folder / "access.log").write_text("one\ntwo\nthree\n")
    monkeypatch.chdir(project.folder)
    first = next(entries(None))
    assert first.value == "one\n"
    assert [each.value for each in entries(first.cursor)] == ["two\n", "three\n"]


def test_one_output_none_or_many(project: Project) -> None:
    file = project.between(block("def double("), "double")
    assert run_inline(file, {"feed": [1, 2]})["gather"] == [2, 4]


def test_a_generator_filters_and_splits(project: Project) -> None:
    file = project.between(block("def words("), "words")
    given = run_inline(file, {"feed": ["# no", "a b", "", "c"]})
    assert given["gather"] == ["a", "b", "c"]


def test_tags_route_and_the_pages_own_test_passes(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = project.write(block("return Tagged"), block('"routes"', TOML))
    given = run_inline(file)
    assert given["shrink"] == ["small a.jpg", "small c.png"]
    assert given["index"] == ["words of b.txt"]
    assert isinstance(project.load().sort_out("a.jpg"), Tagged)
    monkeypatch.chdir(project.folder)
    names: dict[str, Any] = {}
    exec(block("def test_routes"), names)
    names["test_routes"]()


def test_a_class_is_built_called_and_closed(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    file = project.between(block("class Matcher"), "Matcher")
    given = run_inline(file, {"feed": ["me@example.org and you@example.org", "nobody"]})
    assert given["gather"] == [["me@example.org", "you@example.org"], []]
    assert capsys.readouterr().out == "2 addresses in this process\n"


def around(marker: str, name: str) -> str:
    """Return a block that shows one stage, with a source and a sink around it."""
    return block(marker, TOML) + AROUND.format(name=name)


def test_a_batch_is_a_list(project: Project) -> None:
    file = project.write(block("def add_tax"), around('"taxes"', "add-tax"))
    given = run_inline(file, {"feed": [{"amount": 100}, {"amount": 200}]})["gather"]
    assert [order["tax"] for order in given] == [19, 38]


def test_async_stages_are_awaited(project: Project) -> None:
    file = project.write(block("async def fetch"), around('"fetches"', "fetch"))
    assert run_inline(file, {"feed": ["u"]})["gather"] == [{"url": "u", "status": 200}]


def test_context_tells(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    file = project.between(block("here = context()"), "work")
    with caplog.at_level("INFO", logger="pipeline_runner.stage.it"):
        assert run_inline(file, {"feed": ["x"]})["gather"] == ["x"]
    assert ", try 1, on localhost" in caplog.text


def test_a_line_at_fault_raises(project: Project) -> None:
    file = project.write(block('line.split(",")'), around('"amounts"', "parse"))
    assert run_inline(file, {"feed": ["a,1"]})["gather"] == [{"name": "a", "amount": 1.0}]
    with pytest.raises(ValueError, match="unpack"):
        run_inline(file, {"feed": ["a"]})


def test_an_object_that_is_filled_anew_arrives_as_it_was_each_time(project: Project) -> None:
    toml = '[pipeline]\nname = "p"\n[stages.rows]\nrun = "functions:rows"\n[stages.gather]\n'
    toml += 'run = "around:gather"\n[[edges]]\nfrom = "rows"\nto = "gather"\n'
    gather = """
import json
from pipeline_runner import context
def gather(row):
    with open(context().output / "kept", "a") as out:
        out.write(json.dumps(row) + "\\n")
    return row
"""
    file = project.write(block('row["number"] = number'), toml, gather)
    wanted = [{"number": number} for number in range(1_000)]
    assert run_inline(file)["gather"] == wanted
    (project.folder / "kept").unlink()
    project.up()
    kept = (project.folder / "kept").read_text().splitlines()
    assert sorted(map(json.loads, kept), key=lambda row: int(row["number"])) == wanted


def test_items_share_nothing_whatever_they_shared_when_they_were_made(project: Project) -> None:
    toml = '[pipeline]\nname = "p"\n[stages.parts]\nrun = "functions:parts"\n'
    toml += '[stages.strip]\nrun = "functions:strip"\n'
    toml += AROUND.format(name="parts").replace('from = "parts"', 'from = "strip"')
    toml += '[[edges]]\nfrom = "parts"\nto = "strip"\n'
    file = project.write(block("def strip(part)"), toml)
    order = {"gift": True, "parts": [f"part {number}" for number in range(50)]}
    given = run_inline(file, {"feed": [order]})["gather"]
    assert given == [{"name": name, "options": {}} for name in order["parts"]]


DUPLICATES = """
[pipeline]
name = "seen"
[defaults]
retry = { attempts = 5, backoff = "10ms" }
[stages.urls]
run = "dying:urls"
[stages.first]
run = "dying:Dying"
[stages.keep]
run = "dying:keep"
[[edges]]
from = "urls"
to = "first"
[[edges]]
from = "first"
to = "keep"
"""

DYING = """
import os, signal
from functions import {parent}
from pipeline_runner import context

def die_once(item):
    if context().attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_duplicates_pass_once_though_a_process_dies_after_it_has_noted_one(
    project: Project,
) -> None:
    project.write(block("class FirstSeen"), DUPLICATES)
    (project.folder / "dying.py").write_text(
        DYING.format(parent="FirstSeen")
        + """
class Dying(FirstSeen):
    def __call__(self, url):
        passed = list(super().__call__(url))
        if url == "u3":
            die_once(url)
        yield from passed

def urls():
    for number in range(30):
        yield f"u{number % 10}"

def keep(url):
    with open(context().output / "kept", "a") as out:
        out.write(url + "\\n")
"""
    )
    facts = project.up()
    failed = {stage["name"]: stage["failed"] for stage in facts["stages"]}
    assert failed["first"] == 3  # each of the three died once, and was tried again
    kept = (project.folder / "kept").read_text().split()
    assert sorted(kept) == [f"u{number}" for number in range(10)]


SINK = """
[pipeline]
name = "sink"
[defaults]
retry = { attempts = 5, backoff = "10ms" }
[stages.orders]
run = "dying:orders"
[stages.keep]
run = "dying:Dying"
[[edges]]
from = "orders"
to = "keep"
"""
ORDERS = """
class Dying({parent}):
    def __call__(self, order):
        super().__call__(order)
        if order["amount"] in (3, 17):
            die_once(order)

def orders():
    for number in range(20):
        yield {{"name": "ab"[number % 2], "amount": number}}
"""


@pytest.mark.parametrize(
    ("marker", "name", "file", "query"),
    [
        ("class Totals", "Totals", "totals.sqlite", "SELECT sum(amount), 20 FROM totals"),
        (
            "(item_id TEXT PRIMARY KEY, name TEXT, amount REAL)",
            "Orders",
            "orders.sqlite",
            "SELECT sum(amount), count(*) FROM orders",
        ),
    ],
)
def test_a_sink_keeps_each_item_once_though_its_process_dies_after_the_commit(
    project: Project, marker: str, name: str, file: str, query: str
) -> None:
    project.write(block(marker), SINK)
    text = DYING.format(parent=name) + ORDERS.format(parent=name)
    (project.folder / "dying.py").write_text(text)
    facts = project.up()
    assert sum(stage["failed"] for stage in facts["stages"]) == 2
    with closing(sqlite3.connect(project.folder / file)) as database:
        assert database.execute(query).fetchone() == (sum(range(20)), 20)


def test_the_block_about_one_machine_names_the_head() -> None:
    pipeline, _ = parse(block('"totals"', TOML), file="pipeline.toml", environ={})
    assert pipeline is not None
    assert str(pipeline.stages["totals"].constraints[0]) == "head == true"


READ = """

def read():
    for number in range(2_500):
        yield {"name": "n", "amount": number}
"""


def test_a_batch_of_orders_is_one_transaction_and_keyed_by_the_stage_before(
    project: Project,
) -> None:
    project.write(block('executemany("INSERT OR') + READ, block('"orders"', TOML))
    project.up()
    with closing(sqlite3.connect(project.folder / "orders.sqlite")) as database:
        found = database.execute("SELECT count(*), sum(amount) FROM orders").fetchone()
    assert found == (2_500, sum(range(2_500)))


def _postgres(name: str) -> str | None:
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"))  # not in anybody's PATH
    return shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *map(str, debian)]))


@pytest.fixture
def database() -> Iterator[str]:
    """Give the address of a Postgres of this test's own, on a Unix socket."""
    pytest.importorskip("psycopg")
    initdb, postgres = _postgres("initdb"), _postgres("postgres")
    if initdb is None or postgres is None:
        pytest.skip("Postgres is not installed here")
    # It refuses to run as root; another user has to reach its folder then.
    with TemporaryDirectory(prefix="pg-") as folder:
        user: dict[str, Any] = {}
        if os.getuid() == 0:
            user = {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(folder, "postgres", "postgres")
        data = f"{folder}/data"
        subprocess.run(
            [initdb, "-D", data, "-U", "me", "-A", "trust", "--no-sync"],
            check=True,
            capture_output=True,
            **user,
        )
        server = subprocess.Popen(
            [postgres, "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"],
            stderr=subprocess.PIPE,
            text=True,
            **user,
        )
        try:
            assert server.stderr is not None
            for line in server.stderr:
                if "ready to accept connections" in line:
                    break
            yield f"postgresql://me@/postgres?host={folder}"
        finally:
            server.terminate()
            server.communicate()


def test_postgres_keeps_each_order_once_and_survives_its_own_restart(
    project: Project, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    monkeypatch.setenv("DATABASE_URL", database)
    project.write(block("import psycopg"), "")
    sink = project.load().Orders()
    rows = [{"id": f"r:{n}", "name": "a", "amount": n} for n in range(10)]
    sink(rows)
    sink(rows[5:])  # tried again after its process died
    with psycopg.connect(database, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        )
        with pytest.raises(psycopg.OperationalError):
            sink(rows)
        sink([{"id": "r:10", "name": "a", "amount": 10}])
        found = other.execute("SELECT count(*), sum(amount) FROM orders").fetchone()
    sink.close()
    assert found == (11, sum(range(11)))


def test_a_file_is_whole_and_has_the_name_of_its_item(project: Project) -> None:
    toml = '[pipeline]\nname = "p"\n[stages.feed]\nrun = "around:feed"\n[stages.store]\n'
    toml += 'run = "functions:store"\n[[edges]]\nfrom = "feed"\nto = "store"\n'
    file = project.write(block('draft.replace(folder / f"{name}.bin")'), toml)
    run_inline(file, {"feed": [b"one", b"two"]})
    run_inline(file, {"feed": [b"one", b"two"]})  # the same names: the same items again
    results = sorted(path.read_bytes() for path in (project.folder / "results").iterdir())
    assert results == [b"one", b"two"]


def test_a_chunk_is_a_parquet_file(project: Project) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    toml = '[pipeline]\nname = "p"\n[stages.chunks]\nrun = "functions:chunks"\n[stages.write]\n'
    toml += 'run = "functions:write"\n[[edges]]\nfrom = "chunks"\nto = "write"\n'
    file = project.write(block("import pyarrow"), toml)
    run_inline(file)
    run_inline(file)
    table = pq.read_table(project.folder / "squares.parquet")
    assert table.num_rows == 120_000
    assert sorted(table["number"].to_pylist()) == list(range(120_000))


class _Payments(BaseHTTPRequestHandler):
    """Charges once for each key."""

    charged: dict[str, int]

    def do_POST(self) -> None:
        order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = self.headers["Idempotency-Key"]
        body = json.dumps({"charged": self.charged.setdefault(key, order["amount"])}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_a_charge_carries_the_items_key(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    charged: dict[str, int] = {}
    handler = type("Handler", (_Payments,), {"charged": charged})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            monkeypatch.setenv("PAYMENTS_URL", f"http://127.0.0.1:{server.server_port}")
            file = project.between(block("Idempotency-Key"), "charge")
            orders = [{"amount": 1}, {"amount": 2}]
            run_inline(file, {"feed": orders})
            again = run_inline(file, {"feed": orders})["gather"]
        finally:
            server.shutdown()
            serving.join()
    assert again == [{"charged": 1}, {"charged": 2}]
    assert sorted(charged.values()) == [1, 2]
