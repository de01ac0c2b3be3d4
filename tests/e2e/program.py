"""What stages of random programs do, here and in a run: copied into each project as it stands.

An item is a number that :func:`dress` gives a form. What a stage makes of it, and whether it fails
there, follows from the program's seed, the stage's name and the number alone: a plain loop over
:func:`outputs` says what a run has to end with.
"""

from __future__ import annotations

import array
import collections
import enum
import hashlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline_runner import At, Tagged, context

if TYPE_CHECKING:
    from collections.abc import Iterator

NUMBERS = 1 << 48
PADS = (0, 0, 0, 50, 5_000, 40_000, 100_000)  # bytes beside the number
PLAIN, RAISES, RAISES_ONCE, DIES_ONCE, HANGS_ONCE, UNPICKLABLE = range(6)


class Colour(enum.IntEnum):
    RED = 1


class Text(str):
    __slots__ = ("more",)


class Table(dict):  # type: ignore[type-arg]
    pass


Pair = collections.namedtuple("Pair", "number pad")  # noqa: PYI024  (what users have)


@dataclass
class Record:
    number: int
    pad: bytes
    me: Any = None


class Shifty:
    """What it pickles as changes each time it is pickled."""

    def __init__(self, number: int, pad: bytes) -> None:
        self.number, self.pad, self.turn = number, pad, 0

    def __reduce__(self) -> tuple[Any, ...]:
        self.turn += 1
        return _shifty, (self.number, self.pad, self.turn)


def _shifty(number: int, pad: bytes, turn: int) -> Any:
    made = Shifty(number, pad)
    assert turn == 1, "an item is pickled once"
    return made


