"""Whatever a file holds, `check` answers with its report: it never raises, hangs or stumbles."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tomli
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline_runner.api.toml import written
from pipeline_runner.cli.problems import Judged, frames, judge
from pipeline_runner.config import report

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLE = Path(__file__).parents[2] / "pipeline.toml.example"
SMALL = '[pipeline]\nname = "p"\n[stages.a]\nrun = "functions:square"\n'

HOSTILE: list[Any] = [
    *(True, False, 0, -1, 1.5, 2**63, -(2**64), 10**400, float("inf"), float("nan")),
    *("", "\0", "a\0b", "\x1b[2J", "\x7f", "\n", "..", "/", "a" * 300, "ü" * 200, "💥", "‮"),
    *(
        "9" * 400 + "s",
        "9" * 5000 + "GiB",
        "9" * 5000 + "/s",
        "9" * 5000 + "%",
        "cores*" + "9" * 5000,
    ),
    *("${BYTES}", "${DIGITS}", "${NOBODY_SET_THIS}", "${", "$${BYTES}", "${BYTES:-\0}"),
    *(
        "cores >= " + "9" * 5000,
        "python == " + "9" * 5000,
        "memory >= " + "9" * 5000 + "B",
        "os in [",
    ),
    *(
        "app:f",
        "a" * 300 + ":f",
        "os.path:join",
        "x:y:z",
        "a.b" * 200 + ":f",
        "functions:" + "f" * 300,
    ),
    *("a/" * 3000, "***", "[[[", "[z-a]", "!", "\\", "**/" * 50),
    *([], {}, [[]], [{}], {"": ""}, {"\0": 1}, ["x"] * 300, {"per_host": {"per_host": 1}}),
]
NAMES = [
    *("per_host", "affinity", "stages", "edges", "env", "<table>", "", "\0", "a b", "x" * 300),
    *("if", "if_", "from_", "proceses", "password", "state", "ключ", "\x1b[31m", "@gpu", "*"),
]


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value} if levels % 2 else [value]
    return value


values = st.one_of(
    st.sampled_from(HOSTILE).map(copy.deepcopy),
    st.integers(1, 90).map(deep),
    st.text(max_size=20),
    st.integers(),
    st.floats(),
)


def places(data: Any) -> list[tuple[Any, Any]]:
    """Return every table and list of ``data`` with each of its keys or indexes."""
    keys = list(data) if isinstance(data, dict) else range(len(data))
    found = [(data, key) for key in keys]
    for _, key in list(found):
        if isinstance(data[key], (dict, list)):
            found += places(data[key])
    return found


@st.composite
def mutants(draw: st.DrawFn) -> str:
    """The text of a valid file in which some values, keys and characters are others."""
    data = tomli.loads(draw(st.sampled_from([EXAMPLE.read_text(encoding="utf-8"), SMALL])))
    for _ in range(draw(st.integers(1, 4))):
        found = places(data)
        if not found:
            break
        holder, key = found[draw(st.integers(0, len(found) - 1))]
        match draw(st.sampled_from(["value", "value", "new", "renamed", "gone"])):
            case "new" if isinstance(holder, dict):
                holder[draw(st.sampled_from(NAMES))] = draw(values)
            case "renamed" if isinstance(holder, dict):
                holder[draw(st.sampled_from(NAMES))] = holder.pop(key)
            case "gone":
                del holder[key]
            case _:
                holder[key] = draw(values)
    text = "".join(f"{inline(key)} = {inline(value)}\n" for key, value in data.items())
    if draw(st.booleans()):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.text(max_size=3)) + text[at + draw(st.integers(0, 3)) :]
    return text


def inline(value: Any) -> str:
    """Return ``value`` as TOML on one line."""
    match value:
        case dict():
            return "{" + ", ".join(f"{inline(k)} = {inline(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(inline, value)) + "]"
        case float():
            return repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def reported(judged: Judged) -> bool:
    """Write the report in each of its forms; return whether it has a pipeline or says why not."""
    frames(judged.problems, judged.text, None).encode()
    report.github(judged.problems).encode()
    json.dumps(report.as_json(judged.problems)).encode()
    return judged.pipeline is not None or bool(judged.errors)


@pytest.fixture
def hostile_environment(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(os.environ, "BYTES", os.fsdecode(b"\xff\xfe"))
    monkeypatch.setitem(os.environ, "DIGITS", "9" * 5000)
    return project / "pipeline.toml"


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda value: f"{value!r:.20}")
def test_a_hostile_value_at_any_place_gets_a_report(
    hostile_environment: Path, hostile: Any
) -> None:
    whole = EXAMPLE.read_text(encoding="utf-8")
    for at in range(len(places(tomli.loads(whole)))):
        data = tomli.loads(whole)
        holder, key = places(data)[at]
        holder[key] = hostile
        text = "".join(f"{inline(key)} = {inline(value)}\n" for key, value in data.items())
        hostile_environment.write_text(text, encoding="utf-8")
        assert reported(judge(hostile_environment, tries_imports=False)), text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(mutants())
def test_any_mutant_of_a_valid_file_gets_a_report(hostile_environment: Path, text: str) -> None:
    hostile_environment.write_bytes(text.encode(errors="replace"))
    assert reported(judge(hostile_environment, tries_imports=False))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SMALL + f"[server]\nport = {'1' * 4301}\n", "at most 64 bits"),
        (SMALL + f"[server]\nport = 0x{'f' * 4301}\n", "at most 64 bits"),
        (SMALL + '[server]\nstate = "\\u0000"\n', "zero character"),
        (SMALL + '[server]\nbind = "\\u0000"\n', "zero character"),
        (SMALL + "[hosts.per_host]\naffinity = false\n", "`affinity` is not a setting of a host"),
        (SMALL + "[hosts.per_host.labels]\naffinity = false\n", "`affinity` wants text"),
        (SMALL.replace("functions", "m" * 300), "there is no module mmm"),
        (SMALL.replace("square", "f" * 300), "functions has no `fff"),
        (SMALL.replace('"p"', '"' + "p" * 300 + '"'), "at most 200 characters"),
        (SMALL + f'[server]\nstate = "{"s" * 300}"\n', "longer than file systems take"),
        (SMALL + f'env = {{ A = "{"x" * 200_000}" }}\n', "less than 128 KiB"),
        (SMALL + f"timeout = '{'9' * 400}s'\n", "at most 100000d"),
        (SMALL + f"max_memory = '{'9' * 5000}B'\n", "a size is at most"),
        (SMALL + "retry = { factor = inf }\n", "not finite"),
        (SMALL + f"constraints = ['cores >= {'9' * 5000}']\n", "too large"),
        (SMALL + "processes = '${DIGITS}'\n", "at most 64 bits"),
        (SMALL + "env = { A = '${BYTES}' }\n", "BYTES is not UTF-8 text"),
        (f"{SMALL}x = {inline(deep(100))}\n", "too deep in each other"),
    ],
)
def test_what_once_ended_in_a_traceback_is_told_at_its_place(
    runner: Callable[..., Any], hostile_environment: Path, text: str, message: str
) -> None:
    hostile_environment.write_text(text, encoding="utf-8")
    ended = runner("check")
    assert ended.code == 1
    assert message in ended.out
    assert "Traceback" not in ended.err
    assert all(problem["line"] for problem in json.loads(runner("check", "--json").out))


VERBS = ["ps", "plan", "files", "why a", "queue ls", "errors list", "down", "drain", "clean"]


@pytest.mark.parametrize("verb", [*VERBS, "key show", "debug --limit 1", "up --ui none"])
@pytest.mark.parametrize(
    "text",
    [
        SMALL + f"[server]\nport = {'1' * 4301}\n",
        SMALL + '[server]\nstate = "\\u0000"\n',
        SMALL + f'[server]\nstate = "{"s" * 300}"\n',
        SMALL + "[hosts.per_host]\naffinity = false\n",
        SMALL.replace('"p"', '"' + "p" * 300 + '"'),
        SMALL.replace('"p"', '"../../elsewhere"'),
        "a = " + "[" * 5000,
        "pipeline = 1\n",
        "server = 3\n[pipeline]\nname = 'p'\n",
    ],
    ids=range(9),
)
def test_no_verb_stumbles_over_a_file_that_cannot_be_used(
    runner: Callable[..., Any], hostile_environment: Path, text: str, verb: str
) -> None:
    hostile_environment.write_text(text, encoding="utf-8")
    ended = runner(*verb.split())
    assert ended.code in (0, 1, 2, 3), "some look at a run's folder, and need its name alone"
    assert "Traceback" not in ended.err
    assert not (hostile_environment.parents[1] / "elsewhere").exists()


def test_a_state_folder_that_is_a_link_in_a_circle_is_no_traceback(
    runner: Callable[..., Any], project: Path
) -> None:
    (project / "circle").symlink_to("circle")
    (project / "pipeline.toml").write_text(SMALL + '[server]\nstate = "circle/x"\n')
    assert runner("check", "--no-import").code == 0


def test_more_environment_than_a_process_takes_is_a_fault_of_the_stage(
    runner: Callable[..., Any], project: Path
) -> None:
    env = {f"A{at}": "x" * 100_000 for at in range(100)}
    stages = {"a": {"run": "functions:square", "env": env}}
    (project / "pipeline.toml").write_text(written({"pipeline": {"name": "p"}, "stages": stages}))
    ended = runner("check")
    assert ended.code == 1
    assert "Argument list too long" in ended.out


def test_a_name_no_file_can_have_is_a_usage_error(
    runner: Callable[..., Any], project: Path
) -> None:
    assert runner("check", "x" * 300 + ".toml").code == 2


def test_a_file_whose_name_is_not_unicode_is_shown_all_the_same(
    runner: Callable[..., Any], project: Path
) -> None:
    file = os.fsdecode(b"\xff.toml")
    Path(file).write_text("x = 1\n")
    for form in ("text", "github", "json"):
        assert runner("check", file, "--no-import", "--format", form).code == 1
