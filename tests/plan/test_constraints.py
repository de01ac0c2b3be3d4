from __future__ import annotations

import pytest

from pipeline_runner.config.expressions import parse_constraint, parse_count
from pipeline_runner.plan.constraints import Reason, check, count
from tests.plan.strategies import GIB, host

RIG = host("rig-7", cores=8, gpus=2, memory=8 * GIB, labels={"disk": "ssd"})


@pytest.mark.parametrize(
    "rule",
    [
        "host == rig-7",
        "host ~ rig-*",
        "host in [rig-1, rig-7]",
        "os == linux",
        "arch != aarch64",
        "python >= 3.11",
        "python == 3.11",
        "python <= 3.11",
        "python in [3.10, 3.11]",
        "cores > 7",
        "memory >= 8GiB",
        "gpus in [1, 2]",
        "head == false",
        "label.disk == ssd",
        "label.disk ~ s*",
        "label.room != lab",
    ],
)
def test_a_true_constraint_holds(rule: str) -> None:
    assert check(parse_constraint(rule), RIG).held


@pytest.mark.parametrize(
    ("rule", "actual"),
    [
        ("host ~ gpu*", "rig-7"),
        ("python > 3.11", "3.11.4"),
        ("python >= 3.12", "3.11.4"),
        ("python == 3.11.5", "3.11.4"),
        ("cores < 8", "8"),
        ("memory > 8GiB", "8.0GiB"),
        ("gpus >= 3", "2"),
        ("head == true", "false"),
        ("label.disk == hdd", "ssd"),
        ("label.room == lab", "unset"),
        ("label.room in [lab]", "unset"),
        ("label.room ~ *", "unset"),
    ],
)
def test_a_failed_constraint_says_the_rule_and_the_actual_value(rule: str, actual: str) -> None:
    assert check(parse_constraint(rule), RIG) == Reason(rule, actual, held=False)


def test_memory_below_a_gibibyte_is_said_in_mebibytes() -> None:
    small = host("pi", memory=512 * 1024**2)
    assert check(parse_constraint("memory >= 1GiB"), small).actual == "512MiB"


@pytest.mark.parametrize(
    ("text", "workers"),
    [
        ("cores", 8),
        ("cores-1", 7),
        ("cores-9", 0),
        ("cores/3", 2),
        ("cores+1", 9),
        ("gpus*2", 4),
        ("gpus", 2),
    ],
)
def test_a_count_expression_is_floored_and_at_least_0(text: str, workers: int) -> None:
    assert count(parse_count(text), RIG) == workers