def draw(*words: Any) -> int:
    """Return a number that follows from ``words``, evenly spread."""
    digest = hashlib.blake2b(repr(words).encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big")


_refilled: dict[str, Any] = {}
_shared = [0]


def dress(seed: int, number: int, *, fresh: bool = True) -> Any:
    """Return the item of a number: scalars and objects, small and large.

    Some that are not to be ``fresh`` are one object, refilled, or share a part with one another.
    """
    pad = b"x" * PADS[draw(seed, number, "pad") % len(PADS)]
    match draw(seed, number, "form") % 16:
        case 0 | 1 | 2:
            return number
        case 3:
            return Text(f"{number}") if pad else f"{number}"
        case 4:
            return b"%d" % number
        case 5:
            return complex(number, -1)
        case 6:
            refilled = {} if fresh else _refilled
            refilled.clear()
            refilled.update(number=number, pad=pad)
            return refilled
        case 7:
            shared = [0] if fresh else _shared
            shared[0] = number
            return [shared, shared, pad]
        case 8:
            record = Record(number, pad)
            record.me = record
            return record
        case 9:
            return Pair(number, pad)
        case 10:
            return Table(number=number, pad=pad)
        case 11:
            return bytearray(b"%d" % number)
        case 12:
            return array.array("Q", [number])
        case 13:
            return Shifty(number, pad)
        case 14:
            return ValueError(number), float("nan"), Colour.RED, 10**400
        case _:
            return number << 4_000


def number_of(seed: int, item: Any) -> int:
    """Return the number that was dressed so. Raises AssertionError if this is no such item."""
    kind = type(item)
    match item:
        case int():
            number = item >> 4_000 or item
        case str() | bytes() | bytearray():
            number = int(item)
        case complex():
            number = int(item.real)
        case [[number], again, _pad]:
            assert again is item[0], "what an item shares with itself stays shared"
        case Record() | Pair() | Shifty():
            number = item.number
        case dict():
            number = item["number"]
        case array.array():
            number = item[0]
        case (error, nan, colour, huge):
            number = error.args[0]
            assert nan != nan
            assert (colour is Colour.RED, huge) == (True, 10**400)
        case _:
            raise AssertionError(f"nobody made {item!r}")
    wanted = dress(seed, number)
    assert kind is type(wanted), (item, wanted)
    if isinstance(item, Record):
        assert (item.me is item, item.pad) == (True, wanted.pad)
    elif isinstance(item, Shifty):
        assert (item.pad, item.turn) == (wanted.pad, 0)
    elif not isinstance(item, tuple) or isinstance(item, Pair):
        assert item == wanted, "nothing was changed on the way"
    return number


def fate(spec: dict[str, Any], number: int) -> int:
    """Return what becomes of an item in a stage: PLAIN, RAISES, ..."""
    share = draw(spec["seed"], spec["name"], number, "fate") % 1000
    for kind, upto in spec["fates"]:
        if share < upto:
            return int(kind)
    return PLAIN


def outputs(spec: dict[str, Any], number: int) -> list[tuple[int, str]]:
    """Return what a stage makes of an item: numbers, each with its tag, "" for none."""
    seed, name = spec["seed"], spec["name"]
    if spec["turns"] is not None:  # on a cycle: each item goes round a few times
        turn = number % 8
        if turn >= spec["turns"]:
            return [(draw(seed, name, number) // 8 * 8, "out")]
        return [(draw(seed, name, number) // 8 * 8 + turn + 1, "again")]
    count = draw(seed, name, number, "count") % 4 if spec["many"] else 1
    made = [draw(seed, name, number, turn) // 8 * 8 for turn in range(count)]
    tags = spec["tags"]
    return [(one, tags[one // 8 % len(tags)] if tags else "") for one in made]


def given(spec: dict[str, Any]) -> list[tuple[int, str]]:
    """Return what a source gives, but for what cannot travel."""
    return [made for made in _all(spec) if fate(spec, made[0]) != UNPICKLABLE]


def _all(spec: dict[str, Any]) -> list[tuple[int, str]]:
    made = [draw(spec["seed"], spec["name"], turn) // 8 * 8 for turn in range(spec["items"])]
    tags = spec["tags"]
    return [(one, tags[one // 8 % len(tags)] if tags else "") for one in made]


def _sent(spec: dict[str, Any], made: tuple[int, str]) -> Any:
    number, tag = made
    value = dress(spec["seed"], number, fresh=spec["kind"] in ("batch", "batch_async"))
    return Tagged(value, tag) if tag else value


OUTPUT = os.environ.get("RUNNER_OUTPUT", ".")


def note(*facts: Any) -> None:
    """Append one line to the file of this project, whole."""
    fd = os.open(f"{OUTPUT}/kept", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(fd, (repr(facts) + "\n").encode())
    os.close(fd)


def _suffer(spec: dict[str, Any], numbers: list[int]) -> bool:
    """Fail as it is written; return whether to come back with what no pickle can hold."""
    for number in numbers:
        kind = fate(spec, number)
        alone_again = len(numbers) == 1 and context().attempt > 1
        if kind == PLAIN or (not spec["drops"] and Path(OUTPUT, "mended").exists()):
            continue
        if kind == UNPICKLABLE and len(numbers) == 1:
            return True
        if kind in (RAISES, UNPICKLABLE) or not alone_again:
            if kind == DIES_ONCE:
                os.kill(os.getpid(), signal.SIGKILL)
            if kind == HANGS_ONCE:
                time.sleep(600)
            raise ArithmeticError(number)
    return False


def _made(spec: dict[str, Any], items: list[Any]) -> Iterator[Any]:
    numbers = [number_of(spec["seed"], item) for item in items]
    if not spec["batch"]:
        note(spec["name"], context().item_id, numbers[0], context().attempt)
    unpicklable = _suffer(spec, numbers)
    if spec["sink"] and spec["batch"]:
        note(spec["name"], "", numbers)
    for number in numbers:
        if spec["sink"]:
            yield None
        elif unpicklable:
            yield lambda: None
        else:
            yield from (_sent(spec, made) for made in outputs(spec, number))


def stage(spec: dict[str, Any]) -> Any:
    """Return the callable of a stage that is no source."""
    kind = spec["kind"]

    def plain(item: Any) -> Any:
        return next(_made(spec, [item]))

    def generator(item: Any) -> Any:
        yield from _made(spec, [item])

    async def coroutine(item: Any) -> Any:
        return next(_made(spec, [item]))

    async def asyncgen(item: Any) -> Any:
        for each in _made(spec, [item]):
            yield each

    def batch(items: list[Any]) -> Any:
        return list(_made(spec, [items.pop(0) for _ in tuple(items)]))

    def batch_generator(items: list[Any]) -> Any:
        yield from _made(spec, items)

    async def batch_async(items: list[Any]) -> Any:
        return list(_made(spec, items))

    class Built:
        def __call__(self, item: Any) -> Any:
            return next(_made(spec, [item]))

    kinds = (plain, generator, coroutine, asyncgen, batch, batch_generator, batch_async)
    return {**{each.__name__: each for each in kinds}, "built": Built}[kind]


def lost(spec: dict[str, Any]) -> int:
    """Return how many of a source's values no pickle can hold."""
    return sum(fate(spec, number) == UNPICKLABLE for number, _tag in _all(spec))


def _yielded(spec: dict[str, Any], made: tuple[int, str]) -> Any:
    """Return a source's value, or fail where that is written; but never twice at one place."""
    kind = fate(spec, made[0])
    if kind in (RAISES_ONCE, DIES_ONCE):
        try:
            Path(OUTPUT, f"{spec['name']}-{made[0]}").touch(exist_ok=False)
        except FileExistsError:
            pass
        else:
            if kind == DIES_ONCE:
                os.kill(os.getpid(), signal.SIGKILL)
            raise ArithmeticError(made)
    if kind == UNPICKLABLE:
        return Tagged(lambda: None, made[1])
    return _sent(spec, made)


def source(spec: dict[str, Any]) -> Any:
    """Return the callable of a source."""
    values = _all(spec)

    def generator() -> Any:
        for made in values:
            yield _yielded(spec, made)

    def shares() -> Any:
        for made in values[context().index :: context().count]:
            yield _yielded(spec, made)

    async def asyncgen() -> Any:
        for made in values:
            yield _yielded(spec, made)

    def cursor(cursor: list[int] | None) -> Any:
        place = cursor or [0]
        while place[0] < len(values):
            made = values[place[0]]
            place[0] += 1
            yield At(_yielded(spec, made), place)

    return {each.__name__: each for each in (generator, shares, asyncgen, cursor)}[spec["kind"]]
