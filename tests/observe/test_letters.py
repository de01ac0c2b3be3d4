from __future__ import annotations

from typing import Any

from pipeline_runner.observe.letters import page, table


def letter(**changes: Any) -> dict[str, Any]:
    base = {
        "letter": 17, "ts": 1_700_000_000.0, "stage": "resize", "edge": "list->resize",
        "item_id": "i7", "host": "gpu01", "pid": 4000, "release": "", "made_by": "", "attempts": 3,
        "error": "ValueError: bad image x.heic", "cause": "raised",
    }  # fmt: skip
    return base | changes


def test_a_list_has_a_line_for_each_letter_and_cuts_long_errors() -> None:
    lines = [line.plain for line in table([letter(), letter(letter=18, error="x" * 300)], 80)]
    assert lines[0].split() == ["ID", "WHEN", "STAGE", "HOST", "TRIES", "ERROR"]
    assert lines[1].endswith("resize  gpu01      3  ValueError: bad image x.heic")
    assert lines[2].endswith("…")
    assert all(len(line) <= 80 for line in lines)


def test_a_page_has_the_fault_first_and_the_traceback_last() -> None:
    lines = [line.plain for line in page(letter(), "{'name': 'x.heic'}", "Traceback ...\n  boom")]
    assert lines[0] == "dead letter 17  ValueError: bad image x.heic"
    assert "edge     list->resize" in lines
    assert "  {'name': 'x.heic'}" in lines
    assert lines[-1].endswith("boom")
    assert not any(line.startswith("release") for line in lines)
