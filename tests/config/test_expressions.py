from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.config.expressions import (
    OPERATORS,
    Constraint,
    CountExpr,
    ExpressionError,
    Version,
    parse_constraint,
    parse_count,
)
from tests.config.marks import marked


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("os == linux", Constraint("os", "==", "linux")),
        ("  os==linux ", Constraint("os", "==", "linux")),
        ("host ~ rig-*", Constraint("host", "~", "rig-*")),
        ("arch != 'armv7l'", Constraint("arch", "!=", "armv7l")),
        ('label.room == "big lab"', Constraint("label.room", "==", "big lab")),
        (
            "label.disk-type in [ssd, 'n v me']",
            Constraint("label.disk-type", "in", ("ssd", "n v me")),
        ),
        ("cores >= 4", Constraint("cores", ">=", 4)),
        ("gpus in [1,2]", Constraint("gpus", "in", (1, 2))),
        ("memory < 8GiB", Constraint("memory", "<", 8 << 30)),
        ("python >= 3.11", Constraint("python", ">=", Version((3, 11)))),
        (
            "python in [3.11, 3.12]",
            Constraint("python", "in", (Version((3, 11)), Version((3, 12)))),
        ),
        ("head == true", Constraint("head", "==", True)),
        ("head != false", Constraint("head", "!=", False)),
    ],
)
def test_a_constraint_is_read_with_the_type_of_its_attribute(
    text: str, expected: Constraint
) -> None:
    found = parse_constraint(text)
    assert found == expected
    assert type(found.value) is type(expected.value)
    assert str(found) == text.strip()


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("⟦mem⟧ > 1GiB", 'did you mean "memory"?'),
        ("⟦label⟧ == x", "label.NAME"),
        ("os ⟦=⟧ linux", 'did you mean "=="?'),
        ("os ⟦<⟧ linux", "use one of == != ~ in"),
        ("cores ⟦~⟧ 4", "use one of == != < <= > >= in"),
        ("os ⟦linux⟧", "one of =="),
        ("os == linux ⟦and cores > 1⟧", "its own string"),
        ("cores >= ⟦four⟧", ""),
        ("cores >= ⟦4.5⟧", ""),
        ("memory >= ⟦8gib⟧", 'did you mean "GiB"?'),
        ("memory >= ⟦8⟧", "Units"),
        ("python >= ⟦3.x⟧", ""),
        ("head == ⟦yes⟧", ""),
        ("host in⟦ a⟧", "[a, b]"),
        ("host in [a,⟦,b⟧]", ""),
        ("host in ⟦[]⟧", ""),
        ("⟦??⟧", "memory >= 8GiB"),
    ],
)
def test_a_faulty_constraint_is_refused_at_the_fault(text: str, hint: str) -> None:
    plain, [span] = marked(text)
    with pytest.raises(ExpressionError) as refused:
        parse_constraint(plain)
    assert (refused.value.start + 1, refused.value.end + 1) == (span.column, span.end_column)
    assert hint in refused.value.hint


@pytest.mark.parametrize("text", ["", "os ==", "head", "os == 'linux"])
def test_an_unfinished_constraint_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse_constraint(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cores", CountExpr("cores")),
        (" gpus ", CountExpr("gpus")),
        ("cores-1", CountExpr("cores", "-", 1)),
        ("cores / 2", CountExpr("cores", "/", 2)),
        ("gpus*3", CountExpr("gpus", "*", 3)),
        ("gpus+0", CountExpr("gpus", "+", 0)),
    ],
)
def test_a_count_is_read(text: str, expected: CountExpr) -> None:
    assert parse_count(text) == expected
    assert parse_count(str(expected)) == expected


@pytest.mark.parametrize(
    "text", ["", "4", "core", "cores-", "cores--1", "cores/0", "cores-1-1", "1-cores", "cores*1.5"]
)
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse_count(text)


@given(st.text("os hcremyltab.=!<>~in[]'\"4,GiB-", max_size=20))
def test_any_text_is_read_or_refused_within_itself(text: str) -> None:
    for parse in (parse_constraint, parse_count):
        refused = ExpressionError("", 0, 0)
        try:
            parse(text)
        except ExpressionError as error:
            refused = error
        assert 0 <= refused.start <= refused.end <= len(text)


@given(
    st.sampled_from(["os", "host", "label.x"]),
    st.sampled_from([op for op in OPERATORS if op in {"==", "!=", "~"}]),
    st.text(st.characters(exclude_characters='"', exclude_categories=["Cs"])),
)
def test_quoted_text_is_taken_as_it_stands(attribute: str, op: str, value: str) -> None:
    assert parse_constraint(f'{attribute} {op} "{value}"').value == value
