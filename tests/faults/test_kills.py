from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.kills import run_with_kills

if TYPE_CHECKING:
    from tests.e2e.kit import Project


@pytest.mark.slow
def test_killing_workers_at_random_changes_no_total(project: Project) -> None:
    outcome = run_with_kills(project, items=20_000, kills=25, seed=7)
    assert outcome.kills == 25
    assert outcome.faults(20_000) == []
    assert outcome.calls.total() > 20_000, "the kills did strike work under way"
