"""What user code printed, made safe to show beside other lines."""

from __future__ import annotations

import re

# Colours, cursor moves, window titles: any of them would tear the screen it is shown on.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)"  # OSC and the other strings
    r"|\x1b[ -/]*[0-~]?",
    re.DOTALL,
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LINE_BREAKS = re.compile(r"[\n\u2028\u2029]")


def tame(text: str) -> str:
    """Return ``text`` as one line without control codes, tabs as spaces.

    A carriage return starts the line again, as it does on a terminal, so that of a progress bar
    only its last state is left.
    """
    text = _ESCAPES.sub("", text)
    text = _LINE_BREAKS.sub(" ", text.rstrip("\r\n"))
    return _CONTROLS.sub("", text.rsplit("\r", 1)[-1].expandtabs(8))
