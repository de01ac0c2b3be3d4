"""A variable that user code asks for and nobody set: the file is where its cure stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.kit import chain, stage

if TYPE_CHECKING:
    from tests.e2e.kit import Project

CURE = 'env = { TOKEN_OF_TESTS = "${TOKEN_OF_TESTS}" }'
IMPORTED = """\
import os

TOKEN = os.environ["TOKEN_OF_TESTS"]


def numbers():
    yield 1


def show(number):
    os.environ["TOKEN_OF_TESTS"]
"""
CALLED = IMPORTED.replace('TOKEN = os.environ["TOKEN_OF_TESTS"]\n', "")
OTHER = CALLED.replace('os.environ["TOKEN_OF_TESTS"]', '{}["TOKEN_OF_TESTS"]')


def write(project: Project, functions: str) -> None:
    document = stage("numbers", "functions:numbers")
    document += stage("show", "functions:show", "retry = { attempts = 1 }")
    project.write(functions, document + chain("numbers", "show"))


def test_check_says_how_the_file_gives_what_an_import_asked_for(project: Project) -> None:
    write(project, IMPORTED)
    ended = project.runner("check")
    assert ended.returncode == 1
    assert "KeyError: 'TOKEN_OF_TESTS'" in ended.stdout
    assert f"set it here, and give the stage {CURE}" in ended.stdout


def test_a_dead_letter_says_so_too(project: Project) -> None:
    write(project, CALLED)
    assert project.up("--local").code == 1
    (letter,) = project.letters()
    assert letter.error.startswith("KeyError: 'TOKEN_OF_TESTS' (set TOKEN_OF_TESTS where")
    assert letter.error.endswith(f"name it in the stage: {CURE})")


def test_a_key_that_a_dictionary_lacks_is_something_else(project: Project) -> None:
    write(project, OTHER)
    assert project.up("--local").code == 1
    (letter,) = project.letters()
    assert letter.error == "KeyError: 'TOKEN_OF_TESTS'"


def test_what_the_file_gives_is_there_for_check_and_for_a_run(project: Project) -> None:
    write(project, IMPORTED)
    file = project.root / "pipeline.toml"
    for name in ("numbers", "show"):
        run = f'run = "functions:{name}"\n'
        file.write_text(file.read_text().replace(run, f'{run}env = {{ TOKEN_OF_TESTS = "x" }}\n'))
    assert project.up("--local").code == 0


def test_what_every_run_would_say_alike_is_said_by_none(project: Project) -> None:
    document = stage("numbers", "functions:numbers") + stage(
        "show", "functions:show", "processes = 3"
    )
    project.write(
        OTHER.replace('{}["TOKEN_OF_TESTS"]', "number"), document + chain("numbers", "show")
    )
    file = project.root / "pipeline.toml"
    file.write_text(file.read_text().replace('"memory"', '"fsync"'))
    ended = project.up("--local", "--ui", "plain")
    assert ended.code == 0
    assert "outlives" not in ended.err
    assert "cores" not in ended.err
