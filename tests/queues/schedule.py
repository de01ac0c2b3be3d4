"""One seed's way through a world: what happens next, what goes wrong, and how all heals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.queues.places import Broken

if TYPE_CHECKING:
    from random import Random

    from tests.queues.model_worker import Connection, ModelWorker
    from tests.queues.world import World

MOST_ROUNDS = 3000  # a world that has not drained by then is stuck

# How often each fault is tried, against 100 ordinary steps.
FAULTS: dict[str, float] = {
    "cut": 2.5,
    "kill": 1.2,
    "host silent": 0.5,
    "host lost, workers live": 0.5,
    "head crash": 0.5,
    "commit failed": 1.0,
    "clock step": 0.5,
    "scale up": 0.7,
    "scale down": 0.5,
}


class Schedule:
    """Drives one world with one seed: first with faults, then until it is drained."""

    def __init__(self, world: World, rng: Random) -> None:
        self.world, self.rng = world, rng
        self._kinds = [*FAULTS, "step"]
        haste = rng.choice((0.1, 0.3, 1.0))
        weights = [haste * weight for weight in FAULTS.values()]
        self._weights = [*weights, 100 - sum(weights)]

    def run(self, steps: int) -> None:
        """Take ``steps`` random steps, then let everything heal and drain."""
        world, rng = self.world, self.rng
        for kind in rng.choices(self._kinds, self._weights, k=steps):
            if kind == "step":
                self._step()
            else:
                self._fault(kind)
            world.oracle.check()
        self._drain()

    def _step(self) -> None:
        world, rng = self.world, self.rng
        world.now += rng.choice((0.0, 0.001, 0.05, 0.5))
        wake_at = world.broker.wake_at
        if wake_at is not None and wake_at <= world.now and rng.random() < 0.3:
            world.tick()
            return
        dice = rng.random()
        if dice < 0.12 and world.disk.waiting:
            world.write()
        elif dice < 0.24 and world.disk.untold:
            world.tell()
        elif dice < 0.26 and world.deaths:
            self._bury()
        elif dice < 0.50 and (readable := [c for c in world.connections if c.up or c.cut]):
            self._up(rng.choice(readable))
        elif dice < 0.75 and (heard := [w for w in world.workers if w.has_news]):
            self._down(rng.choice(heard))
        elif world.workers:
            self._act(rng.choice(world.workers))
        else:
            self._heal()

    def _say(self, who: object, what: str) -> None:
        if what:
            self.world.trace.append(f"{self.world.now:.3f} {who} {what}")

    def _up(self, connection: Connection) -> None:
        self._say(f"head {connection.session & 0xFFFFFF}", self.world.deliver_up(connection))

    def _down(self, worker: ModelWorker) -> None:
        if worker.connection is None:
            return
        connection = worker.connection
        if connection.down:
            message, data = connection.down.popleft()
            self._say(worker, f"hears {message}")
            worker.receive(message, data)
        elif connection.over:  # the head closed it
            if connection.up:
                self.world.count["frame of an old session"] += 1
            self.world.count["zombie woke"] += 1
            self._say(worker, "finds its connection closed")
            worker.hung_up()

    def _act(self, worker: ModelWorker, *, eager: bool = False) -> None:
        self._say(worker, worker.act(self.rng, eager=eager))

    def _bury(self) -> None:
        died = self.rng.choice(self.world.deaths)
        self._say("agent", f"reports {died}")
        self.world.mark_dead(died)

    def _fault(self, kind: str) -> None:
        world, rng = self.world, self.rng
        worker = rng.choice(world.workers) if world.workers else None
        match kind:
            case "cut" if worker is not None and worker.connection is not None:
                keep = rng.randint(0, len(worker.connection.up))
                self._say(worker, f"is cut off, {keep} frames survive")
                world.cut(worker, keep=keep)
            case "kill" if worker is not None:
                self._say(worker, f"is killed, its page says {worker.page}")
                world.kill(worker, "signal 9")
            case "host silent":
                host = rng.choice(("north", "south"))
                self._say(host, "goes down for good")
                for one in [w for w in world.workers if w.host == host]:
                    world.kill(one, "host")
                world.deaths = [d for d in world.deaths if not self._was_of(d.worker, host)]
                world.lose(host)
            case "host lost, workers live":
                host = rng.choice(("north", "south"))
                self._say(host, "is silent for ten seconds")
                world.lose(host)
            case "head crash":
                survive = rng.randint(0, len(world.disk.waiting))
                self._say("head", f"crashes, {survive} commits survive")
                world.crash_head(survive)
                if rng.random() < 0.3:  # the head has heard of every host it knows
                    world.broker.open(world.now)
                    world.carry_out()
            case "commit failed" if world.disk.waiting:
                self._say("disk", "fails a commit")
                world.write(ok=False)
            case "clock step":
                self._say("clock", "jumps a day")
                world.now += 86_400.0
            case "scale up":
                self._scale_up()
            case "scale down" if worker is not None and not worker.is_source:
                self._say(worker, "drains and ends")
                worker.drain()
                world.kill(worker, "drained")
            case _:
                return
        world.count[kind] += 1

    def _was_of(self, worker: str, host: str) -> bool:
        record = self.world.broker.state.workers.get(worker)
        return record is not None and record.host == host

    def _scale_up(self) -> None:
        stages = [s for s in self.world.shape.topology.stages.values() if not s.is_source]
        stage = self.rng.choice(stages)
        if sum(worker.stage == stage.name for worker in self.world.workers) < 3:
            self._say("head", f"starts another {stage.name}")
            self.world.spawn(stage.name, 0)

    # ---- once the faults have stopped

    def _drain(self) -> None:
        world = self.world
        world.trace.append("the faults stop")
        for _ in range(MOST_ROUNDS):
            self._heal()
            for worker in tuple(world.workers):
                self._down(worker)
                if worker.alive:
                    self._act(worker, eager=True)
                if worker.alive:
                    self._down(worker)
            for connection in tuple(world.connections):
                self._up(connection)
            while world.disk.waiting:
                world.write()
            while world.disk.untold:
                world.tell()
            world.oracle.check()
            if world.is_over:
                world.oracle.drained()
                world.count["letter"] += len(world.disk.durable.letters)
                return
            world.now += 0.05
            if world.broker.wake_at is not None:
                world.now = max(world.now, world.broker.wake_at)
            world.tick()
        raise Broken(f"stuck: {self._places()}")

    def _heal(self) -> None:
        world = self.world
        while world.deaths:
            self._bury()
        for stage in world.shape.topology.stages:
            if world.finished[stage]:
                continue
            shares = world.shares(stage)
            for index in range(shares or 1):
                if not any(
                    w.stage == stage and (not shares or w.index == index) for w in world.workers
                ):
                    self._say("head", f"starts {stage} {index} again")
                    world.spawn(stage, index)

    def _places(self) -> str:
        state = self.world.broker.state
        queues = {name: list(edge.queue) for name, edge in state.edges.items()}
        leases = [
            (lease.token, lease.worker.id, lease.edge, lease.live)
            for lease in state.leases.values()
        ]
        return f"queued {queues}, leased {leases}, finished {dict(self.world.finished)}"
