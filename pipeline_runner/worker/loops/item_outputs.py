"""What one item gives, taken as it comes; what would be a large body goes ahead of its settle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline_runner.wire.messages import Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_runner.wire.messages import Granted
    from pipeline_runner.worker.loops.routing import Router
    from pipeline_runner.worker.session.session import WorkerSession

_STAGE_BYTES = 1024**2
_STAGE_VALUES = 4096


class Outputs:
    """The outputs of the item at ``index`` of a lease: ``kept`` here, or staged under ``keys``.

    ``settle_before`` is called before the first is staged: what a settle names as staged comes
    before the settle's own outputs, so those of earlier items have to be in an earlier one.
    """

    def __init__(
        self,
        link: WorkerSession,
        router: Router,
        lease: Granted,
        index: int,
        settle_before: Callable[[], None] = lambda: None,
    ) -> None:
        self.kept: list[Any] = []
        self.keys: list[int] = []
        self._link = link
        self._router = router
        self._lease = lease
        self._index = index
        self._settle_before = settle_before
        self._staged_at = router.taken_bytes

    def add(self, value: Any) -> None:
        """Take one more. Raises UnsendableError."""
        taken = self._router.take(value)
        if self._router.is_sink:
            return
        self.kept.append(taken)
        if (
            self._router.taken_bytes - self._staged_at >= _STAGE_BYTES
            or len(self.kept) >= _STAGE_VALUES
        ):
            self._stage()

    def _stage(self) -> None:
        if not self.keys:
            self._settle_before()
        bodies = self._router.encode(self.kept)
        spans = ((self._index, self._index + 1),)
        for output, data in zip(bodies.outputs, bodies.data, strict=True):
            key = self._link.ledger.next_seq()
            self._link.stage(Stage(self._lease.token, spans, key, output), data)
            self.keys.append(key)
        self.kept = []
        self._staged_at = self._router.taken_bytes
