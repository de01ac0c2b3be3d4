"""Questions of the command line to a head: over its Unix socket, or from another machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline_runner.errors import NoHead, RunnerError, TimedOut
from pipeline_runner.head.address import find
from pipeline_runner.wire.client.connection import Wire
from pipeline_runner.wire.client.dial import open_wire
from pipeline_runner.wire.control_messages import Answer, Ask
from pipeline_runner.wire.endpoint import Endpoint
from pipeline_runner.wire.messages import Hello

if TYPE_CHECKING:
    from pathlib import Path

_PATIENCE_S = 10.0


def ask(place: Path | Endpoint, verb: str, **arguments: Any) -> dict[str, Any]:
    """Ask the head behind a door, or the one that has a state folder, and return its answer.

    Raises NoHead if none runs, Refused by one with another key, TimedOut by one that is silent,
    RunnerError with the head's own words and code for a question that it does not answer.
    """
    return ask_for_bodies(place, verb, **arguments)[0]


def ask_for_bodies(
    place: Path | Endpoint, verb: str, **arguments: Any
) -> tuple[dict[str, Any], bytes]:
    """Ask like :func:`ask`, and return the bytes behind the answer too."""
    wire = connect(place)
    try:
        wire.send(Ask(verb, arguments))
        answer, data = wire.receive()
    except TimeoutError as error:
        raise TimedOut(
            f"the head did not answer within {_PATIENCE_S:.0f} s",
            hint="it is stopped, or very busy: ask again, or look at its process",
        ) from error
    except (EOFError, OSError) as error:
        raise NoHead("the head went away before it answered", hint="start it: runner up") from error
    finally:
        wire.close()
    assert isinstance(answer, Answer)
    if answer.error:
        raise RunnerError(answer.error, hint=answer.hint, code=answer.code)
    return answer.result, bytes(data)


def connect(place: Path | Endpoint) -> Wire:
    """Return a connection to the head behind a door, or to the one that has a state folder.

    Raises NoHead if none runs, Refused by one with another key or version.
    """
    if isinstance(place, Endpoint):
        wire = open_wire(place, _PATIENCE_S)
    else:
        try:
            wire = Wire.unix(find(place)["socket"], _PATIENCE_S)
        except (NoHead, KeyError) as error:
            raise NoHead("no head runs this pipeline here", hint="start it: runner up") from error
    try:
        wire.send(Hello("control", "localhost"))
    except OSError as error:
        wire.close()
        raise NoHead("the head went away", hint="start it: runner up") from error
    return wire
