"""A new key of the pipeline, which the head has given to its hosts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pipeline_runner.cluster.identity import save
from pipeline_runner.errors import RunnerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_runner.cluster.identity import Identity


def keep(identity: Identity, say: Callable[[str, str], None]) -> None:
    """Keep a key in place of the former, and say what a person has to know or to do."""
    try:
        save(identity, aside=False)
    except RunnerError as error:
        say("key", f"there is a new key, and it is lost when this ends: {error.message}")
    else:
        say("key", "the head has a new key, which is kept here from now on")
    if os.environ.get("RUNNER_KEY"):
        say("key", "RUNNER_KEY here is the former: take it out before the next start")
