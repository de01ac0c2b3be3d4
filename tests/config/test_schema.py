"""The schema that editors use agrees with the model, and is the one that is shipped."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline_runner.config.keys import every_key
from pipeline_runner.config.parse import parse
from pipeline_runner.config.schema import schema, schema_text

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "schemas" / "pipeline.schema.json"
TOMBI = shutil.which("tombi", path=str(Path(sys.executable).parent)) or shutil.which("tombi")

BASE = '[pipeline]\nname = "p"\n[stages.list]\nrun = "m:f"\n'
WRONG = {
    "an unknown key": BASE + "proceses = 4\n",
    "an unknown table": BASE + "[stage.x]\n",
    "no stages": '[pipeline]\nname = "p"\n',
    "a stage without run": BASE + "[stages.x]\nprocesses = 1\n",
    "a number in quotes": BASE + 'processes = "4"\n',
    "a negative count": BASE + "processes = -1\n",
    "a duration without a unit": BASE + "timeout = 30\n",
    "a duration of an unknown unit": BASE + 'timeout = "30x"\n',
    "a word that is none of the choices": BASE + 'spread = "hosts"\n',
    "a count over nothing known": BASE + 'per_host = "core-1"\n',
    "a capacity of nothing": BASE + '[[edges]]\nfrom = "a"\nto = "b"\ncapacity = 0\n',
    "an edge to nowhere": BASE + '[[edges]]\nfrom = "a"\n',
    "a name in capitals": BASE.replace('"p"', '"P Q"'),
}
RIGHT = {
    "the least there is": BASE,
    "values from the environment": BASE
    + 'processes = "${N}"\ntimeout = "${T:-5}s"\nspread = "${S}"\nper_host = { a = "${P}" }\n'
    + '[[edges]]\nfrom = "list"\nto = "list"\ncapacity = "${C}"\n[reload]\nauto_revert = "${R}"\n',
    "every form of a value": BASE
    + 'per_host = { "rig-7" = 4, "@gpu" = "gpus", "*" = 0 }\nenv = { A = "1" }\n'
    + 'batch = { count = 2, bytes = "1MiB" }\nrate_limit = "5/m"\nretry.factor = 1.5\n'
    + '[server]\nweb = false\n[hosts.gpu]\nwhere = ["gpus >= 1"]\n[reload]\nmax_parallel = "5%"\n',
}


def lint(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    assert TOMBI is not None
    shutil.copy(SHIPPED, folder / "pipeline.schema.json")
    file = folder / "pipeline.toml"
    body = "\n".join(line for line in text.splitlines() if not line.startswith("#:schema"))
    file.write_text(f"#:schema ./pipeline.schema.json\n{body}\n", encoding="utf-8")
    return subprocess.run(
        [TOMBI, "lint", "--offline", "--no-cache", str(file)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_shipped_schema_is_the_model_s() -> None:
    assert SHIPPED.read_text(encoding="utf-8") == schema_text(), (
        "stale: python -m pipeline_runner.config.schema > schemas/pipeline.schema.json"
    )


def test_every_key_is_described() -> None:
    made = schema()
    for name, table in [("file", made), *made["$defs"].items()]:
        for key, node in table.get("properties", {}).items():
            assert node["description"].endswith("."), f"{name}.{key}"
    assert ("stages", "retry", "cap") in set(every_key())


def test_defaults_are_written_as_in_the_file() -> None:
    tables = schema()["$defs"]
    assert tables["Retry"]["properties"]["backoff"]["default"] == "1s"
    assert tables["Retry"]["properties"]["factor"]["default"] == 2
    assert tables["Server"]["properties"]["memory"]["default"] == "256MiB"
    assert tables["Reload"]["properties"]["max_parallel"]["default"] == "25%"
    assert "default" not in tables["Stage"]["properties"]["timeout"]


@pytest.mark.skipif(TOMBI is None, reason="tombi is not installed")
@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG.keys())
def test_an_editor_refuses_a_wrong_file(tmp_path: Path, text: str) -> None:
    assert parse(text, file="f", environ={})[0] is None
    done = lint(tmp_path, text)
    assert done.returncode == 1, done.stdout + done.stderr


@pytest.mark.skipif(TOMBI is None, reason="tombi is not installed")
@pytest.mark.parametrize("text", RIGHT.values(), ids=RIGHT.keys())
def test_an_editor_accepts_a_right_file(tmp_path: Path, text: str) -> None:
    environ = {"N": "1", "S": "pack", "P": "cores-1", "C": "5", "R": "true"}
    pipeline, problems = parse(text, file="f", environ=environ)
    assert pipeline is not None, problems
    done = lint(tmp_path, text)
    assert done.returncode == 0, done.stdout + done.stderr


def files() -> list[Path]:
    return [ROOT / "pipeline.toml.example", *sorted(ROOT.glob("examples/**/pipeline.toml"))]


@pytest.mark.skipif(TOMBI is None, reason="tombi is not installed")
@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_an_editor_accepts_every_example(tmp_path: Path, file: Path) -> None:
    done = lint(tmp_path, file.read_text(encoding="utf-8"))
    assert done.returncode == 0, done.stdout + done.stderr
