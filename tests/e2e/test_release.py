"""User code runs in a release: a copy of the project that nobody changes."""

from __future__ import annotations

import os
import shutil
import signal

import pytest

from tests.e2e.kit import RUNNER, Project, chain, stage, until

NUMBERS = "def numbers():\n    yield 1\n"
DOCUMENT = stage("numbers", "functions:numbers") + stage("work", "functions:work")
DOCUMENT += "retry = { attempts = 1 }\n" + chain("numbers", "work")
# Root may write anywhere: it has to be without that power to see what others see.
AS_ANYBODY = [
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search,-fowner",
    "--inh-caps=-dac_override,-dac_read_search,-fowner",
]


def work(body: str) -> str:
    return f"{NUMBERS}\ndef work(number):\n    {body}\n"


def test_writing_into_the_release_is_refused_and_told_how_to_do_it(project: Project) -> None:
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root may write anywhere, and cannot put that away here")
    project.write(work('open("out.csv", "w")'), DOCUMENT)
    anybody = AS_ANYBODY if os.geteuid() == 0 else []
    ended = project.start(program=[*anybody, RUNNER]).wait()
    assert ended.code == 1
    (letter,) = project.letters()
    assert letter.error.startswith("PermissionError")
    assert letter.error.endswith(
        "'out.csv' (the project's files are read-only here: write to context().output)"
    )
    assert project.files() == {"functions.py", "kept.py", "pipeline.toml"}


def test_a_module_that_writes_where_it_is_imported_is_told_so_too(project: Project) -> None:
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root may write anywhere, and cannot put that away here")
    (project.root / "log").mkdir()
    project.write(f'open("log/it", "w")\n{work("pass")}', DOCUMENT)
    anybody = AS_ANYBODY if os.geteuid() == 0 else []
    run = project.start("--no-import", program=[*anybody, RUNNER])
    assert until(lambda: "write to context().output" in run.stage("work").get("reason", ""))
    run.end()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may write into a release")
def test_what_root_writes_into_the_release_is_moved_to_the_output(project: Project) -> None:
    body = 'open("out.csv", "w").write("1"); open("functions.py", "a").write("# 1")'
    project.write(work(body), DOCUMENT)
    before = (project.root / "functions.py").read_text()
    ended = project.up("--ui", "plain")
    assert ended.code == 0
    assert (project.root / "out.csv").read_text() == "1"
    assert (project.root / "functions.py").read_text() == before
    assert (project.root / "functions-2.py").read_text() == f"{before}# 1"
    assert "2 files were written where the code lies, and moved to" in ended.err
    assert "write below context().output" in ended.err
    # The release is made anew: what was changed in it is not what the next run gets.
    (project.root / "functions-2.py").unlink()
    (project.root / "out.csv").unlink()
    assert project.up("--fresh", "--yes").code == 0
    assert (project.root / "functions-2.py").read_text() == f"{before}# 1"


def test_a_file_that_did_not_travel_is_named_with_the_command_that_tells_why(
    project: Project,
) -> None:
    project.write(work('open("data/in.csv")'), DOCUMENT)
    (project.root / "data").mkdir()
    (project.root / "data/in.csv").write_text("1")
    (project.root / ".gitignore").write_text("data/\n")
    project.up()
    (letter,) = project.letters()
    assert "only the project's files are here: `runner files` tells which travel" in letter.error


def test_tracebacks_name_files_as_the_project_does(project: Project) -> None:
    project.write(work("1 / 0"), DOCUMENT)
    project.up()
    (letter,) = project.letters()
    assert 'File "functions.py", line 5, in work' in letter.traceback


def test_a_change_during_a_run_changes_no_worker(project: Project) -> None:
    body = 'kept.note("begun"); kept.pass_gate("gate"); import late; kept.note("late", late.NAME)'
    project.write(f"import kept\n{work(body)}", DOCUMENT, more={"late": 'NAME = "before"\n'})
    run = project.start()
    until(project.notes)
    (project.root / "late.py").write_text('NAME = "after"\n')
    project.open_gate()
    assert run.wait().code == 0
    assert project.notes() == [("begun",), ("late", "before")]


def test_results_do_not_make_another_release_of_the_code(project: Project) -> None:
    body = 'kept.keep(number); import pipeline_runner; kept.note("code", __file__)'
    project.write(f"import kept\n{work(body)}", DOCUMENT)
    project.up()
    project.up("--fresh", "--yes")
    places = {note[1] for note in project.notes() if note[0] == "code"}
    assert len(places) == 2  # what was kept is data of the project now
    assert all("/files/releases/" in place for place in places)


def test_a_release_that_somebody_deleted_is_named_and_the_next_run_makes_it_anew(
    project: Project,
) -> None:
    body = 'kept.note("begun"); kept.pass_gate("gate"); import os; os._exit(3)'
    document = DOCUMENT.replace("attempts = 1", "attempts = 2")
    project.write(f"import kept\n{work(body)}", document)
    run = project.start()
    until(project.notes)
    shutil.rmtree(project.state / "files")
    project.open_gate()
    until(lambda: "its files are gone" in run.stage("work").get("reason", ""))
    run.end()
    project.write(work("pass"), DOCUMENT)
    assert project.up().code == 0


def test_a_package_in_src_is_found_where_the_file_says_so(project: Project) -> None:
    document = DOCUMENT.replace("functions:work", "inner.deep:work")
    project.write(NUMBERS, f'[defaults]\nenv = {{ PYTHONPATH = "src" }}\n{document}')
    (project.root / "src/inner").mkdir(parents=True)
    (project.root / "src/inner/deep.py").write_text(f"import kept\n{work('kept.note(__file__)')}")
    assert project.up().code == 0
    ((file,),) = project.notes()
    assert file.endswith("/src/inner/deep.py")
    assert file.startswith(str(project.state / "files/releases"))


ROWS = """\
from kept import note, pass_gate


class {name}:
    def __init__(self, n):
        self.n = n


def rows():
    for n in range(3):
        yield {name}(n)


def work(row):
    pass_gate("open")
    note("worked", row.n)
"""


def test_an_item_whose_class_was_renamed_is_a_dead_letter_that_names_both_releases(
    project: Project,
) -> None:
    document = stage("rows", "functions:rows") + stage("work", "functions:work")
    project.write(ROWS.format(name="Row"), document + chain("rows", "work"))
    file = project.root / "pipeline.toml"
    file.write_text(file.read_text().replace('durability = "memory"', 'durability = "fsync"'))
    run = project.start("--no-import")
    until(lambda: run.stage("rows").get("out") == 3, "all rows are on their way")
    first = run.look()["release"]
    agent = run.agent()
    run.signal(signal.SIGKILL)
    os.kill(agent, signal.SIGKILL)
    run.popen.communicate()
    until(lambda: not run.processes(), "no worker of the old release is left")
    (project.root / "functions.py").write_text(ROWS.format(name="Line"))
    (project.root / "open").touch()
    run = project.start("--no-import")
    until(lambda: run.look().get("release"), "it runs")
    second = run.look()["release"]
    ended = run.wait()
    assert ended.code == 1
    letters = project.letters()
    assert {(one.made_by, one.release, one.cause) for one in letters} == {
        (first, second, "undecodable")
    }
    assert len(letters) == 3
    assert f"release {first[:12]} made it, release {second[:12]} cannot read it" in letters[0].error
