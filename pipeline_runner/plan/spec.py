"""What a worker is started with: two workers of equal fingerprints are interchangeable."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline_runner.config.model import Stage

PLACEMENT = frozenset(
    {
        "processes",
        "per_host",
        "autoscale",
        "constraints",
        "affinity",
        "max_per_host",
        "spread",
    }
)
# Any other key of a stage, a future one among them, restarts its workers: a needless restart is
# seen and mended, a worker that goes on under old settings is not.
IN_PLACE = PLACEMENT | {"batch", "on_failure", "rate_limit", "retry", "was"}


def fingerprint(stage: Stage, release: str = "") -> str:
    """Return 16 hex digits over the release and all settings whose change restarts a worker."""
    settings = stage.model_dump(mode="json", exclude=set(IN_PLACE))
    text = json.dumps([release, settings], sort_keys=True)
    return blake2b(text.encode(), digest_size=8).hexdigest()
