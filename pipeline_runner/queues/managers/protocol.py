"""One stock client's side of the protocol: bytes in, actions out.

A connection opens with the handshake, then carries one call to the server, and after
``accept_connection`` any number of calls to queues, one at a time.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pipeline_runner.errors import ProtocolError, Refused
from pipeline_runner.queues.managers import replies
from pipeline_runner.queues.managers.frames import Frames, TooLarge, header
from pipeline_runner.queues.managers.handshake import FAILURE, MOST_FRAME, Handshake
from pipeline_runner.queues.managers.requests import PUTS, Request, read_request

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

EXPOSED = (
    "empty", "full", "get", "get_nowait", "join", "put", "put_nowait", "qsize", "shutdown",
    "task_done",
)  # fmt: skip
_AROUND_AN_ITEM = 1024  # bytes of a put's request that are not its item

Parts = list[bytes | memoryview]
Method = Literal["empty", "full", "get", "join", "put", "qsize", "shutdown", "task_done"]


@dataclass(frozen=True, slots=True)
class Write:
    """Send these bytes."""

    parts: Parts


@dataclass(frozen=True, slots=True)
class Call:
    """Call a queue; the reply goes back through :meth:`Peer.reply`.

    ``patience_s`` is how long a get or a put may wait: None for ever, 0 not at all. ``immediate``
    is a shutdown's.
    """

    method: Method
    queue: str
    patience_s: float | None = None
    body: bytes = b""
    immediate: bool = False


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close the connection once everything is sent; ``why`` is empty if all is well."""

    why: str = ""


Action = Write | Call | HangUp


def framed(parts: Sequence[bytes | memoryview]) -> Write:
    """Return ``parts`` as one frame to write."""
    return Write([header(sum(map(len, parts))), *parts])


