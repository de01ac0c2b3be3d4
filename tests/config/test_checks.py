"""Every fault of a file: its code, its exact place (between ⟦ and ⟧) and its cure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline_runner.config.checks import durability_note
from pipeline_runner.config.parse import parse
from pipeline_runner.errors import Span
from tests.config.marks import marked

if TYPE_CHECKING:
    from pipeline_runner.errors import Problem

PIPELINE = '[pipeline]\nname = "p"\n'
SOURCE = '[stages.list]\nrun = "m:f"\n'
REST = '[stages.store]\nrun = "m:g"\n[[edges]]\nfrom = "list"\nto = "store"\n'
EDGE = "[[edges]]\nfrom = 'list'\nto = 'store'\n"

FAULTS: list[tuple[str, str, str]] = [
    # syntax
    ("toml-syntax", f"{PIPELINE}a = ⟦w⟧ord\n", "between quotes"),
    ("toml-syntax", f"{PIPELINE}⟦name⟧ = 'q'\n", "only once"),
    ("toml-syntax", "[a.'b c']\nb = 1\n⟦[a.'b c']⟧\n", "[a.b c] stands here a second time"),
    ("toml-syntax", f"{PIPELINE}[x]\na = {{}}\n⟦a.b⟧ = 1\n", "x.a is complete already"),
    # the model
    ("missing-key", f"⟦{SOURCE[:-1].splitlines()[0]}⟧\nrun = 'm:f'", "with a name ="),
    ("missing-key", f"[⟦pipeline⟧]\n{SOURCE}", 'such as name = "thumbs"'),
    ("missing-key", f"{PIPELINE}[stages.⟦list⟧]\n", 'such as run = "app.images:decode"'),
    ("missing-key", f"{PIPELINE}{SOURCE}[[⟦edges⟧]]\nfrom = 'list'\n", "no `to`"),
    ("no-stages", "⟦[pipeline]⟧\nname = 'p'\n", "begin with [stages.NAME]"),
    ("no-stages", "[⟦stages⟧]\n[pipeline]\nname = 'p'\n", "begin with [stages.NAME]"),
    ("bad-name", f"[pipeline]\nname = ⟦'My Pipe'⟧\n{SOURCE}", "lower-case"),
    ("bad-name", f"{PIPELINE}[stages.⟦'a b'⟧]\nrun = 'm:f'\n", "letters, digits"),
    ("bad-name", f"{PIPELINE}{SOURCE}[hosts.⟦'a b'⟧]\nmatch = ['x']\n", "letters, digits"),
    ("unknown-key", f"{PIPELINE}{SOURCE}⟦proceses⟧ = 4\n", "did you mean `processes`?     runner"),
    ("unknown-key", f"{PIPELINE}{SOURCE}⟦proceses⟧ = 4\n", "runner explain stages.processes"),
    ("unknown-key", f"{PIPELINE}{SOURCE}retry = {{ ⟦attemps⟧ = 2 }}\n", "stages.retry.attempts"),
    ("unknown-key", f"{PIPELINE}{SOURCE}[⟦stage⟧.x]\n", "did you mean `stages`?"),
    ("unknown-key", f"{PIPELINE}{SOURCE}[server]\n⟦grace⟧ = '1s'\n", "belongs in [reload]"),
    ("unknown-key", f"{PIPELINE}⟦zzz⟧ = 1\n{SOURCE}", "known here: name engine durability"),
    ("unknown-key", f"{PIPELINE}{SOURCE}[defaults]\n⟦run⟧ = 'm:f'\n", "belongs in [stages]"),
    ("unknown-key", f"{PIPELINE}{SOURCE}{REST}⟦from_⟧ = 'x'\n", "did you mean `from`?"),
    ("wrong-type", f"{PIPELINE}{SOURCE}processes = ⟦'4'⟧\n", "it needs no quotes: write 4"),
    ("wrong-type", f"{PIPELINE}{SOURCE}processes = ⟦1.0⟧\n", "a whole number, not a fraction"),
    ("wrong-type", f"{PIPELINE}{SOURCE}processes = ⟦true⟧\n", "not true or false"),
    ("wrong-type", f"{PIPELINE}{SOURCE}constraints = ⟦'os == linux'⟧\n", "write ['os == linux'"),
    ("wrong-type", f"{PIPELINE}{SOURCE}constraints = ['os == linux', ⟦4⟧]\n", "an element of"),
    ("wrong-type", f"{PIPELINE}{SOURCE}env = {{ N = ⟦1⟧ }}\n", 'write "1"'),
    ("wrong-type", f"{PIPELINE}{SOURCE}retry = ⟦3⟧\n", "wants a table"),
    ("wrong-type", f"{PIPELINE}[stages.list]\nrun = ⟦1979-05-27⟧\n", "not a date or time"),
    ("wrong-type", f"{PIPELINE}[stages]\nlist = ⟦'m:f'⟧\n", "wants a table"),
    ("wrong-type", f"{PIPELINE}{SOURCE}[reload]\nauto_revert = ⟦'true'⟧\n", "write true"),
    ("out-of-range", f"{PIPELINE}{SOURCE}processes = ⟦-1⟧\n", "at least 0"),
    ("out-of-range", f"{PIPELINE}{SOURCE}processes = ⟦1000000⟧\n", "at most 10000"),
    ("bad-value", f"{PIPELINE}{SOURCE}per_host = ⟦1000000⟧\n", "workers is 0 to 10000"),
    ("bad-value", f"{PIPELINE}{SOURCE}per_host = ⟦'cores*99999'⟧\n", "workers is 0 to 10000"),
    ("out-of-range", f"{PIPELINE}{SOURCE}retry.attempts = ⟦0⟧\n", "at least 1"),
    ("out-of-range", f"{PIPELINE}{SOURCE}[server]\nport = ⟦70000⟧\n", "at most 65535"),
    (
        "out-of-range",
        f"{PIPELINE}{SOURCE}autoscale = {{ min = ⟦9⟧, max = 2 }}\n",
        "more than `max`",
    ),
    ("bad-value", f"{PIPELINE}{SOURCE}spread = ⟦'hosts'⟧\n", 'did you mean "host"?'),
    ("bad-value", f"{PIPELINE}{SOURCE}spread = ⟦1⟧\n", 'one of "host", "pack"'),
    ("bad-value", f"{PIPELINE}{SOURCE}timeout = ⟦30⟧\n", '"30s"'),
    ("bad-value", f"{PIPELINE}{SOURCE}timeout = ⟦'30'⟧\n", 'as in "30s"'),
    ("bad-value", f"{PIPELINE}{SOURCE}timeout = ⟦'30S'⟧\n", 'did you mean "s"?'),
    ("bad-value", f"{PIPELINE}{SOURCE}max_memory = ⟦'6gib'⟧\n", 'did you mean "GiB"?'),
    ("bad-value", f"{PIPELINE}{SOURCE}max_memory = ⟦'1.5GiB'⟧\n", "a smaller unit"),
    ("bad-value", f"{PIPELINE}{SOURCE}rate_limit = ⟦'0/s'⟧\n", "leave it out"),
    ("bad-value", f"{PIPELINE}{SOURCE}per_host = ⟦'4'⟧\n", "write 4"),
    ("bad-value", f"{PIPELINE}{SOURCE}per_host = '⟦core⟧-1'\n", 'did you mean "cores"?'),
    ("bad-value", f"{PIPELINE}{SOURCE}per_host = {{ a = 1, b = 'cores/⟦0⟧' }}\n", "divided by 0"),
    ("bad-value", f"{PIPELINE}{SOURCE}{REST}capacity = ⟦0⟧\n", "at least 1 item"),
    ("bad-value", f"{PIPELINE}{SOURCE}{REST}capacity = ⟦'1GB/s'⟧\n", '"64MiB"'),
    ("bad-value", f"{PIPELINE}{SOURCE}[reload]\nmax_parallel = ⟦'101%'⟧\n", "at most 100%"),
    ("bad-value", f"{PIPELINE}{SOURCE}[server]\nweb = ⟦'localhost'⟧\n", "127.0.0.1:7400"),
    ("bad-value", f"{PIPELINE}{SOURCE}per_host = ⟦-1⟧\n", "workers is 0 to 10000"),
    ("bad-value", f"{PIPELINE}{SOURCE}per_host = ⟦true⟧\n", '"cores-1"'),
    ("bad-value", f"{PIPELINE}{SOURCE}per_host = {{ ⟦''⟧ = 1 }}\n", "@group"),
    ("bad-value", f"{PIPELINE}{SOURCE}{REST}capacity = ⟦'5'⟧\n", "write 5"),
    ("bad-value", f"{PIPELINE}{SOURCE}{REST}capacity = ⟦'0B'⟧\n", "holds nothing"),
    ("bad-value", f"{PIPELINE}{SOURCE}{REST}capacity = ⟦1.5⟧\n", '"1GiB"'),
    ("bad-value", f"{PIPELINE}{SOURCE}[server]\nweb = ⟦3⟧\n", "or false"),
    ("bad-value", f'{PIPELINE}{SOURCE}env.A = ⟦"x\\u0000"⟧\n', "zero character"),
    # single settings
    ("unknown-engine", f"{PIPELINE}engine = ⟦'nats://x'⟧\n{SOURCE}", 'the only engine is "emb'),
    ("unknown-engine", f"{PIPELINE}engine = ⟦'embeded'⟧\n{SOURCE}", 'did you mean "embedded"?'),
    ("bad-run", f"{PIPELINE}[stages.list]\nrun = ⟦'app.images.f'⟧\n", 'mean "app.images:f"?'),
    ("bad-run", f"{PIPELINE}[stages.list]\nrun = ⟦'app/images.py:f'⟧\n", 'mean "app.images:f"?'),
    ("bad-run", f"{PIPELINE}[stages.list]\nrun = ⟦''⟧\n", '"app.images:decode"'),
    ("bad-name", f"{PIPELINE}{SOURCE}env = {{ ⟦'A=B'⟧ = '1' }}\n", "environment variable"),
    ("bad-rename", f"{PIPELINE}{SOURCE}was = ⟦'list'⟧\n", "is still a stage"),
    # secrets and variables
    ("secret-in-file", f"{PIPELINE}{SOURCE}[server]\n⟦key⟧ = 'abc'\n", "in the environment"),
    ("secret-in-file", f"{PIPELINE}⟦auth_token⟧ = 'abc'\n{SOURCE}", "in the environment"),
    ("secret-in-file", f"{PIPELINE}{SOURCE}env = {{ API_KEY = ⟦'abc'⟧ }}\n", '"${API_KEY}"'),
    ("secret-in-file", f"{PIPELINE}{SOURCE}env.RUNNER_KEY = ⟦'${{X:-y}}'⟧\n", "take it out"),
    ("unset-variable", f"{PIPELINE}{SOURCE}env.N = 'a⟦${{HOMEE}}⟧'\n", 'mean "HOME"? Set it, or'),
    ("bad-variable", f"{PIPELINE}{SOURCE}env.N = 'a⟦${{1}}⟧'\n", "${NAME:-default}"),
    ("bad-variable", f"{PIPELINE}{SOURCE}env.N = 'a ⟦${{OPEN⟧'\n", "$${ stands for ${"),
    # the graph
    ("unknown-stage", f"{PIPELINE}{SOURCE}{REST}".replace('"store"', "⟦'stor'⟧"), 'mean "store"?'),
    ("unknown-stage", f"{PIPELINE}{SOURCE}{REST}".replace('"list"', "⟦'zzz'⟧"), "Stages: list, s"),
    (
        "duplicate-edge",
        f"{PIPELINE}{SOURCE}{REST}⟦[[edges]]⟧\nfrom = 'list'\nto = 'store'\n",
        "tags",
    ),
    (
        "duplicate-edge",
        f"{PIPELINE}{SOURCE}{REST}name = 'x'\ntags = ['a']\n{EDGE}name = ⟦'x'⟧\n",
        "another `name`",
    ),
    ("unconnected-stage", f"{PIPELINE}{SOURCE}{REST}[stages.⟦alone⟧]\nrun = 'm:h'\n", "[[edges]]"),
    # placement
    (
        "two-counts",
        f"{PIPELINE}{SOURCE}processes = 1\n⟦autoscale⟧ = {{ max = 2 }}\n",
        "keep one of them",
    ),
    ("bad-expression", f"{PIPELINE}{SOURCE}constraints = ['⟦mem⟧ > 1GiB']\n", 'mean "memory"?'),
    ("bad-expression", f"{PIPELINE}{SOURCE}constraints = ['os ⟦=⟧ linux']\n", 'mean "=="?'),
    ("bad-expression", f"{PIPELINE}{SOURCE}constraints = ['memory > ⟦8gib⟧']\n", 'mean "GiB"?'),
    ("bad-expression", f"{PIPELINE}[defaults]\nconstraints = [⟦'head'⟧]\n{SOURCE}", "head == true"),
    ("bad-expression", f"{PIPELINE}{SOURCE}affinity = [{{ if = 'os ⟦<⟧ x' }}]\n", "use one of"),
    (
        "bad-expression",
        f"{PIPELINE}{SOURCE}[hosts.gpu]\nwhere = ['gpus >= ⟦one⟧']\n",
        "a whole number",
    ),
    ("unknown-group", f"{PIPELINE}{SOURCE}per_host = {{ ⟦'@gpu'⟧ = 1 }}\n", "[hosts.gpu]"),
    (
        "unknown-group",
        f"{PIPELINE}{SOURCE}per_host = {{ ⟦'@gpus'⟧ = 1 }}\n[hosts.gpu]\nmatch = ['x']\n",
        'did you mean "@gpu"?',
    ),
    (
        "empty-group",
        f"{PIPELINE}{SOURCE}[hosts.⟦gpu⟧]\nlabels = {{ a = 'b' }}\n",
        "give it `match`",
    ),
]


def problems_of(text: str) -> tuple[Problem, ...]:
    return parse(text, file="pipeline.toml", environ={"HOME": "/home/x"})[1]


@pytest.mark.parametrize(
    ("code", "text", "words"),
    FAULTS,
    ids=[f"{at}-{code}" for at, (code, _, _) in enumerate(FAULTS)],
)
def test_a_fault_is_reported_alone_at_its_exact_place(code: str, text: str, words: str) -> None:
    plain, [place] = marked(text)
    problems = [problem for problem in problems_of(plain) if problem.severity == "error"]
    assert [(problem.code, problem.span) for problem in problems] == [(code, place)]
    said = f"{problems[0].message} | {problems[0].hint}"
    assert words.replace("'", '"') in said.replace("'", '"')
    assert not problems[0].message.endswith(".")


NOTES: list[tuple[str, str, str, str]] = [
    ("note", "not-yet", f"{PIPELINE}{SOURCE}⟦autoscale⟧ = {{ max = 2 }}\n", "its `min`"),
    ("note", "not-yet", f"{PIPELINE}{SOURCE}⟦was⟧ = 'old'\n", "next `runner up`"),
    (
        "note",
        "not-yet",
        f"{PIPELINE}{SOURCE}{REST}⟦on_remove⟧ = 'drop'\n",
        "parked, and never deleted",
    ),
    ("note", "not-yet", f"{PIPELINE}{SOURCE}[server]\n⟦web⟧ = 'x:7400'\n", "no page"),
    ("note", "not-yet", f"{PIPELINE}{SOURCE}[reload]\n⟦code⟧ = 'off'\n", "next `runner up`"),
    (
        "note",
        "cycle",
        f"{PIPELINE}{SOURCE}{REST}[[edges]]\nfrom = 'store'\nto = ⟦'store'⟧\ncapacity = 7\n",
        "while it holds 7 items",
    ),
    (
        "warning",
        "no-effect",
        f"{PIPELINE}{SOURCE}⟦batch⟧ = {{ count = 2 }}\n{REST}",
        "a source takes no items",
    ),
    (
        "warning",
        "unknown-group",
        f"{PIPELINE}{SOURCE}per_host = {{ ⟦gpu⟧ = 1 }}\n[hosts.gpu]\nmatch = ['x']\n",
        'did you mean "@gpu"?',
    ),
]


@pytest.mark.parametrize(("severity", "code", "text", "words"), NOTES)
def test_what_is_no_error_leaves_a_pipeline(
    severity: str, code: str, text: str, words: str
) -> None:
    plain, [place] = marked(text)
    pipeline, problems = parse(plain, file="pipeline.toml", environ={})
    assert pipeline is not None
    assert [(p.severity, p.code, p.span) for p in problems] == [(severity, code, place)]
    assert words in f"{problems[0].message} | {problems[0].hint}"


def test_text_without_its_closing_quote_is_shown_where_its_line_ends() -> None:
    [problem] = problems_of(f'{PIPELINE}a = "b\nc = 1\n')
    assert problem.span == Span("pipeline.toml", 3, 7, 3, 8)
    assert "three quotes" in problem.hint


def test_restart_again_below_a_source_is_a_warning() -> None:
    text, [place] = marked(
        f"{PIPELINE}{SOURCE}[stages.store]\nrun = 'm:g'\n⟦restart⟧ = 'again'\n"
        "[[edges]]\nfrom = 'list'\nto = 'store'\n"
    )
    [problem] = problems_of(text)
    assert (problem.severity, problem.code, problem.span) == ("warning", "no-effect", place)


def test_keys_without_effect_are_silent_unless_the_file_sets_them() -> None:
    assert (
        problems_of(f"{PIPELINE}{SOURCE}[reload]\ngrace = '5s'\n[server]\nmemory = '1GiB'\n") == ()
    )
    assert problems_of(f"{PIPELINE}durability = 'memory'\n{SOURCE}") == ()


def test_a_cycle_that_no_source_feeds_is_unreachable() -> None:
    text = (
        f"{PIPELINE}{SOURCE}{REST}[stages.a]\nrun = 'm:a'\n[stages.b]\nrun = 'm:b'\n"
        "[[edges]]\nfrom = 'a'\nto = 'b'\n[[edges]]\nfrom = 'b'\nto = 'a'\n"
    )
    found = [(p.code, p.span and p.span.line) for p in problems_of(text)]
    assert found == [("unreachable-stage", 10), ("unreachable-stage", 12), ("cycle", 19)]


def test_a_misspelt_edge_leaves_its_stage_connected() -> None:
    text = f"{PIPELINE}{SOURCE}{REST}".replace('to = "store"', 'to = "sotre"')
    assert [problem.code for problem in problems_of(text)] == ["unknown-stage"]


TEN_FAULTS = """\
[pipeline]
name = ⟦"Thumbs"⟧
engine = ⟦"rabbit"⟧

