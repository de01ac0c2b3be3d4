"""Traces rays through a small room with three balls, strip by strip, and puts the picture together.

Nothing here knows of machines: which function runs where stands in pipeline.toml.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline_runner import context

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH = int(os.environ.get("WIDTH") or 960)  # pixels
HEIGHT = WIDTH * 5 // 8
ROWS = 4  # of a strip
STRIPS = -(-HEIGHT // ROWS)
DEPTH = 4  # how often a ray is thrown back
LIGHT = (-0.46, 0.74, -0.49)  # where it comes from, of length 1
SKY = ((0.99, 0.86, 0.72), (0.33, 0.53, 0.78))  # at the horizon, overhead

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Strip:
    """What travels: which part of the picture, who made it, and its pixels, 3 bytes each."""

    number: int
    host: str
    pixels: bytes


@dataclass(frozen=True)
class Ball:
    centre: Vector
    radius: float
    colour: Vector
    mirror: float  # the part of the light that it throws back


BALLS = (
    Ball((-1.25, 0.0, 4.6), 1.0, (0.90, 0.32, 0.25), 0.25),
    Ball((0.75, -0.35, 3.6), 0.65, (0.95, 0.95, 0.98), 0.75),
    Ball((1.75, 0.25, 5.4), 1.25, (0.24, 0.52, 0.42), 0.20),
)


def strips() -> Iterator[int]:
    """The source: what it yields are the items."""
    yield from range(STRIPS)


def render(number: int) -> Strip:
    """A map, and the slow one: every machine lends all its cores to it."""
    pixels = bytearray()
    for y in range(number * ROWS, min((number + 1) * ROWS, HEIGHT)):
        for x in range(WIDTH):
            ray = unit(((x - WIDTH / 2) / WIDTH * 1.6, (HEIGHT / 2 - y) / WIDTH * 1.6, 1.0))
            pixels += bytes(shown(part) for part in traced((0.0, 0.0, 0.0), ray, DEPTH))
    return Strip(number, context().host, bytes(pixels))


def archive(strip: Strip) -> None:
    """A sink on the machine with the big disk: keeps each strip there, packed.

    A strip that comes twice (its process died at the wrong moment) replaces itself.
    """
    folder = context().output / ".runner" / "archive"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{strip.number:03}.rgb.gz").write_bytes(gzip.compress(strip.pixels))


class Picture:
    """The sink on the first machine: every strip is a file until the last one has come."""

    def __init__(self) -> None:
        self.folder = context().output / ".runner" / "strips"
        self.folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, strip: Strip) -> None:
        path = self.folder / f"{WIDTH}-{strip.number:03}"
        path.write_bytes(strip.host.encode() + b"\n" + strip.pixels)

    def close(self) -> None:
        """Called at every orderly exit; ``finished`` only when there is nothing more to come."""
        if not context().finished:
            return
        pixels, hosts = bytearray(3 * WIDTH * HEIGHT), Counter()
        for number in range(STRIPS):
            path = self.folder / f"{WIDTH}-{number:03}"
            if path.exists():  # all of them, unless somebody tries a few: runner debug --limit
                host, _, part = path.read_bytes().partition(b"\n")
                hosts[host.decode()] += 1
                start = 3 * WIDTH * ROWS * number
                pixels[start : start + len(part)] = part
        picture = self.folder.with_name("picture.png")
        picture.write_bytes(png(bytes(pixels)))
        for host, count in sorted(hosts.items()):
            print(f"{host} rendered {count} of {STRIPS} strips")
        print(f"{WIDTH} x {HEIGHT} pixels in {picture}")


def traced(start: Vector, ray: Vector, depth: int) -> Vector:
    """Return the light that comes back along ``ray``."""
    away, ball = nearest(start, ray)
    floor = (-1.0 - start[1]) / ray[1] if ray[1] < 0 else math.inf
    if ball is None and floor > 40:
        low, high = SKY
        return mixed(low, high, max(0.0, ray[1]))
    if floor < away:
        point = along(start, ray, floor)
        is_dark = (math.floor(point[0]) + math.floor(point[2])) % 2
        normal, mirror = (0.0, 1.0, 0.0), 0.12
        colour = (0.25, 0.24, 0.27) if is_dark else (0.88, 0.85, 0.80)
    else:
        assert ball is not None
        point = along(start, ray, away)
        normal = unit(minus(point, ball.centre))
        colour, mirror = ball.colour, ball.mirror
    point = along(point, normal, 1e-6)  # off the surface, or it would shade itself
    light = max(0.0, dot(normal, LIGHT)) if nearest(point, LIGHT)[1] is None else 0.0
    matt = tuple(part * (0.25 + 0.75 * light) for part in colour)
    if depth == 0:
        return matt
    back = along(ray, normal, -2 * dot(ray, normal))
    return mixed(matt, traced(point, back, depth - 1), mirror)


def nearest(start: Vector, ray: Vector) -> tuple[float, Ball | None]:
    """Return how far the first ball on the way is, and which; infinity and None without one."""
    found: tuple[float, Ball | None] = (math.inf, None)
    for ball in BALLS:
        to = minus(ball.centre, start)
        middle = dot(to, ray)
        square = middle * middle - dot(to, to) + ball.radius * ball.radius
        if square > 0 and 1e-6 < (away := middle - math.sqrt(square)) < found[0]:
            found = (away, ball)
    return found


def dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def minus(a: Vector, b: Vector) -> Vector:
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2])


def along(start: Vector, way: Vector, far: float) -> Vector:
    return (start[0] + way[0] * far, start[1] + way[1] * far, start[2] + way[2] * far)


def mixed(a: Vector, b: Vector, part: float) -> Vector:
    return along(a, minus(b, a), part)


def unit(a: Vector) -> Vector:
    length = math.sqrt(dot(a, a))
    return (a[0] / length, a[1] / length, a[2] / length)


def shown(light: float) -> int:
    """Return an amount of light as a byte, the way screens show it."""
    return round(255 * min(1.0, light) ** (1 / 2.2))


def png(pixels: bytes) -> bytes:
    """Return a PNG file of ``WIDTH`` x ``HEIGHT`` pixels of 3 bytes."""
    rows = (pixels[row : row + 3 * WIDTH] for row in range(0, len(pixels), 3 * WIDTH))
    parts = {
        b"IHDR": struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0),
        b"IDAT": zlib.compress(b"".join(b"\0" + row for row in rows)),
        b"IEND": b"",
    }
    file = b"\x89PNG\r\n\x1a\n"
    for name, data in parts.items():
        file += struct.pack(">I", len(data)) + name + data
        file += struct.pack(">I", zlib.crc32(name + data))
    return file
