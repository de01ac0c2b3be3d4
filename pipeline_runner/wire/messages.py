"""The messages of work: what workers and the head say to each other.

msgpack, typed and checked while it is decoded; bodies travel raw behind the message, in the order
and with the sizes that it names, and nothing here is ever unpickled. ``seq`` numbers a sender's
requests so that answers can be told apart. Hosts' messages are in
:mod:`pipeline_runner.wire.control_messages`, and the same holds of them.
"""

from __future__ import annotations

from typing import Any

import msgspec

PROTOCOL = 1

MOST_ITEM = 64 * 1024**2  # bytes, encoded; unless max_item says otherwise

Span = tuple[int, int]
Spans = tuple[Span, ...]
Token = int  # unique over every epoch: the epoch in its high bits


class Message(msgspec.Struct, frozen=True, array_like=True, tag_field="t"):
    """A message is an array whose first element says which one it is."""


class Hello(Message, frozen=True, tag=1):
    """A worker's or an agent's first message. ``role`` is "worker", "agent" or "control"."""

    role: str
    host: str
    worker: str = ""  # unique for the life of one process
    stage: str = ""
    index: int = 0
    pid: int = 0
    protocol: int = PROTOCOL
    facts: dict[str, Any] = {}
    workers: tuple[str, ...] = ()  # an agent's that have taken work, from an earlier head
    finished: tuple[str, ...] = ()  # stages whose end they have heard
    release: str = ""  # a worker's: the version of the project that it runs


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """How far a source is: settles so far, items emitted, and the user's own mark (pickled)."""

    seq: int = 0
    count: int = 0
    mark: bytes | None = None
    finished: bool = False


class Session(Message, frozen=True, tag=2):
    """The answer to HELLO."""

    run: str
    epoch: int
    session: int
    cursor: Cursor = Cursor()
    slots: int = 0  # of the shared memory whose descriptor comes along; 0 for none
    most_item: int = MOST_ITEM  # bytes: a larger output is a failure


class Claim(Message, frozen=True, tag=3):
    """Ask for up to ``want`` items; ``have`` is a body still in hand, 0 for none.

    With ``wait_s`` the answer is EMPTY when so many seconds brought nothing. ``most`` may be more
    than ``want``: so many may come where the queue is long.
    """

    seq: int
    want: int
    have: int = 0
    wait_s: float | None = None
    most: int = 0


class Granted(Message, frozen=True, tag=4):
    """A lease of items lo..hi-1 of a body of ``n``; a source's lease is leave to emit hi items.

    ``size`` is that of the body behind this message: 0 when the claimer still has it.
    """

    seq: int
    token: Token
    edge: str
    body: int
    lo: int
    hi: int
    n: int
    size: int
    attempts: int = 0
    suspect: bool = False
    release: str = ""
    hints: tuple[int, ...] = ()  # items a body should hold, one for each edge out
    at: int = 0  # the place in shared memory where the body lies; 0: it is behind this message
    place: int = 0  # a place for outputs, the claimer's from now on; 0 for none


class Empty(Message, frozen=True, tag=5):
    """Nothing came within ``wait_s``."""

    seq: int


class End(Message, frozen=True, tag=6):
    """The stage has finished: nothing will ever come."""

    seq: int


class Output(msgspec.Struct, frozen=True, array_like=True):
    """A body of ``n`` items for ``edges``, its ``size`` bytes behind the message or at a place."""

    edges: tuple[str, ...]
    n: int
    size: int
    at: int = 0


class Failure(msgspec.Struct, frozen=True, array_like=True):
    """One item that failed: one line, the traceback, and what kind of failure it was."""

    token: Token
    index: int
    error: str
    traceback: str
    cause: str = "raised"
    payload: str = ""  # what the item looked like, when its bytes do not exist
    final: bool = False  # trying again cannot help
    item: bytes | None = None  # its pickle, where the head cannot cut it out of the body


class Advance(msgspec.Struct, frozen=True, array_like=True):
    """A source's step: applied only where ``expected`` is the sequence number the head has."""

    expected: int
    next: Cursor


class Done(msgspec.Struct, frozen=True, array_like=True):
    """Indexes of a lease that are consumed; without ``spans``, all it still holds."""

    token: Token
    spans: Spans | None = None


class Settle(Message, frozen=True, tag=7):
    """Consume inputs and publish outputs, all or nothing; then CLAIM."""

    seq: int
    done: tuple[Done, ...]
    outputs: tuple[Output, ...] = ()
    staged: tuple[int, ...] = ()
    failed: tuple[Failure, ...] = ()
    advance: Advance | None = None
    claim: Claim | None = None
    items: int = 0  # called since the last report, and the seconds they took
    busy_s: float = 0.0


class Settled(Message, frozen=True, tag=8):
    """A settle was applied, or refused because its lease is no longer the sender's."""

    seq: int
    ok: bool
    cursor: Cursor | None = None


class Stage(Message, frozen=True, tag=9):
    """Outputs that go ahead of their SETTLE, invisible until it names ``key``."""

    token: Token
    spans: Spans
    key: int
    output: Output


class Return(Message, frozen=True, tag=10):
    """Give indexes back, uncharged; ``suspect`` when a batch of them raised."""

    token: Token
    spans: Spans | None = None
    suspect: bool = False


class Held(msgspec.Struct, frozen=True, array_like=True):
    """What a worker still holds of one body on one edge."""

    edge: str
    body: int
    spans: Spans
    attempts: int
    suspect: bool


class Adopt(Message, frozen=True, tag=11):
    """Everything a worker holds after it reconnected; what is not named here is freed."""

    seq: int
    run: str
    held: tuple[Held, ...]


class Adopted(Message, frozen=True, tag=12):
    """The lease given for each ``Held``, and its indexes; a token of 0 when it is lost."""

    seq: int
    leases: tuple[tuple[Token, Spans], ...]


class Died(Message, frozen=True, tag=13):
    """A worker process ended. ``running`` is the token its page named, 0 for none."""

    worker: str
    running: Token
    cause: str
    index: int = -1  # with a timeout: the index that was running, if it is known
