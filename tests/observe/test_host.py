from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline_runner.observe import host

if TYPE_CHECKING:
    from pathlib import Path


def test_this_host_has_a_core_some_memory_and_a_name() -> None:
    facts = host.this_host(head=True)
    assert facts.cores >= 1
    assert facts.memory > 2**20
    assert facts.name
    assert facts.head


def test_a_cgroup_quota_limits_the_cores_and_is_rounded_up(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert host.usable_cores(tmp_path) == 1


def test_a_cgroup_without_a_quota_limits_nothing(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert host.usable_cores(tmp_path) == host.usable_cores(tmp_path / "none")


def test_a_cgroup_of_the_first_version_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("100000\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert host.usable_cores(tmp_path) == 1


def test_a_cgroup_limits_the_memory(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text(f"{2**20}\n")
    assert host.usable_memory(tmp_path) == 2**20


@pytest.mark.parametrize(
    ("shown", "gpus"), [(None, 2), ("", 0), ("0", 1), ("-1", 0), ("0,1,2", 2), ("1,-1", 1)]
)
def test_gpus_are_those_that_cuda_would_show(tmp_path: Path, shown: str | None, gpus: int) -> None:
    for device in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / device).mkdir()
    environ = {} if shown is None else {"CUDA_VISIBLE_DEVICES": shown}
    assert host.visible_gpus(environ, tmp_path) == gpus


def test_a_host_without_the_driver_has_no_gpu(tmp_path: Path) -> None:
    assert host.visible_gpus({}, tmp_path / "none") == 0
