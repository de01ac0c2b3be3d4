from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

Image = pytest.importorskip("PIL.Image", reason="needs the thumbnails extra")

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.examples.conftest import Example

ONE_PROCESS = """
import pictures
from pipeline_runner import Tagged
thumbs = []
for number in pictures.shots():
    tagged = pictures.shrink(pictures.develop(number))
    small = tagged.value
    thumbs.append(pictures.straighten(small) if "lying" in tagged.tags else small)
for thumb in pictures.mat(thumbs):
    with open(f"../one/{thumb.name}.png", "wb") as out:
        out.write(thumb.data)
"""


@pytest.mark.slow
def test_the_sheet_holds_every_picture_as_one_process_makes_it(
    example: Callable[[str], Example],
) -> None:
    thumbnails = example("thumbnails")
    before = thumbnails.files()
    ended = thumbnails.runner("up", "--ui", "plain")
    assert ended.code == 0, ended
    (line,) = ended.printed("sheet[0]")
    place = thumbnails.folder / ".runner" / "contact-sheet.png"
    assert line == f"48 pictures on {place}"
    assert thumbnails.files() == before

    one = thumbnails.folder.parent / "one"
    one.mkdir()
    made = thumbnails.run(sys.executable, "-c", ONE_PROCESS)
    assert made.code == 0, made
    cards = sorted(one.iterdir())
    with Image.open(place) as sheet:
        for number, path in enumerate(cards):
            row, column = divmod(number, 8)
            with Image.open(path) as card:
                left, top = 10 + column * (card.width + 10), 10 + row * (card.height + 10)
                part = sheet.crop((left, top, left + card.width, top + card.height))
                assert part.tobytes() == card.tobytes(), path.name
    assert len(cards) == 48
