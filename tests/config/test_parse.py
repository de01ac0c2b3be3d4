from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.config.model import File, Stage
from pipeline_runner.config.parse import load, parse
from pipeline_runner.config.wording import toml_value
from pipeline_runner.errors import InvalidPipeline, UsageError
from tests.config.documents import documents

if TYPE_CHECKING:
    from pipeline_runner.config.pipeline import Pipeline

BASE = """\
[pipeline]
name = "thumbs"
durability = "memory"
[stages.list]
run = "app:list"
[stages.decode]
run = "app:decode"
[stages.store]
run = "app:store"
[[edges]]
from = "list"
to = "decode"
[[edges]]
from = "decode"
to = "store"
name = "out"
capacity = "1GiB"
"""


def pipeline_of(text: str, **environ: str) -> Pipeline:
    pipeline, problems = parse(text, file="/project/pipeline.toml", environ=environ)
    assert pipeline is not None, problems
    return pipeline


def stage_of(settings: str, defaults: str = "", **environ: str) -> Stage:
    text = f"[pipeline]\nname = 'p'\n[defaults]\n{defaults}\n[stages.s]\nrun = 'm:f'\n{settings}\n"
    return pipeline_of(text, **environ).stages["s"]


def test_the_kind_of_a_stage_follows_from_the_graph() -> None:
    pipeline = pipeline_of(BASE)
    assert [pipeline.kind(name) for name in pipeline.stages] == ["source", "map", "sink"]
    assert (pipeline.sources, pipeline.sinks) == (("list",), ("store",))
    assert pipeline.components == (("list",), ("decode",), ("store",))
    assert [edge.name for edge in pipeline.inputs("store")] == ["out"]
    assert [edge.name for edge in pipeline.outputs("list")] == ["list->decode"]
    with pytest.raises(KeyError):
        pipeline.inputs("nobody")


def test_a_stage_alone_is_a_source_and_its_own_sink() -> None:
    pipeline = pipeline_of("[pipeline]\nname = 'p'\n[stages.s]\nrun = 'm:f'\n")
    assert pipeline.kind("s") == "source"
    assert pipeline.sources == pipeline.sinks == ("s",)


def test_a_capacity_is_items_or_bytes() -> None:
    items, sized = pipeline_of(BASE).edges
    assert (items.capacity_items, items.capacity_bytes) == (10_000, None)
    assert (sized.capacity_items, sized.capacity_bytes) == (None, 1 << 30)


def test_state_lives_under_the_project_by_the_name_of_the_pipeline() -> None:
    pipeline = pipeline_of(BASE)
    assert pipeline.root == Path("/project")
    assert pipeline.state_dir == Path("/project/.runner/thumbs")


def test_defaults_fill_what_a_stage_leaves_unsaid() -> None:
    stage = stage_of("timeout = '5s'", "timeout = '1s'\nmax_items = 7\nspread = 'pack'")
    assert (stage.timeout, stage.max_items, stage.spread) == (5.0, 7, "pack")
    assert "max_items" in stage.model_fields_set


def test_retry_and_env_are_merged_key_by_key() -> None:
    stage = stage_of(
        "retry = { attempts = 5 }\nenv = { B = '2', C = '3' }",
        "retry = { attempts = 9, backoff = '4s' }\nenv = { A = '1', B = '0' }",
    )
    assert (stage.retry.attempts, stage.retry.backoff, stage.retry.cap) == (5, 4.0, 60.0)
    assert stage.env == {"A": "1", "B": "2", "C": "3"}


def test_a_stage_that_decides_its_count_takes_none_from_the_defaults() -> None:
    assert stage_of("processes = 2", "autoscale = { max = 9 }").autoscale is None
    assert stage_of("processes = 2", "per_host = 'cores'").per_host is None
    assert stage_of("", "per_host = 'cores'").per_host == "cores"


def test_variables_are_replaced_in_any_string() -> None:
    stage = stage_of("timeout = '${N}s'\nenv = { A = '${X:-d}', B = '$${X}', C = '${E:-}' }", N="3")
    assert stage.timeout == 3.0
    assert stage.env == {"A": "d", "B": "${X}", "C": ""}


def test_a_set_but_empty_variable_is_empty_and_not_unset() -> None:
    assert stage_of("env = { A = '${X}', B = '${X:-d}' }", X="").env == {"A": "", "B": ""}


def test_a_variable_may_give_a_number_or_true_and_false() -> None:
    text = "processes = '${N}'\nretry = { factor = '${F}' }"
    assert stage_of(text, N="4", F="1.5").processes == 4
    assert stage_of(text, N="4", F="1.5").retry.factor == 1.5
    assert stage_of("per_host = '${N}'", N="2").per_host == 2
    reload = "[pipeline]\nname='p'\n[stages.s]\nrun='m:f'\n[reload]\nauto_revert = '${R}'\n"
    assert pipeline_of(reload, R="false").reload.auto_revert is False


