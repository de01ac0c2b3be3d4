from __future__ import annotations

import functools
import importlib
import sys
from typing import TYPE_CHECKING, Any, get_type_hints

import pytest

from pipeline_runner import InvalidPipeline, Pipeline
from pipeline_runner.api import EdgeSettings, StageSettings
from pipeline_runner.api.reference import reference
from pipeline_runner.config.model import Edge
from pipeline_runner.config.stage import Stage
from pipeline_runner.testing import run_inline
from tests.api.conftest import FUNCTIONS

if TYPE_CHECKING:
    from types import ModuleType

    from tests.api.conftest import Folder

SHAPES = """\
from functools import wraps


def plain(item): return item


class Whole:
    def __call__(self, item): return item

    @classmethod
    def made(cls, item): return item

    @staticmethod
    def still(item): return item

    def method(self, item): return item


def wrapper(function):
    @wraps(function)
    def inner(item): return function(item)
    return inner


@wrapper
def wrapped(item): return item


original = plain
shadowed = wrapper(plain)
unnamed = lambda item: item


def outer():
    def inner(item): return item
    return inner
"""


def imported(folder: Folder, name: str, text: str) -> ModuleType:
    (folder.root / f"{name}.py").write_text(text)
    sys.path.insert(0, str(folder.root))
    importlib.invalidate_caches()
    return importlib.import_module(name)


@pytest.fixture
def functions(folder: Folder) -> ModuleType:
    return imported(folder, "functions", FUNCTIONS)


@pytest.fixture
def shapes(folder: Folder) -> ModuleType:
    return imported(folder, "shapes", SHAPES)


def test_a_pipeline_made_in_code_says_what_its_file_would(
    folder: Folder, functions: ModuleType
) -> None:
    built = Pipeline.build(
        "numbers",
        {
            "generate": functions.generate,
            "square": {"run": functions.square, "processes": 4, "retry": {"attempts": 5}},
            "subtract": "functions:subtract",
            "show": {"run": "functions:show", "batch": {"count": 2, "period": "1s"}},
        },
        [
            ("generate", "square", "subtract"),
            {"from": "subtract", "to": "show", "capacity": "1MiB"},
        ],
        root=folder.root,
        durability="memory",
        defaults={"timeout": "30s"},
        hosts={"gpu": {"where": ["gpus >= 1"]}},
        reload={"grace": "5s"},
    )
    spec = built.spec
    assert built.name == "numbers"
    assert spec.root == folder.root
    assert [stage.run for stage in spec.stages.values()] == [
        "functions:generate",
        "functions:square",
        "functions:subtract",
        "functions:show",
    ]
    square, show = spec.stages["square"], spec.stages["show"]
    assert (square.processes, square.retry.attempts, square.timeout) == (4, 5, 30.0)
    assert show.batch is not None
    assert (show.batch.count, show.batch.period) == (2, 1.0)
    assert [edge.name for edge in spec.edges] == [
        "generate->square",
        "square->subtract",
        "subtract->show",
    ]
    assert spec.edges[2].capacity_bytes == 2**20
    assert spec.reload.grace == 5.0
    folder.file.write_text(built.to_toml())
    assert Pipeline.from_toml(folder.file).spec.at(spec.file) == spec


def test_a_built_pipeline_runs_inline(folder: Folder, functions: ModuleType) -> None:
    stages = {"generate": functions.generate, "square": functions.square, "show": functions.show}
    built = Pipeline.build("p", stages, [("generate", "square", "show")], root=folder.root)
    assert run_inline(built) == {"show": [1, 4, 9]}


def test_the_working_directory_is_the_project_unless_one_is_given(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.root)
    assert Pipeline.build("p", {"feed": "functions:feed"}).spec.root == folder.root


