"""Four plain functions. What comes before and after each is the pipeline file's to say."""

from __future__ import annotations

import random
import time
from time import gmtime, strftime


def Generate() -> dict[str, str | int]:
    """A plain function that is a source is called again and again, until somebody stops it."""
    time.sleep(1)
    made = {"time": strftime("%Y-%m-%d %H:%M:%S", gmtime()), "number": random.randint(1, 10)}
    print(made)  # to compare with what arrives
    return made


def Square(made: dict[str, int]) -> int:
    print("Square", made)
    return made["number"] ** 2


def Subtract1(number: int) -> int:
    print("Subtract", number)
    return number - 1


def Print(number: int) -> None:
    print("Print", number)
