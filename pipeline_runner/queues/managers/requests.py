"""What a stock client asks, read from its pickle without unpickling it.

A request is the pickle of ``(ident, method, arguments, keywords)``, of strings, numbers, flags and
None; but a ``put`` is read by :mod:`.puts`, which leaves its item as it came.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline_runner.errors import ProtocolError
from pipeline_runner.queues.managers import safe_pickle
from pipeline_runner.queues.managers.put_request import RequestHead, read_put
from pipeline_runner.wire.opcodes import skim

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_runner.wire.opcodes import Op

PUTS = ("put", "put_nowait")
_PROTOCOLS = (4, 5)
_MOST_PLAIN = 4096  # bytes of a request without an item


@dataclass(frozen=True, slots=True)
class Request:
    """One call. ``body`` is a put's item, encoded as a body of one, and not in ``arguments``."""

    ident: str | None
    method: str
    arguments: tuple[Any, ...] = ()
    keywords: dict[str, Any] = field(default_factory=dict)
    body: bytes | None = None


def read_request(data: bytes) -> Request:
    """Return what ``data`` asks. Raises ProtocolError if it is not a request that we serve."""
    try:
        return _read(data, skim(data))
    except StopIteration:
        raise ProtocolError("a request that is not a tuple of four") from None


def _read(data: bytes, opening: Iterator[Op]) -> Request:
    if next(opening).code != safe_pickle.PROTO or data[1] not in _PROTOCOLS:
        raise ProtocolError("a request that is not a pickle of protocol 4 or 5")
    op = next(opening)
    if op.code == safe_pickle.FRAME:
        op = next(opening)
    if op.code != safe_pickle.MARK:
        raise ProtocolError("a request that is not a tuple of four")
    ident_at = op.end
    op = next(opening)
    ident = None if op.code == safe_pickle.NONE else safe_pickle.text(data, op)
    if ident is not None and next(opening).code != safe_pickle.MEMOIZE:
        raise ProtocolError("a request with an unusual name")
    op = next(opening)
    method_at, method = op.at, safe_pickle.text(data, op)
    if next(opening).code != safe_pickle.MEMOIZE:
        raise ProtocolError("a request with an unusual method")
    if ident is not None and method in PUTS:
        put = read_put(data, RequestHead(ident, method, ident_at, method_at, op.end + 1))
        return Request(ident, method, put.arguments, put.keywords, put.body)
    if len(data) > _MOST_PLAIN:
        raise ProtocolError(f"a request of {len(data)} bytes for {method!r}")
    match safe_pickle.build(data):
        case (None | str(), str(), tuple(arguments), dict(keywords)):
            return Request(ident, method, arguments, keywords)
    raise ProtocolError("a request that is not a tuple of four")
