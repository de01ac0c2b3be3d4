from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline_runner.errors import InvalidPipeline, UsageError
from pipeline_runner.testing import run_inline
from tests.api.conftest import apart
from tests.e2e.kit import stage

if TYPE_CHECKING:
    from tests.api.conftest import Folder


def test_the_values_given_for_a_source_come_out_at_the_sink(folder: Folder) -> None:
    assert run_inline(folder.numbers(), {"generate": [1, 2, 3]})["show"] == [0, 3, 8]


def test_the_sources_are_called_where_no_items_are_given(folder: Folder) -> None:
    assert run_inline(str(folder.numbers())) == {"show": [0, 3, 8]}


def test_a_limit_ends_each_source(folder: Folder) -> None:
    assert run_inline(folder.numbers(), limit=2) == {"show": [0, 3]}


def test_items_enter_at_any_stage_and_no_source_is_called(folder: Folder) -> None:
    assert run_inline(folder.numbers(), {"subtract": [10], "square": [5]}) == {"show": [9, 24]}


def test_no_items_at_all_call_nothing(folder: Folder) -> None:
    assert run_inline(folder.numbers(), {}) == {"show": []}


def test_a_source_is_not_even_built_where_items_are_given(folder: Folder) -> None:
    folder.write(
        "class feed:\n    def __init__(self): raise OSError('no camera')\n"
        "def show(item): return item\n",
        "feed",
        "show",
    )
    assert run_inline(folder.file, {"feed": ["x"]}) == {"show": ["x"]}
    with pytest.raises(OSError, match="no camera"):
        run_inline(folder.file)


def test_a_value_is_a_copy_at_every_hop(folder: Folder) -> None:
    folder.write(
        "def feed(): yield []\n"
        "def grow(items):\n    items.append(1)\n    return items\n"
        "def show(items):\n    items.append(2)\n    return items\n",
        "feed",
        "grow",
        "show",
    )
    mine: list[int] = []
    assert run_inline(folder.file, {"feed": [mine], "grow": [mine], "show": [mine]}) == {
        "show": [[1, 2], [1, 2], [2]]
    }
    assert mine == []


def test_what_cannot_be_pickled_fails_as_it_would_between_processes(folder: Folder) -> None:
    folder.write("def feed(): yield 1\ndef show(item): return item\n", "feed", "show")
    with pytest.raises((AttributeError, TypeError), match="pickle"):
        run_inline(folder.file, {"feed": [lambda: 1]})


def test_an_exception_of_user_code_arrives_as_it_was_raised(folder: Folder) -> None:
    folder.numbers()
    with pytest.raises(TypeError, match="can't multiply"):
        run_inline(folder.file, {"square": ["x"]})


def test_after_an_exception_classes_are_closed_and_it_is_not_the_true_end(folder: Folder) -> None:
    folder.write(
        "from pipeline_runner import context\n"
        "ends = []\n"
        "async def feed(): yield 1\n"
        "class show:\n"
        "    def __call__(self, item): return 1 / item\n"
        "    def close(self): ends.append(context().finished)\n",
        "feed",
        "show",
    )
    assert run_inline(folder.file) == {"show": [1.0]}
    with pytest.raises(ZeroDivisionError):
        run_inline(folder.file, {"feed": [0]})
    assert sys.modules["functions"].ends == [True, False]


def test_context_names_the_stage_and_the_item_and_ends_with_the_run(folder: Folder) -> None:
    folder.write(
        "from pipeline_runner import context\n"
        "def feed(): yield context().stage\n"
        "def show(item): return (item, context().stage, context().item_id, context().attempt)\n",
        "feed",
        "show",
    )
    first, second = run_inline(folder.file, {"feed": ["a", "b"]})["show"]
    assert first[:2] == ("a", "show")
    assert first[3] == 1
    assert first[2] != second[2]
    assert run_inline(folder.file)["show"][0][0] == "feed"
    with pytest.raises(RuntimeError, match="only there while a stage runs"):
        sys.modules["functions"].show(1)


def test_tags_route_and_batches_gather_as_between_processes(folder: Folder) -> None:
    header = '[pipeline]\nname = "p"\n'
    stages = [
        stage("feed", "functions:feed"),
        stage("sum", "functions:total", "batch = { count = 2 }"),
        stage("show", "functions:show"),
    ]
    edges = (
        '[[edges]]\nfrom = "feed"\nto = "sum"\ntags = ["even"]\n'
        '[[edges]]\nfrom = "feed"\nto = "show"\ntags = ["odd"]\n'
        '[[edges]]\nfrom = "sum"\nto = "show"\n'
    )
    (folder.root / "functions.py").write_text(
        "from pipeline_runner import Tagged\n"
        "def feed():\n"
        "    for n in range(6): yield Tagged(n, 'odd' if n % 2 else 'even')\n"
        "def total(batch): return [(sum(batch), len(batch))] * len(batch)\n"
        "def show(item): return item\n"
    )
    folder.file.write_text(header + "".join(stages) + edges)
    assert run_inline(folder.file)["show"] == [1, (2, 2), (2, 2), 3, 5, (4, 1)]


