from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.cli.edges import Ends, edge_meant
from pipeline_runner.errors import UsageError

EDGES = (
    Ends("fetch->parse", "fetch", "parse"),
    Ends("raw", "parse", "enrich"),
    Ends("enrich->store", "enrich", "store"),
    Ends("of-an-older-file"),
)


@pytest.mark.parametrize(
    "words",
    [
        ("raw",),
        ("parse", "enrich"),
        ("parse->enrich",),
        ("parse", "->", "enrich"),
        ("parse→enrich",),
    ],
    ids=" ".join,
)
def test_an_edge_is_meant_by_its_name_or_by_its_stages(words: tuple[str, ...]) -> None:
    assert edge_meant(words, EDGES).name == "raw"


def test_an_edge_whose_stages_nobody_knows_has_its_name() -> None:
    assert edge_meant(("of-an-older-file",), EDGES).name == "of-an-older-file"


@pytest.mark.parametrize(
    ("words", "fault", "hint"),
    [
        (("fetch", "prase"), "there is no queue fetch->prase", "did you mean `fetch parse`?"),
        (("enrich", "parse"), "there is no queue enrich->parse", "did you mean `raw`?"),
        (("row",), "there is no queue row", "did you mean `raw`?"),
        (
            ("fetch-",),
            "there is no queue fetch-",
            "a shell takes `>` for its own; type: fetch parse",
        ),
        (
            ("enrich",),
            "there is no queue enrich",
            "enrich is a stage, its queues: raw (parse->enrich), enrich->store",
        ),
        (
            ("zzz",),
            "there is no queue zzz",
            "queues: fetch->parse, raw (parse->enrich), enrich->store, of-an-older-file",
        ),
    ],
    ids=lambda case: " ".join(case) if isinstance(case, tuple) else "",
)
def test_an_unknown_edge_is_told_with_what_was_meant(
    words: tuple[str, ...], fault: str, hint: str
) -> None:
    with pytest.raises(UsageError) as raised:
        edge_meant(words, EDGES)
    assert raised.value.message == fault
    assert raised.value.hint.startswith(hint)
    if "enrich is a stage" not in hint:
        assert "queues: fetch->parse, raw (parse->enrich)" in raised.value.hint


def test_two_queues_between_the_same_stages_are_told_apart_by_name() -> None:
    twins = (Ends("images", "parse", "store"), Ends("texts", "parse", "store"))
    with pytest.raises(UsageError) as raised:
        edge_meant(("parse", "store"), twins)
    assert raised.value.hint == "name one: images, texts"


def test_where_there_is_no_edge_nothing_is_queued() -> None:
    with pytest.raises(UsageError) as raised:
        edge_meant(("parse", "store"), ())
    assert raised.value.hint == "nothing is queued"


_NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,5}", fullmatch=True)


@given(st.lists(st.builds(Ends, _NAMES, _NAMES, _NAMES), unique_by=lambda edge: edge.name))
def test_what_is_told_to_type_means_that_edge(edges: list[Ends]) -> None:
    arrows = [Ends(f"{edge.source}->{edge.target}", edge.source, edge.target) for edge in edges]
    for edge in edges:
        assert edge_meant(edge.typed.split(), edges) == edge
    for edge in arrows:
        if sum((e.source, e.target) == (edge.source, edge.target) for e in arrows) == 1:
            assert edge_meant(edge.typed.split(), arrows) == edge


@given(st.lists(st.text(max_size=9), min_size=1, max_size=3))
def test_any_words_are_an_edge_or_an_error_with_a_cure(words: list[str]) -> None:
    try:
        found, cure = edge_meant(words, EDGES), ""
    except UsageError as error:
        found, cure = None, error.hint
    assert bool(cure) != (found in EDGES)