[stages.list]
run = ⟦"app.io.list"⟧
⟦proceses⟧ = 4

[stages.decode]
run = "app.img:decode"
timeout = ⟦30⟧
constraints = ["os == linux", "⟦memry⟧ >= 8GiB"]
per_host = { "rig-7" = 4, ⟦"@gpus"⟧ = "gpus" }

[stages.store]
run = "app.io:store"
env = { HOME_DIR = "⟦${NO_SUCH}⟧/x" }

[[edges]]
from = "list"
to = ⟦"decod"⟧

[[edges]]
from = "decode"
to = "store"
capacity = ⟦"1 gig"⟧
"""


def test_ten_faults_give_ten_reports_each_at_its_place() -> None:
    text, places = marked(TEN_FAULTS)
    problems = problems_of(text)
    assert [problem.span for problem in problems] == places
    assert [problem.code for problem in problems] == [
        "bad-name",
        "unknown-engine",
        "bad-run",
        "unknown-key",
        "bad-value",
        "bad-expression",
        "unknown-group",
        "unset-variable",
        "unknown-stage",
        "bad-value",
    ]


def test_a_fault_from_the_environment_is_shown_at_the_whole_string() -> None:
    text, [place] = marked(f"{PIPELINE}{SOURCE}constraints = [⟦'${{RULE}}'⟧]\n")
    [problem] = parse(text, file="pipeline.toml", environ={"RULE": "mem > 1GiB"})[1]
    assert (problem.code, problem.span) == ("bad-expression", place)


def test_the_durability_note_says_what_outlives_the_head() -> None:
    words = {"memory": "memory only", "relaxed": "last second", "fsync": "a power cut"}
    for durability, promise in words.items():
        pipeline, _ = parse(
            f"{PIPELINE}durability = '{durability}'\n{SOURCE}", file="p.toml", environ={}
        )
        assert pipeline is not None
        note = durability_note(pipeline)
        assert promise in note
        assert ("outlives" in note) == (durability != "memory")
        assert "\n" not in note