class Peer:
    """A connection's state. ``queues`` are the names there are; ``most_item`` is in bytes.

    ``references`` counts the proxies of each queue, over all connections.
    """

    def __init__(
        self,
        key: bytes,
        random: bytes,
        queues: Collection[str],
        most_item: int,
        references: Counter[str] | None = None,
    ) -> None:
        self._references: Counter[str] = Counter() if references is None else references
        self._handshake = Handshake(key, random)
        self._frames = Frames(MOST_FRAME)
        self._queues = queues
        self._most_item = most_item
        self._serving = False  # accept_connection was called
        self._calling = False  # a call of a queue has not been replied to
        self._over = False

    @property
    def known(self) -> bool:
        """Whether the peer has shown that it has the key."""
        return self._handshake.done

    def begin(self) -> Write:
        """Return the first thing to send."""
        return framed([self._handshake.first()])

    def receive(self, data: bytes | memoryview) -> Iterator[Action]:
        """Yield what follows from ``data``. Exhaust it before the next call."""
        try:
            for frame in self._frames.feed(data):
                yield from self._frame(frame)
                if self._over:
                    return
        except (ProtocolError, Refused) as error:
            yield from self._offence(error)

    def reply(self, parts: Sequence[bytes | memoryview]) -> Write:
        """Return the reply of the call at hand, to be sent."""
        self._calling = False
        return framed(parts)

    def _offence(self, error: ProtocolError | Refused) -> Iterator[Action]:
        self._over = True
        if isinstance(error, Refused):
            yield framed([FAILURE])
        yield HangUp(error.message)

    def _frame(self, frame: bytes | TooLarge) -> Iterator[Action]:
        if not self._handshake.done:
            if isinstance(frame, TooLarge):
                raise ProtocolError(f"a frame of {frame.size} bytes before the handshake's end")
            answer = self._handshake.receive(frame)
            if answer is not None:
                yield framed([answer])
            if self._handshake.done:
                self._frames.most = self._most_item + _AROUND_AN_ITEM
            return
        if self._calling:
            raise ProtocolError("a request before the reply to the last one")
        yield from self._request(frame)

    def _request(self, frame: bytes | TooLarge) -> Iterator[Action]:
        try:
            request = self._read(frame)
            if self._serving:
                yield self._call(request)
            else:
                yield framed([replies.returned(self._serve(request))])
        except ProtocolError as error:
            hint = f" ({error.hint})" if error.hint else ""
            yield framed([replies.refused(error.message + hint)])
        except (ValueError, TypeError) as error:
            yield framed([replies.raised(error)])
        if not self._serving:
            self._over = True
            yield HangUp()

    def _read(self, frame: bytes | TooLarge) -> Request:
        if isinstance(frame, TooLarge):
            bound = f"at most {self._most_item}: raise max_item in [server]"
            raise ValueError(f"an item of {frame.size} bytes; {bound}")  # noqa: TRY004  (a value)
        return read_request(frame)

    def _serve(self, request: Request) -> Any:
        """Return the value of a call to the server itself."""
        match request:
            case Request(ident=None, method="accept_connection"):
                self._serving = True
                return None
            case Request(ident=None, method="create", arguments=("queue", str(name))):
                return self._created(name)
            case Request(ident=None, method="create", arguments=(str(name),)):
                # Each queue may also be registered by its own name.
                return self._created(name)
            case Request(ident=None, method="create"):
                raise TypeError('a queue is created by its name: queue("list->decode")')
            case Request(ident=None, method="dummy"):
                return None
            case Request(ident=None, method="incref" | "decref" as way, arguments=(str(name),)):
                self._references[self._known_queue(name)] += 1 if way == "incref" else -1
                return None
            case Request(ident=None, method="debug_info"):
                # The words of a stock server, of what has proxies.
                return "\n".join(
                    f"  {name}:       refcount={count}\n    {f'<queue {name!r}>'[:75]}"
                    for name, count in sorted(self._references.items())
                    if count > 0
                )
            case Request(ident=None, method="number_of_objects"):
                return sum(count > 0 for count in self._references.values())
        raise ProtocolError(f"this server does not serve {request.method!r}")

    def _created(self, name: str) -> tuple[str, tuple[str, ...]]:
        self._references[self._known_queue(name)] += 1
        return name, EXPOSED

    def _known_queue(self, name: str) -> str:
        if name not in self._queues:
            raise ValueError(f"there is no queue {name!r}; there are: {', '.join(self._queues)}")
        return name

    def _call(self, request: Request) -> Action:
        """Return what a call to a queue asks for, or its reply where that is known already."""
        queue = self._known_queue(request.ident or "")
        match request.method:
            case "__repr__" | "__str__":
                return framed([replies.returned(f"<queue {queue!r}>")])
            case "qsize" | "empty" | "full" | "join" | "task_done" as method:
                _arguments(request)
                call = Call(method, queue)
            case "shutdown":
                given = _arguments(request, "immediate")
                call = Call("shutdown", queue, immediate=bool(given.get("immediate", False)))
            case "get" | "get_nowait":
                call = Call("get", queue, _patience_s(request))
            case method if method in PUTS:
                assert request.body is not None
                call = Call("put", queue, _patience_s(request), request.body)
            case method:
                raise ProtocolError(f"a queue has no {method!r} here; it has {', '.join(EXPOSED)}")
        self._calling = True
        return call


def _arguments(request: Request, *names: str) -> dict[str, Any]:
    """Return the arguments by name. Raises TypeError where Python would."""
    if len(request.arguments) > len(names) or not set(request.keywords) <= set(names):
        item = "its item, " * (request.body is not None)
        raise TypeError(f"{request.method}() takes {item}{' and '.join(names) or 'no arguments'}")
    given = dict(zip(names, request.arguments, strict=False))
    if given.keys() & request.keywords.keys():
        raise TypeError(f"{request.method}() got multiple values for an argument")
    return given | request.keywords


def _patience_s(request: Request) -> float | None:
    """Return how long the call may wait, in seconds; None for ever."""
    if request.method.endswith("_nowait"):
        _arguments(request)
        return 0.0
    given = _arguments(request, "block", "timeout")
    if not given.get("block", True):
        return 0.0
    timeout = given.get("timeout")
    if timeout is None:
        return None
    if not isinstance(timeout, (int, float)):
        raise TypeError("'timeout' must be a number of seconds or None")
    if timeout < 0:
        raise ValueError("'timeout' must be a non-negative number")
    return None if math.isinf(timeout) or math.isnan(timeout) else float(timeout)
