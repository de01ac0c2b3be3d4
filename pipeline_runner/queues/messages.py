"""Every message of the wire between workers, agents, the command line and the head.

msgpack, typed and checked while it is decoded; bodies travel raw behind the message, in the order
and with the sizes that it names, and nothing here is ever unpickled. ``seq`` numbers a sender's
requests so that answers can be told apart.
"""

from __future__ import annotations

from typing import Any, Union

import msgspec

PROTOCOL = 1

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


class Claim(Message, frozen=True, tag=3):
    """Ask for up to ``want`` items; ``have`` is a body still in hand, 0 for none.

    With ``wait_s`` the answer is EMPTY when so many seconds brought nothing.
    """

    seq: int
    want: int
    have: int = 0
    wait_s: float | None = None


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


class WorkerState(msgspec.Struct, frozen=True, array_like=True):
    """One line of an agent's report."""

    worker: str
    pid: int
    stage: str
    index: int
    state: str
    age_s: float


class Beat(Message, frozen=True, tag=14):
    """An agent is alive, and this is what it runs."""

    workers: tuple[WorkerState, ...]
    cpu: float | None = None
    memory_used: int | None = None


class Desired(Message, frozen=True, tag=15):
    """What an agent should run: specs by stage, and the indexes of each."""

    revision: int
    release: str
    specs: dict[str, dict[str, Any]]
    slots: dict[str, tuple[int, ...]]
    grace_s: float
    finished: tuple[str, ...] = ()  # stages whose end a worker has heard
    hold_s: float = 0.0  # how long to wait for a head when this one is gone
    host: str = ""  # what this host is called from now on
    run: str = ""  # workers of another run have nothing to go on with
    unfit: tuple[str, ...] | None = ()  # why this host gets no work; None: that is not known yet


class Line(msgspec.Struct, frozen=True, array_like=True):
    """A line that user code printed."""

    ts: float
    stage: str
    index: int
    pid: int
    stream: str
    text: str


class Lines(Message, frozen=True, tag=16):
    """What workers printed since the last report."""

    lines: tuple[Line, ...]


class Report(Message, frozen=True, tag=17):
    """Something that happened on a host: an event of :mod:`pipeline_runner.events` by name."""

    kind: str
    fields: dict[str, Any]


class Ask(Message, frozen=True, tag=18):
    """A question of the command line."""

    verb: str
    arguments: dict[str, Any] = {}


class Answer(Message, frozen=True, tag=19):
    """Its answer, or why there is none."""

    result: dict[str, Any] = {}
    error: str = ""
    hint: str = ""


class WantManifest(Message, frozen=True, tag=20):
    """An agent asks what is in a release, from byte ``offset`` of its manifest on."""

    release: str
    offset: int = 0


class ManifestData(Message, frozen=True, tag=21):
    """The answer: a piece is behind it, of ``total`` bytes; a total of 0: no such release."""

    release: str
    offset: int
    total: int


Want = tuple[bytes, int, int]  # the sha256 of an object, an offset in it, and how many bytes


class WantObjects(Message, frozen=True, tag=22):
    """An agent asks for pieces of a release's objects: at most 1 MiB together."""

    seq: int
    release: str
    wants: tuple[Want, ...]


class ObjectData(Message, frozen=True, tag=23):
    """The answer, in the order asked: the pieces are behind it, end to end; ``error``: none are."""

    seq: int
    release: str
    error: str = ""


class Ready(Message, frozen=True, tag=24):
    """A host has a release and can work, or has ``problems`` and cannot.

    ``packages`` are those that the project names, by version, "" for one that is not installed.
    """

    release: str
    problems: tuple[str, ...] = ()
    python: str = ""
    packages: dict[str, str] = {}
    files: int = 0
    size_bytes: int = 0
    received_bytes: int = 0
    took_s: float = 0.0


class Leaving(Message, frozen=True, tag=25):
    """A host wants to go: it finishes what its workers hold, and takes nothing more."""


class Heard(Message, frozen=True, tag=26):
    """The answer to a BEAT: the head is there, and the way to it."""


class Dismiss(Message, frozen=True, tag=27):
    """A host is not needed any more. ``why`` is "finished", "stopped" or "drained"."""

    why: str


class NewKey(Message, frozen=True, tag=28):
    """A host keeps this key from now on; the former is not taken for much longer."""

    key: bytes

    def __repr__(self) -> str:
        return "NewKey(...)"


ToHead = Union[  # noqa: UP007  (msgspec reads it on Python 3.10)
    Hello,
    Claim,
    Settle,
    Stage,
    Return,
    Adopt,
    Died,
    Beat,
    Lines,
    Report,
    Ask,
    WantManifest,
    WantObjects,
    Ready,
    Leaving,
]
FromHead = Union[  # noqa: UP007
    Session,
    Granted,
    Empty,
    End,
    Settled,
    Adopted,
    Desired,
    Answer,
    ManifestData,
    ObjectData,
    Heard,
    Dismiss,
    NewKey,
]
