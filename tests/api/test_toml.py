from __future__ import annotations

from typing import Any

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_runner.api.toml import written

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = texts | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=4
)
tables = st.dictionaries(texts, values, max_size=3)


@settings(max_examples=settings().max_examples // 2)
@given(st.dictionaries(texts, tables | st.lists(tables, min_size=1, max_size=2), max_size=3))
def test_what_is_written_reads_back_as_it_was(document: dict[str, Any]) -> None:
    assert tomli.loads(written(document)) == document


@pytest.mark.parametrize("value", [None, b"bytes", {1}, object, 1j])
def test_a_value_that_toml_has_no_form_for_is_refused_by_its_key(value: Any) -> None:
    with pytest.raises(TypeError, match="`timeout` cannot be"):
        written({"stages": {"feed": {"timeout": value}}})