@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("plain", "shapes:plain"),
        ("original", "shapes:plain"),
        ("wrapped", "shapes:wrapped"),
        ("Whole", "shapes:Whole"),
        ("Whole.made", "shapes:Whole.made"),
        ("Whole.still", "shapes:Whole.still"),
    ],
)
def test_what_a_module_has_under_its_name_can_be_imported(
    shapes: ModuleType, name: str, run: str
) -> None:
    found = reference(functools.reduce(getattr, name.split("."), shapes))
    assert (found.run, found.fault) == (run, "")


def test_a_builtin_can_be_imported() -> None:
    assert reference(print).run == "builtins:print"
    assert reference(print).fault == ""


@pytest.mark.parametrize(
    ("made", "fault"),
    [
        ("shapes.unnamed", "a lambda has no name"),
        ("shapes.outer()", "inner is made inside a function"),
        ("shapes.shadowed", "a worker that imports shapes:plain gets another object"),
        ("shapes.Whole().method", "a worker that imports shapes:Whole.method gets another object"),
        ("shapes.Whole()", "an object of type Whole has no name"),
        ("functools.partial(shapes.plain, 1)", "an object of type partial has no name"),
        ("[].append", "gets another object|has no name"),
    ],
)
def test_what_no_worker_could_import_is_refused_with_a_cure(
    folder: Folder, shapes: ModuleType, made: str, fault: str
) -> None:
    run = eval(made, {"shapes": shapes, "functools": functools})
    with pytest.raises(InvalidPipeline, match=fault) as caught:
        Pipeline.build("p", {"feed": "a:b", "go": run}, [("feed", "go")], root=folder.root)
    [problem] = caught.value.problems[-1:]
    assert problem.code == "not-importable"
    assert "module" in problem.hint
    assert problem.span is not None
    assert caught.value.text.splitlines()[problem.span.line - 1].startswith("run = ")


def test_a_function_of_the_program_itself_is_refused_with_a_cure(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def task(item: Any) -> None: ...

    task.__module__, task.__qualname__ = "__main__", "task"
    monkeypatch.setattr(sys.modules["__main__"], "task", task, raising=False)
    cure = "(?s)task is defined in the program itself.*functions.py, and import it"
    with pytest.raises(InvalidPipeline, match=cure):
        Pipeline.build("p", {"go": {"run": task}}, root=folder.root)


def test_every_fault_is_shown_at_once_each_in_its_place(folder: Folder) -> None:
    stages: dict[str, Any] = {
        "feed": lambda: 1,
        "square": {"run": "functions:square", "proceses": 4},
        "show": {},
    }
    with pytest.raises(InvalidPipeline) as caught:
        Pipeline.build("Big Name", stages, [("feed", "sqare")], root=folder.root)
    assert [problem.code for problem in caught.value.problems if problem.severity == "error"] == [
        "bad-name",
        "not-importable",
        "unknown-key",
        "missing-key",
        "unconnected-stage",
        "unknown-stage",
    ]
    shown = str(caught.value)
    assert "did you mean `processes`?" in shown
    assert "--> <Big Name>:10:1\n10 | proceses = 4\n   | ^^^^^^^^" in shown


@pytest.mark.parametrize("edge", ["ab", ("a",), ()])
def test_an_edge_is_a_path_of_two_or_more_stages(folder: Folder, edge: Any) -> None:
    with pytest.raises(ValueError, match="an edge is a path such as"):
        Pipeline.build("p", {"a": "m:a", "b": "m:b"}, [edge], root=folder.root)


def test_a_stage_that_is_no_callable_is_refused(folder: Folder) -> None:
    stages: dict[str, Any] = {"a": {"run": 3}}
    with pytest.raises(TypeError, match="not 3"):
        Pipeline.build("p", stages, root=folder.root)


def test_the_types_of_the_tables_have_the_keys_of_the_model() -> None:
    for typed, model in ((StageSettings, Stage), (EdgeSettings, Edge)):
        keys = {info.alias or name for name, info in model.model_fields.items()}
        assert set(get_type_hints(typed)) == keys
