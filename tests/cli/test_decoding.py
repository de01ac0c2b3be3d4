"""Items that are looked at: one that ends or holds up whoever decodes it takes nobody along."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

from pipeline_runner.cli.decoding import shown
from pipeline_runner.wire.codec import encode, take

if TYPE_CHECKING:
    from pathlib import Path

DIES = (b"\x80\x04cos\nabort\n)R.",)
EXITS = (b"\x80\x04cos\n_exit\nK\x00\x85R.",)
HANGS = (b"\x80\x04csignal\npause\n)R.",)
PRINTS = (b"\x80\x04cbuiltins\nprint\n\x8c\x05noise\x85R.",)


def test_items_are_shown_as_their_reprs(tmp_path: Path) -> None:
    body = encode([take({"n": n}) for n in range(4)])
    assert shown(body, [1, 3], tmp_path) == ["{'n': 1}", "{'n': 3}"]
    assert shown(pickle.dumps([1, "two"]), [1], tmp_path) == ["'two'"]


def test_an_item_of_a_class_of_the_project_is_shown(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "class Row:\n    def __repr__(self):\n        return 'a row'\n"
    )
    body = encode([take([1]), (b"\x80\x04cshop\nRow\n)\x81.",)])
    assert shown(body, [1], tmp_path) == ["a row"]
    assert not list(tmp_path.rglob("*.pyc"))


def test_an_item_that_ends_who_decodes_it_leaves_the_others_to_be_shown(tmp_path: Path) -> None:
    body = encode([take([1]), DIES, take([2]), EXITS, take([3])])
    one, dies, two, exits, three = shown(body, range(5), tmp_path)
    assert [one, two, three] == ["[1]", "[2]", "[3]"]
    assert "decoding it kills the process (SIGABRT)" in dies
    assert "it has 15 bytes and is made with os.abort" in dies
    assert "decoding it ends the process" in exits


def test_an_item_that_is_never_decoded_is_given_up_after_its_time(tmp_path: Path) -> None:
    (hangs,) = shown(encode([take([1]), HANGS]), [1], tmp_path, most_s=0.1)
    assert "decoding it takes longer than 0.1 s" in hangs
    assert "signal.pause" in hangs


def test_what_decoding_prints_is_not_taken_for_an_item(tmp_path: Path) -> None:
    assert shown(encode([take([1]), PRINTS]), [1, 0], tmp_path) == ["None", "[1]"]
