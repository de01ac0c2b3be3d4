"""The messages of hosts: what agents, command lines and the head say to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pipeline_runner.wire.messages import Message

if TYPE_CHECKING:
    from pipeline_runner.errors import RunnerError


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
    lacks: dict[str, str] = msgspec.field(
        default_factory=dict
    )  # stages that cannot run here, and why
    at_once: bool = False  # stop now, with all that user code has started


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
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)


class Answer(Message, frozen=True, tag=19):
    """Its answer, or why there is none."""

    result: dict[str, Any] = msgspec.field(default_factory=dict)
    error: str = ""
    hint: str = ""
    code: int = 1  # with an error: what the shell sees

    @staticmethod
    def refusing(error: RunnerError) -> Answer:
        """Return the answer of a head that cannot do what was asked."""
        return Answer(error=error.message, hint=error.hint, code=int(error.exit_code))


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
    packages: dict[str, str] = msgspec.field(default_factory=dict)
    files: int = 0
    size_bytes: int = 0
    received_bytes: int = 0
    took_s: float = 0.0


class Leaving(Message, frozen=True, tag=25):
    """A host wants to go: it finishes what its workers hold, and takes nothing more."""


class BeatAck(Message, frozen=True, tag=26):
    """The answer to a BEAT: the head is there, and the way to it."""


class Dismiss(Message, frozen=True, tag=27):
    """A host is not needed any more. ``why`` is "finished", "stopped" or "drained"."""

    why: str


class NewKey(Message, frozen=True, tag=28):
    """A host keeps this key from now on; the former is not taken for much longer."""

    key: bytes

    def __repr__(self) -> str:
        return "NewKey(...)"
