"""Items as text, decoded in a process of their own.

Started as ``python -m pipeline_runner.worker.probe.show_items``.

What an item's decoding or its repr does, it does to this process. On stdin comes a line of JSON
(the project's ``root``, the ``places`` of the wanted items, whether they are to be ``pretty``) and
the body behind it; a line of JSON goes to stdout for each item as soon as it is known.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

_MOST_TEXT = 64 * 1024
_MOST_LINES = 40  # a screen of them stays a screen


def main() -> None:
    """Answer what stdin asks for."""
    asked = json.loads(sys.stdin.buffer.readline())
    body = sys.stdin.buffer.read()
    answers = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # what user code reads and prints is not the answer
        os.dup2(nowhere, stream)
    sys.dont_write_bytecode = True
    sys.path.insert(0, asked["root"])
    os.environ.setdefault(
        "RUNNER_OUTPUT", asked["root"]
    )  # modules may ask for it, as a worker's do
    for place in asked["places"]:
        text = _shown(body, place, pretty=asked["pretty"])
        os.write(answers, json.dumps(text).encode() + b"\n")


def _shown(body: bytes, place: int, *, pretty: bool) -> str:
    from pipeline_runner.wire.codec import Apart, decode, is_apart
    from pipeline_runner.worker.exceptions import describe

    try:
        item = Apart(body)[place] if is_apart(body) else decode(body)[place]
    except BaseException as fault:  # noqa: BLE001  (unpickling runs user code)
        return f"<cannot be read here: {describe(fault)}>"
    try:
        return _pretty(item) if pretty else repr(item)[:_MOST_TEXT]
    except BaseException as fault:  # noqa: BLE001  (the user's own __repr__)
        return f"<its repr raised {type(fault).__name__}>"


def _pretty(item: Any) -> str:
    import pprint

    lines = pprint.pformat(item, width=100)[:_MOST_TEXT].splitlines()
    if len(lines) > _MOST_LINES:
        more = len(lines) - _MOST_LINES
        lines = [*lines[:_MOST_LINES], f"... {more} more lines"]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
