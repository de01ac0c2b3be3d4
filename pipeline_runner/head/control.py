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
    return ask_for_bodies(state, verb, **arguments)[0]


def ask_for_bodies(state: Path, verb: str, **arguments: Any) -> tuple[dict[str, Any], bytes]:
    """Ask like :func:`ask`, and return the bytes behind the answer too."""
    wire = connect(state)
    try:
        wire.send(Ask(verb, arguments))
        answer, data = wire.receive()
    except (EOFError, OSError) as error:
        raise NoHead("the head went away before it answered", hint="start it: runner up") from error
    finally:
        wire.close()
    assert isinstance(answer, Answer)
    if answer.error:
        raise RunnerError(answer.error, hint=answer.hint)
    return answer.result, bytes(data)


def connect(state: Path) -> Wire:
    """Return a connection to the head that has ``state``. Raises NoHead if none runs."""
    try:
        wire = Wire.unix(find(state)["socket"], _PATIENCE_S)
    except (NoHead, KeyError) as error:
        raise NoHead("no head runs this pipeline here", hint="start it: runner up") from error
    try:
        wire.send(Hello("control", "localhost"))
    except OSError as error:
        wire.close()
        raise NoHead("the head went away", hint="start it: runner up") from error
    return wire