def test_values_are_plain_python_afterwards() -> None:
    stage = stage_of("env = { A = '${X}' }\nper_host = '${P}'", X="1", P="cores-1")
    assert type(stage.env["A"]) is str
    assert type(stage.per_host) is str


def test_toml_1_1_is_read() -> None:
    stage = stage_of('env = {\n  A = "\\e\\x41",\n}')
    assert stage.env == {"A": "\x1bA"}


@given(documents(), st.sampled_from(["", BASE]))
def test_any_document_gives_a_pipeline_or_an_error_with_its_place(text: str, base: str) -> None:
    pipeline, problems = parse(base + text, file="f", environ={})
    errors = [problem for problem in problems if problem.severity == "error"]
    assert (pipeline is None) == bool(errors)
    lines = (base + text).replace("\r\n", "\n").split("\n")
    for problem in problems:
        assert problem.span is not None
        assert 1 <= problem.span.line <= len(lines)
        assert 1 <= problem.span.column <= len(lines[problem.span.line - 1]) + 1


@pytest.mark.parametrize("key", ["<", "<table>", "<count>"])
def test_a_key_that_looks_like_a_mark_of_the_checker_is_an_unknown_key(key: str) -> None:
    stage = f"[stages.per_host]\nrun = 'm:f'\n'{key}' = 1\nper_host = {{ '{key}' = -1 }}\n"
    text = f"'{key}' = 1\n[pipeline]\nname = 'p'\n'{key}' = 2\n{stage}"
    pipeline, problems = parse(text, file="f", environ={})
    assert pipeline is None
    places = [(problem.code, problem.span.line) for problem in problems if problem.span]
    assert places == [("unknown-key", 1), ("unknown-key", 4), ("unknown-key", 7), ("bad-value", 8)]


_TABLES = ["pipeline", "defaults", "stages", "edges", "hosts", "sync", "reload", "server"]
_KEYS = sorted({*_TABLES, *Stage.model_fields, "name", "from", "to", "match", "web", "x"})
_JSON = st.recursive(
    st.one_of(st.booleans(), st.integers(-2, 70000), st.text("a:@%1sB[", max_size=4), st.floats()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4)
    ),
)


@given(st.dictionaries(st.sampled_from(_TABLES), _JSON))
def test_no_shape_of_data_breaks_the_checks(data: dict[str, object]) -> None:
    text = "".join(f"{key} = {toml_value(value)}\n" for key, value in data.items())
    text = text.replace("NaN", "nan").replace("Infinity", "inf")
    pipeline, problems = parse(text, file="f", environ={})
    assert pipeline is not None or problems
    assert all(problem.code != "toml-syntax" for problem in problems)


@pytest.mark.parametrize("deep", ["[" * 5000 + "]" * 5000, "{a = " * 5000 + "1" + "}" * 5000])
def test_values_too_deep_to_be_read_are_a_fault_of_the_file(deep: str) -> None:
    pipeline, [problem] = parse(f"a = {deep}\n", file="f", environ={})
    assert pipeline is None
    assert (problem.code, problem.message) == ("toml-syntax", "values lie too deep in each other")


def test_loading_resolves_the_file_and_its_root(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / "pipeline.toml").write_text(BASE, encoding="utf-8")
    link = tmp_path / "link.toml"
    link.symlink_to(real / "pipeline.toml")
    assert load(link, {}).root == real.resolve()


def test_loading_an_invalid_file_raises_all_its_problems(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.toml"
    file.write_text(BASE + "x = 1\ny = 2\n", encoding="utf-8")
    with pytest.raises(InvalidPipeline, match="2 errors") as raised:
        load(file, os.environ)
    assert [problem.code for problem in raised.value.problems] == ["unknown-key", "unknown-key"]
    assert raised.value.text == BASE + "x = 1\ny = 2\n"


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.toml"
    file.write_bytes(b"\xef\xbb\xbf" + BASE.replace("\n", "\r\n").encode())
    assert load(file, {}).name == "thumbs"


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda file: None, "there is no"),
        (lambda file: file.mkdir(), "is a folder"),
        (lambda file: file.write_bytes(b"a = '\xff'"), "not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, prepare, message: str) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "pipeline.toml"
    prepare(file)
    with pytest.raises(UsageError, match=message) as raised:
        load(file, {})
    assert raised.value.hint


def test_the_model_takes_keys_by_their_names_in_python_too() -> None:
    made = File.model_validate(
        {
            "pipeline": {"name": "p"},
            "stages": {"a": {"run": "m:f"}, "b": {"run": "m:g"}},
            "edges": [{"from_": "a", "to": "b"}],
        }
    )
    assert made.edges[0].from_ == "a"
