"""Draws pictures, makes thumbnails of them, and lays those out on one sheet."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageChops, ImageDraw, ImageFont, ImageOps

from pipeline_runner import Tagged, context

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COUNT = 48
PHOTO = (960, 720)
THUMB = (200, 150)
MAT = 10  # pixels around a thumbnail
CAPTION = 18
COLUMNS = 8
PALETTES = [  # shadows, middle, lights
    ("#0b132b", "#3a506b", "#f6f7d7"),
    ("#2d132c", "#c72c41", "#ffd79c"),
    ("#10281f", "#3f8f6b", "#f4f1bb"),
    ("#1f1135", "#7b4ea8", "#ffd6e8"),
    ("#14213d", "#c77d12", "#fff3cf"),
    ("#06283d", "#1b8aa6", "#e9fbff"),
]


@dataclass(frozen=True)
class Picture:
    """What travels: a name and the bytes of an image file. Small things pickle fast."""

    name: str
    data: bytes


def shots() -> Iterator[int]:
    """The source: what it yields are the items."""
    yield from range(COUNT)


def develop(number: int) -> Picture:
    """A map: one item in, one out. Every fifth picture was taken with the camera on its side."""
    image = draw(number)
    if number % 5 == 3:
        image = image.transpose(Image.Transpose.ROTATE_90)
    return Picture(name_of(number), encoded(image, "JPEG", quality=88))


def shrink(photo: Picture) -> Tagged:
    """A map that says by a tag which way its output goes."""
    image = opened(photo.data)
    lying = image.height > image.width
    image.thumbnail(THUMB[::-1] if lying else THUMB, Image.Resampling.LANCZOS)
    small = Picture(photo.name, encoded(image, "PNG"))
    return Tagged(small, "lying" if lying else "upright")


def straighten(picture: Picture) -> Picture:
    turned = opened(picture.data).transpose(Image.Transpose.ROTATE_270)
    return Picture(picture.name, encoded(turned, "PNG"))


def mat(pictures: list[Picture]) -> list[Picture]:
    """With ``batch`` in the file: a list in, a list of the same length out."""
    return [Picture(each.name, encoded(matted(each), "PNG")) for each in pictures]


class Sheet:
    """The sink. Keeps each thumbnail as a file of its own, and lays all out at the end.

    A file of the same name replaces the one before, so a thumbnail that comes twice (its process
    died before it could say that it was done) is on the sheet once.
    """

    def __init__(self) -> None:
        self.folder = context().output / ".runner" / "thumbs"
        self.folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, thumb: Picture) -> None:
        (self.folder / f"{thumb.name}.png").write_bytes(thumb.data)

    def close(self) -> None:
        if not context().finished:
            return
        every = (self.folder / f"{name_of(number)}.png" for number in range(COUNT))
        paths = [path for path in every if path.exists()]
        sheet = self.folder.with_name("contact-sheet.png")
        laid_out(paths).save(sheet)
        print(f"{len(paths)} pictures on {sheet}")


def name_of(number: int) -> str:
    return f"DSC_{number:04}"


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def encoded(image: Image.Image, form: str, **options: int) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def draw(number: int) -> Image.Image:
    """A piece of the Mandelbrot set's rim, in one of six palettes, under a soft light."""
    angle = 2 * math.pi * number / COUNT
    rim = 0.5 * complex(math.cos(angle), math.sin(angle))
    centre = rim - 0.25 * complex(math.cos(2 * angle), math.sin(2 * angle))  # the cardioid
    half = 0.11 + 0.05 * math.sin(3 * angle)
    extent = (
        centre.real - half,
        centre.imag - 0.75 * half,
        centre.real + half,
        centre.imag + 0.75 * half,
    )
    depth = Image.effect_mandelbrot(PHOTO, extent, 100)
    dark, middle, light = PALETTES[number % len(PALETTES)]
    coloured = ImageOps.colorize(ImageOps.equalize(depth), dark, light, middle)
    glow = ImageOps.colorize(ImageOps.invert(Image.radial_gradient("L")), "#606060", "white")
    return ImageChops.multiply(coloured, glow.resize(PHOTO))


def matted(picture: Picture) -> Image.Image:
    width, height = THUMB[0] + 2 * MAT, THUMB[1] + 2 * MAT + CAPTION
    card = Image.new("RGB", (width, height), "#fbfaf6")
    card.paste(opened(picture.data), (MAT, MAT))
    place = (width / 2, height - CAPTION + 1)
    ImageDraw.Draw(card).text(
        place, picture.name, fill="#77736b", font=ImageFont.load_default(12), anchor="mm"
    )
    return card


def laid_out(paths: list[Path]) -> Image.Image:
    width, height = THUMB[0] + 3 * MAT, THUMB[1] + 3 * MAT + CAPTION
    rows = math.ceil(len(paths) / COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * width + MAT, rows * height + MAT), "#2b2a28")
    for place, path in enumerate(paths):
        row, column = divmod(place, COLUMNS)
        with Image.open(path) as card:
            sheet.paste(card, (MAT + column * width, MAT + row * height))
    return sheet
