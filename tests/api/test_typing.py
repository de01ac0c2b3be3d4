"""What a user's program looks like to mypy --strict."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from mypy import api

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """\
from __future__ import annotations

import asyncio
from collections.abc import Iterator

from pipeline_runner import END, At, InvalidPipeline, Pipeline, Result, Tagged, context, stage
from pipeline_runner.testing import run_inline


def numbers(cursor: int | None) -> Iterator[At]:
    yield At(1, cursor)


@stage
def square(number: int) -> Tagged:
    return Tagged(number * number, context().item_id)


class Show:
    def __call__(self, number: int) -> None:
        print(number)


def summary(result: Result) -> str:
    dead = [f"{letter.item_id}: {letter.error}" for letter in result.dead_letters]
    shown: int = result.stages["show"].in_
    return f"{result.ok} {result.exit_code:d} {result.lost} {shown} {dead}"


async def main(pipeline: Pipeline) -> Result:
    return await pipeline.arun(fresh=True)


built = Pipeline.build(
    "numbers",
    {
        "numbers": numbers,
        "square": {"run": square, "processes": 4, "retry": {"attempts": 2, "backoff": "1s"}},
        "cube": "functions:cube",
        "show": {"run": Show, "on_failure": "drop"},
    },
    [
        ("numbers", "square", "show"),
        {"from": "numbers", "to": "cube", "tags": ["odd"]},
    ],
    defaults={"timeout": "30s"},
)
try:
    print(summary(Pipeline.from_toml("pipeline.toml").run()), END)
except InvalidPipeline as error:
    print(error.problems[0].message)
print(summary(asyncio.run(main(built))))
outputs: dict[str, list[object]] = run_inline(built, {"square": [1, 2]}, limit=3)
reveal_type(square)
"""

WRONG = {
    '"processes": 4': '"proceses": 4',
    '"on_failure": "drop"': '"on_failure": "forget"',
    '"timeout": "30s"': '"timeout": 30',
    '"to": "cube"': '"too": "cube"',
    "{result.lost}": "{result.losses}",
    "fresh=True": "fesh=True",
}


@pytest.fixture(scope="module")
def cache(request: pytest.FixtureRequest) -> Path:
    made = request.config.cache
    assert made is not None
    return made.mkdir("mypy")


def checked(program: str, folder: Path, cache: Path) -> tuple[str, str]:
    file = folder / "program.py"
    file.write_text(program)
    out, err, _code = api.run(
        ["--strict", "--config-file=", f"--cache-dir={cache}", "--no-error-summary", str(file)]
    )
    assert err == ""
    return out, file.name


def test_a_users_program_is_clean_and_keeps_its_types(tmp_path: Path, cache: Path) -> None:
    out, _file = checked(PROGRAM, tmp_path, cache)
    [line] = out.splitlines()
    assert re.search(r'note: Revealed type is "def \(number: .*int"?\) -> .*Tagged"', line), line


def test_each_mistake_of_a_user_is_seen(tmp_path: Path, cache: Path) -> None:
    program = PROGRAM
    for right, wrong in WRONG.items():
        assert program.count(right) == 1
        program = program.replace(right, wrong)
    out, _file = checked(program, tmp_path, cache)
    errors = {int(found) for found in re.findall(r"program\.py:(\d+): error", out)}
    lines = program.splitlines()
    for wrong in WRONG.values():
        [at] = [number for number, line in enumerate(lines, 1) if wrong in line]
        assert at in errors or min(abs(at - found) for found in errors) <= 2, (wrong, out)
