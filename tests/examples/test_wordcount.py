from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.examples.conftest import printed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.examples.conftest import Example, Started


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A small folder to count, with files that are no Python and one that is not even text."""
    folder = tmp_path / "sources"
    (folder / "site-packages").mkdir(parents=True)
    for number in range(40):
        text = "".join(f"word_{number} = word_{line} + shared\n" for line in range(number + 1))
        (folder / f"part_{number}.py").write_text(text)
    (folder / "broken.py").write_text("before = (\n")
    (folder / "latin.py").write_bytes(b"name = '\xe9'\n")
    (folder / "site-packages" / "other.py").write_text("not_ours = 1\n")
    return folder


def _plain(wordcount: Example, **env: str) -> list[str]:
    plain = wordcount.run(sys.executable, "-B", "plain.py", **env)
    assert plain.code == 0, plain
    return plain.out.splitlines()


@pytest.mark.slow
def test_the_standard_library_counts_as_a_plain_loop_counts_it(
    example: Callable[[str], Example],
) -> None:
    wordcount = example("wordcount")
    before = wordcount.files()
    ended = wordcount.runner("up", "--ui", "plain")
    assert ended.code == 0, ended
    table = ended.printed("tally[0]")
    assert table == _plain(wordcount)
    assert len(table) == 22
    assert max(map(len, table)) <= 70  # 80 columns with the prefix
    assert wordcount.files() == before


def test_files_that_are_no_python_count_as_far_as_they_can_be_read(
    example: Callable[[str], Example], sources: Path
) -> None:
    wordcount = example("wordcount")
    ended = wordcount.runner("up", "--ui", "plain", FOLDER=str(sources))
    assert ended.code == 0, ended
    table = ended.printed("tally[0]")
    assert table == _plain(wordcount, FOLDER=str(sources))
    assert "in 42 files" in table[0]
    assert table[2].split()[0] == "shared"
    assert table[2].split()[-1] == str(sum(range(1, 41)))


def test_a_second_run_forgets_files_that_are_no_more(
    example: Callable[[str], Example], sources: Path
) -> None:
    wordcount = example("wordcount")
    wordcount.runner("up", "--ui", "plain", FOLDER=str(sources))
    (sources / "part_39.py").unlink()
    ended = wordcount.runner("up", "--ui", "plain", FOLDER=str(sources))
    table = ended.printed("tally[0]")
    assert table == _plain(wordcount, FOLDER=str(sources))
    assert "in 41 files" in table[0]


def test_the_table_stays_the_same_when_workers_of_every_stage_are_killed(
    example: Callable[[str], Example], sources: Path, start: Callable[..., Started]
) -> None:
    wordcount = example("wordcount")
    for number in range(800):
        (sources / f"more_{number}.py").write_text("once = twice(twice)\n" * 50)
    run = start(wordcount, FOLDER=str(sources))
    run.wait_until(lambda ps: 50 <= _taken(ps, "tally") < 700)
    killed = run.kill_workers()
    rest, _ = run.popen.communicate(timeout=100)

    assert {"files", "count", "tally"} >= killed >= {"count", "tally"}, rest
    assert run.popen.returncode == 0, rest
    assert printed(rest, "tally[0]") == _plain(wordcount, FOLDER=str(sources))


def _taken(ps: dict[str, Any], stage: str) -> int:
    return next(int(each["in"]) for each in ps["stages"] if each["name"] == stage)
