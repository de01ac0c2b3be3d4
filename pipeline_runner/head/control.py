"""Questions of the command line to a head, over its Unix socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline_runner.errors import NoHead, RunnerError
from pipeline_runner.head.address import find
from pipeline_runner.queues.connect import Wire
from pipeline_runner.queues.messages import Answer, Ask, Hello

if TYPE_CHECKING:
    from pathlib import Path

_PATIENCE_S = 10.0


def ask(state: Path, verb: str, **arguments: Any) -> dict[str, Any]:
    """Ask the head that has ``state`` and return its answer.

    Raises NoHead if none runs, RunnerError with the head's own words if it refuses.
    """
    try:
        wire = Wire.unix(find(state)["socket"], _PATIENCE_S)
    except NoHead as error:
        raise NoHead("no head runs this pipeline here", hint="start it: runner up") from error
    try:
        wire.send(Hello("control", "localhost"))
        wire.send(Ask(verb, arguments))
        answer, _none = wire.receive()
    except (EOFError, OSError) as error:
        raise NoHead("the head went away before it answered", hint="start it: runner up") from error
    finally:
        wire.close()
    assert isinstance(answer, Answer)
    if answer.error:
        raise RunnerError(answer.error, hint=answer.hint)
    return answer.result
