"""What is found at a stage's ``run`` is judged by what the graph gives it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_runner.config.callables import (
    Definition,
    ImportFault,
    Missing,
    ProbeResult,
    Signature,
)
from pipeline_runner.config.checks import check_callables
from pipeline_runner.config.locate import Locator
from pipeline_runner.config.parse import parse
from tests.config.marks import marked

if TYPE_CHECKING:
    from pipeline_runner.errors import Problem

TEXT = """\
[pipeline]
name = "p"
durability = "memory"
[stages.list]
run = "app.io:list"
[stages.decode]
run = "app.img:Tools.decode"
[stages.store]
run = "app.io:store"
batch = { count = 2 }
[[edges]]
from = "list"
to = "decode"
[[edges]]
from = "decode"
to = "store"
"""
HERE = Definition("f", "app/io.py", 3)


def judged(stage: str, result: ProbeResult, text: str = TEXT) -> tuple[Problem, ...]:
    pipeline, problems = parse(text, file="pipeline.toml", environ={"RUN": "app.io:list"})
    assert pipeline is not None, problems
    return check_callables(pipeline, {stage: result}, Locator(text, "pipeline.toml"))


def taking(*required: str, **more: object) -> ProbeResult:
    call = Signature(
        str(more.pop("kind", "function")),  # type: ignore[arg-type]
        required=required,
        most=more.pop("most", len(required)),  # type: ignore[arg-type]
        keywords=more.pop("keywords", ()),  # type: ignore[arg-type]
        cursor="cursor" in required or bool(more.pop("cursor", False)),
    )
    return ProbeResult(signature=call, definition=HERE, **more)  # type: ignore[arg-type]


FAULTS = [
    (
        "list",
        ProbeResult(fault=ImportFault("absent", "", near=("app.iq",))),
        ('run = "⟦app.io⟧:list"', "import", "there is no module app.io", 'mean "app.iq"?'),
    ),
    (
        "list",
        ProbeResult(fault=ImportFault("raised", "KeyError: 'x'", Definition("", "app/io.py", 9))),
        ('run = "⟦app.io⟧:list"', "import", "imported: KeyError: 'x'", "at app/io.py:9"),
    ),
    (
        "list",
        ProbeResult(fault=ImportFault("timeout", "5 s")),
        ('run = "⟦app.io⟧:list"', "import", "does not end (5 s)", "needs a function"),
    ),
    (
        "list",
        ProbeResult(fault=ImportFault("died", "SIGSEGV")),
        ('run = "⟦app.io⟧:list"', "import", "ends the interpreter (SIGSEGV)", ""),
    ),
    (
        "list",
        ProbeResult(missing=Missing("app.io", "list", (Definition("list_all", "app/io.py", 31),))),
        (
            'run = "app.io:⟦list⟧"',
            "import",
            "app.io has no `list`",
            "did you mean `list_all` (app/io.py:31)?",
        ),
    ),
    (
        "decode",
        ProbeResult(missing=Missing("app.img.Tools", "decode")),
        ('run = "app.img:Tools.⟦decode⟧"', "import", "app.img.Tools has no `decode`", ""),
    ),
    (
        "store",
        ProbeResult(type_name="int"),
        ('run = "app.io:⟦store⟧"', "not-callable", "store is no function: it is of type int", ""),
    ),
    (
        "store",
        ProbeResult(constructor=Signature("function"), definition=HERE, type_name="type"),
        (
            'run = "app.io:⟦store⟧"',
            "not-callable",
            "instances of store",
            "give the class a __call__",
        ),
    ),
    (
        "decode",
        taking("item", constructor=Signature("function", required=("path",))),
        (
            'run = "app.img:⟦Tools.decode⟧"',
            "signature",
            "it needs path",
            "defaults; defined at app",
        ),
    ),
    (
        "list",
        taking("item"),
        ('run = "app.io:⟦list⟧"', "signature", "a source gets no argument", "no edge ends here"),
    ),
    (
        "list",
        taking("cursor", "item"),
        ('run = "app.io:⟦list⟧"', "signature", "list needs item", "app/io.py:3"),
    ),
    (
        "decode",
        taking("item", "more"),
        ('run = "app.img:⟦Tools.decode⟧"', "signature", "gets one item, and", "defined at"),
    ),
    (
        "decode",
        taking(),
        ('run = "app.img:⟦Tools.decode⟧"', "signature", "Tools.decode takes none", "defined at"),
    ),
    (
        "decode",
        taking("item", keywords=("size",)),
        ('run = "app.img:⟦Tools.decode⟧"', "signature", "needs size as well", "defined at"),
    ),
    (
        "store",
        taking(),
        ('run = "app.io:⟦store⟧"', "signature", "a sink gets a list of items", "defined at"),
    ),
    (
        "store",
        taking("item", decorator="source"),
        ('run = "app.io:⟦store⟧"', "wrong-kind", "is marked @source", "change the mark"),
    ),
]


@pytest.mark.parametrize(("stage", "result", "expected"), FAULTS)
def test_a_fault_of_a_callable_is_shown_in_its_run(
    stage: str, result: ProbeResult, expected: tuple[str, str, str, str]
) -> None:
    line, code, message, hint = expected
    plain, [place] = marked(line)
    [problem] = judged(stage, result)
    assert (problem.code, problem.severity) == (code, "error")
    assert message in problem.message
    assert hint in problem.hint
    assert problem.span is not None
    assert TEXT.splitlines()[problem.span.line - 1] == plain
    assert (problem.span.column, problem.span.end_column) == (place.column, place.end_column)


@pytest.mark.parametrize(
    ("stage", "result"),
    [
        ("list", taking()),
        ("list", taking(most=None)),
        ("list", taking(most=2)),
        ("list", taking("cursor", kind="generator")),
        ("list", taking(keywords=("cursor",), cursor=True)),
        ("list", taking(decorator="source")),
        ("decode", taking("item")),
        ("decode", taking(most=None)),
        ("decode", taking("item", most=3)),
        ("decode", taking("item", kind="asyncgen", decorator="stage")),
        ("decode", taking("item", constructor=Signature("function", most=2))),
        ("store", taking("items", decorator="sink")),
        ("store", ProbeResult(signature=Signature("function", readable=False))),
    ],
)
def test_a_callable_that_takes_what_the_graph_gives_is_fine(
    stage: str, result: ProbeResult
) -> None:
    assert judged(stage, result) == ()


def test_a_generator_source_without_a_cursor_is_told_that_it_is_replayed() -> None:
    kept = TEXT.replace('durability = "memory"\n', "")
    [problem] = judged("list", taking(kind="generator"), kept)
    assert (problem.severity, problem.code) == ("note", "replay")
    assert problem.message == "after a restart list is iterated past what it gave"
    assert 'restart = "again"' in problem.hint
    live = kept.replace("[stages.decode]", 'restart = "again"\n[stages.decode]')
    assert judged("list", taking(kind="generator"), live) == ()
    assert judged("list", taking(kind="generator")) == (), "nothing outlives a run in memory"


def test_generator_sources_are_told_of_their_replay_once_together() -> None:
    more = '[stages.more]\nrun = "app.io:list"\n[[edges]]\nfrom = "more"\nto = "decode"\n'
    text = TEXT.replace('durability = "memory"\n', "") + more
    pipeline, problems = parse(text, file="pipeline.toml", environ={})
    assert pipeline is not None, problems
    found = dict.fromkeys(("list", "more"), taking(kind="generator"))
    [problem] = check_callables(pipeline, found, Locator(text, "pipeline.toml"))
    assert problem.message == "after a restart list and more are iterated past what they gave"
    assert problem.hint.startswith("so they must give the same again")


@pytest.mark.parametrize(
    ("setting", "several"),
    [("processes = 2", True), ('per_host = "cores"', True), ("processes = 1", False), ("", False)],
)
def test_several_processes_of_a_generator_source_are_told_that_they_repeat_it(
    setting: str, several: bool
) -> None:
    text = TEXT.replace("[stages.decode]", f"{setting}\n[stages.decode]")
    codes = [problem.code for problem in judged("list", taking("cursor", kind="generator"), text)]
    assert codes == (["copies"] if several else [])


def test_a_run_from_the_environment_is_underlined_whole() -> None:
    text = TEXT.replace('"app.io:list"', '"${RUN}"')
    plain, [place] = marked(text.replace('"${RUN}"', '⟦"${RUN}"⟧'))
    [problem] = judged("list", taking("item"), plain)
    assert problem.span == place


@pytest.mark.parametrize("result", [result for _, result, _ in FAULTS])
def test_a_result_travels_as_json(result: ProbeResult) -> None:
    assert ProbeResult.from_json(json.loads(json.dumps(result.as_json()))) == result


@pytest.mark.parametrize(
    ("stage", "found", "code", "severity"),
    [
        ("list", {"gives": "many"}, "endless", "warning"),
        ("list", {"gives": "a value", "reads_stdin": True}, "stdin", "warning"),
        ("decode", {"gives": "nothing"}, "none", "note"),
        ("decode", {"gives": "sometimes nothing"}, "none", "note"),
    ],
)
def test_what_a_function_shows_that_its_author_may_not_have_meant_is_told(
    stage: str, found: dict[str, Any], code: str, severity: str
) -> None:
    parameters = () if stage == "list" else ("item",)
    [problem] = judged(stage, replace(taking(*parameters), **found))
    assert (problem.code, problem.severity) == (code, severity)
    assert "yield" in problem.hint or "read a file" in problem.hint


@pytest.mark.parametrize(
    ("stage", "gives"), [("store", "nothing"), ("list", "nothing"), ("decode", "many")]
)
def test_what_is_no_slip_where_it_stands_is_not_told(stage: str, gives: Any) -> None:
    parameters = () if stage == "list" else ("item",)
    assert judged(stage, replace(taking(*parameters), gives=gives)) == ()
