from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.examples.conftest import REPOSITORY, RUNNER

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.examples.conftest import Example

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
FENCED = re.findall(r"^```\w*\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
FILE = next(block for block in FENCED if block.startswith("#:schema"))
ERROR = next(block for block in FENCED if block.startswith("error["))


def test_the_readmes_file_is_sound(example: Callable[[str], Example]) -> None:
    wordcount = example("wordcount")
    (wordcount.folder / "pipeline.toml").write_text(FILE, encoding="utf-8")
    checked = wordcount.runner("check")
    assert checked.code == 0, checked
    assert "3 stages, 2 edges, every function imports" in checked.err


def test_the_readmes_error_is_what_check_says_of_that_slip(
    example: Callable[[str], Example],
) -> None:
    wordcount = example("wordcount")
    slip = FILE.replace('to = "count"', 'to = "conut"')
    assert slip != FILE
    (wordcount.folder / "pipeline.toml").write_text(slip, encoding="utf-8")
    checked = wordcount.runner("check", "--no-import")
    assert checked.code == 1
    assert ERROR.strip() in checked.out


def test_the_readme_names_every_verb(example: Callable[[str], Example]) -> None:
    page = example("numbers").run(*RUNNER, "--help").out
    verbs = re.findall(r"^  ([a-z]+)  ", page.partition("Commands:")[2], re.MULTILINE)
    assert len(verbs) >= 12
    assert [verb for verb in verbs if f"runner {verb}" not in README] == []


def test_every_file_the_documents_link_to_is_there() -> None:
    pages = ("README.md", "CONTRIBUTING.md", "contrib/README.md")
    for name in (
        *pages,
        "docs/architecture.md",
        "docs/three-machines.md",
        "docs/writing-stages.md",
    ):
        document = REPOSITORY / name
        links = re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8"))
        assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_architecture_names_only_files_that_exist() -> None:
    text = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    there = {
        path.relative_to(REPOSITORY / "pipeline_runner").as_posix()
        for path in REPOSITORY.glob("pipeline_runner/**/*.py")
    }
    names = set(re.findall(r"[\w/]+\.py\b", text))
    known = there | {path.rpartition("/")[2] for path in there}
    assert len(names) > 30
    assert sorted(names - known) == []
