from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.agent import facts
from pipeline_runner.agent.facts import share
from tests.e2e.kit import until


def test_only_the_cores_that_our_processes_may_use_count() -> None:
    assert share([100, 0, 0, 0], {0}, 0) == 1.0
    assert share([100, 0, 0, 0], {0, 1}, 0) == 0.5
    assert share([100, 0, 0, 0], {0, 1, 2, 3}, 0) == 0.25


def test_a_container_that_has_used_up_its_quota_is_busy_on_an_idle_machine() -> None:
    assert share([25] * 8, range(8), of_quota=1.03) == 1.0
    assert share([25] * 8, range(8), of_quota=0.1) == 0.25


@given(
    st.lists(st.floats(0, 100), max_size=9),
    st.sets(st.integers(0, 12)),
    st.floats(0, 50),
)
def test_a_share_is_between_none_and_all(
    percents: list[float], own: set[int], of_quota: float
) -> None:
    assert 0.0 <= share(percents, own, of_quota) <= 1.0


@pytest.mark.skipif(facts.psutil is None, reason="psutil is not here")
def test_a_process_pinned_to_one_busy_core_sees_all_its_cores_busy() -> None:
    core = min(os.sched_getaffinity(0))
    script = (
        f"import os, time; os.sched_setaffinity(0, {{{core}}})\n"
        "from pipeline_runner.agent.facts import Load\n"
        "load = Load()\n"
        "while True:\n"
        "    end = time.monotonic() + 0.2\n"
        "    while time.monotonic() < end: pass\n"
        "    print(load.look()[0], flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as busy:
        out = busy.stdout
        assert out is not None
        try:
            until(lambda: float(out.readline()) > 0.95, "its only core is busy")
        finally:
            busy.kill()
