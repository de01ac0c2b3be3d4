"""What is asked wrongly costs the one who asks an answer, and nobody else anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline_runner.errors import RunnerError
from pipeline_runner.head.control.client import ask
from tests.e2e.kit import chain, stage, until

if TYPE_CHECKING:
    from tests.e2e.kit import Project

FUNCTIONS = """\
from kept import keep, pass_gate


def numbers():
    yield 1
    pass_gate("gate")
"""


@pytest.mark.parametrize(
    ("verb", "arguments", "says"),
    [
        ("why", {}, "cannot read what was asked with 'why'"),
        ("why", {"stage": "nowhere"}, "there is no stage nowhere"),
        ("drain", {"host": "nobody"}, "there is no host nobody"),
        ("peek", {"edges": 1}, "cannot read what was asked with 'peek'"),
        ("retry", {"letters": 7}, "cannot read what was asked with 'retry'"),
        ("purge", {}, "cannot read what was asked with 'purge'"),
        ("dance", {}, "does not know 'dance'"),
    ],
)
def test_a_question_that_cannot_be_read_is_answered_so(
    project: Project, verb: str, arguments: dict[str, Any], says: str
) -> None:
    document = stage("numbers", "functions:numbers") + stage("keep", "kept:keep")
    project.write(FUNCTIONS, document + chain("numbers", "keep"))
    run = project.start()
    until(lambda: run.look().get("hosts"), "a head that answers")
    with pytest.raises(RunnerError, match=says):
        ask(project.state, verb, **arguments)
    assert run.look()["hosts"], "it goes on"
    run.end()