def test_a_batch_in_a_cycle_loses_nothing(folder: Folder) -> None:
    header = '[pipeline]\nname = "p"\n'
    stages = [
        stage("feed", "functions:feed"),
        stage("halve", "functions:halve", "batch = { count = 3 }"),
        stage("again", "functions:again"),
        stage("show", "functions:show"),
    ]
    edges = (
        '[[edges]]\nfrom = "feed"\nto = "halve"\n'
        '[[edges]]\nfrom = "halve"\nto = "again"\n'
        '[[edges]]\nfrom = "again"\nto = "halve"\ntags = ["more"]\n'
        '[[edges]]\nfrom = "again"\nto = "show"\ntags = ["done"]\n'
    )
    (folder.root / "functions.py").write_text(
        "from pipeline_runner import Tagged\n"
        "def feed(): yield from (8, 5, 4, 2)\n"
        "def halve(batch): return [n // 2 for n in batch]\n"
        "def again(n): return Tagged(n, 'more' if n > 1 else 'done')\n"
        "def show(n): return n\n"
    )
    folder.file.write_text(header + "".join(stages) + edges)
    assert run_inline(folder.file) == {"show": [1, 1, 1, 1]}


def test_async_stages_run_and_leave_no_loop_behind(folder: Folder) -> None:
    folder.write(
        "import asyncio\n"
        "async def feed():\n    n = 0\n    while True:\n        yield n\n        n += 1\n"
        "async def show(n):\n    await asyncio.sleep(0)\n    return n\n",
        "feed",
        "show",
    )
    assert run_inline(folder.file, limit=3) == {"show": [0, 1, 2]}


def test_async_stages_are_refused_where_a_loop_runs_already(folder: Folder) -> None:
    folder.write("def feed(): yield 1\nasync def show(n): return n\n", "feed", "show")

    async def main() -> None:
        run_inline(folder.file)

    with pytest.raises(RuntimeError, match=r"show is async .* code that is not async"):
        asyncio.run(main())


def test_a_stage_that_stands_alone_returns_what_it_gave(folder: Folder) -> None:
    folder.write("def feed(): yield from 'ab'\n", "feed", edges="\n")
    assert run_inline(folder.file) == {"feed": ["a", "b"]}


def test_it_runs_in_the_project_and_leaves_the_process_where_it_was(folder: Folder) -> None:
    folder.write("import os\ndef feed(): yield os.getcwd()\n", "feed", edges="\n")
    here, path = Path.cwd(), list(sys.path)
    assert run_inline(folder.file) == {"feed": [str(folder.root)]}
    assert (Path.cwd(), sys.path) == (here, path)


def test_a_module_of_another_project_is_not_taken_for_ours(folder: Folder) -> None:
    run_inline(folder.numbers())
    with apart() as other:
        other.numbers()
        with pytest.raises(RuntimeError, match=r"functions is imported already, from .*"):
            run_inline(other.file)


def test_what_the_test_replaced_is_what_runs(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_inline(folder.numbers())
    monkeypatch.setattr(sys.modules["functions"], "square", lambda number: 100)
    assert run_inline(folder.file, {"square": [1]}) == {"show": [99]}


def test_items_for_no_stage_are_refused_with_the_one_that_was_meant(folder: Folder) -> None:
    with pytest.raises(ValueError, match=r'no stage of p; did you mean "square"'):
        run_inline(folder.numbers(), {"sqare": [1]})


def test_a_faulty_file_is_shown_with_its_frames(folder: Folder) -> None:
    folder.write("", "feed", settings="color = 1", edges="\n")
    with pytest.raises(InvalidPipeline, match=r"(?s)1 error in .*unknown-key.*color = 1\n.*\^"):
        run_inline(folder.file)


def test_a_file_that_is_not_there_is_said_so(folder: Folder) -> None:
    with pytest.raises(UsageError, match="there is no"):
        run_inline(folder.root / "none.toml")


def test_a_batch_comes_back_whole_here_too(folder: Folder) -> None:
    folder.write(
        "def feed(): yield from range(4)\n"
        "def grow(items):\n    return [items.pop() for _ in tuple(items)]\n"
        "def show(item): return item\n",
        "feed",
        "grow",
        "show",
    )
    text = folder.file.read_text().replace("[stages.grow]", "[stages.grow]\nbatch = { count = 2 }")
    folder.file.write_text(text)
    assert run_inline(folder.file) == {"show": [1, 0, 3, 2]}


@pytest.mark.parametrize(
    ("back", "error"),
    [("items[1:]", "a batch of 2 items came back as 1"), ("'xy'", "a batch came back as str")],
)
def test_a_batch_that_does_not_come_back_whole_fails_here_too(
    folder: Folder, back: str, error: str
) -> None:
    folder.write(
        "def feed(): yield from range(4)\n"
        f"def grow(items): return {back}\n"
        "def show(item): return item\n",
        "feed",
        "grow",
        "show",
    )
    text = folder.file.read_text().replace("[stages.grow]", "[stages.grow]\nbatch = { count = 2 }")
    folder.file.write_text(text)
    with pytest.raises((TypeError, ValueError), match=error):
        run_inline(folder.file)


@pytest.mark.parametrize(
    ("feed", "error"),
    [("feed(): yield At(1, 2)", "parameter `cursor`"), ("feed(cursor): yield 1", "not int")],
)
def test_cursors_are_for_sources_that_take_one_here_too(
    folder: Folder, feed: str, error: str
) -> None:
    text = f"from pipeline_runner import At\ndef {feed}\ndef show(item): return item\n"
    folder.write(text, "feed", "show")
    with pytest.raises(TypeError, match=error):
        run_inline(folder.file)
