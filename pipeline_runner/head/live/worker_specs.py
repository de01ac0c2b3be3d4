"""From a pipeline to what a host is told to run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline_runner.plan.spec import fingerprint

if TYPE_CHECKING:
    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.head.files.releases import Release


HOLD_S = 60.0  # so long a worker holds its results when the head is gone, if it can come back


def hold_s(pipeline: Pipeline) -> float:
    """Return how long workers outlive the head: not at all where it cannot go on."""
    return 0.0 if pipeline.durability == "memory" else HOLD_S


def specs(pipeline: Pipeline, release: Release, counts: dict[str, int]) -> dict[str, Any]:
    """Return each stage's spec: its fingerprint, its job but for what only its host knows, its
    environment.

    ``counts`` are the workers that each stage should have, over all hosts.
    """
    return {name: _spec(pipeline, name, release, counts.get(name, 0)) for name in pipeline.stages}


def _spec(pipeline: Pipeline, name: str, release: Release, count: int) -> dict[str, Any]:
    stage = pipeline.stages[name]
    batch = stage.batch
    job = {
        "pipeline": pipeline.name,
        "stage": name,
        "kind": pipeline.kind(name),
        "run": stage.run,
        "count": count,
        "release": release.name,
        "outs": [{"edge": edge.name, "tags": edge.tags} for edge in pipeline.outputs(name)],
        "batch": None
        if batch is None
        else {"count": batch.count, "bytes": batch.bytes, "period_s": batch.period},
        "concurrency": stage.concurrency,
        "timeout_s": stage.timeout,
        "max_items": stage.max_items,
        "max_memory": stage.max_memory,
        "again": stage.restart == "again",
        "hold_s": hold_s(pipeline),
    }
    return {"fingerprint": fingerprint(stage, release.code), "job": job, "env": stage.env}
