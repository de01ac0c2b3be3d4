from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.observe.event_lines import Told
from pipeline_runner.observe.frame import Scene, frame, stage_table
from pipeline_runner.observe.trend import Trend
from tests.observe.feed import edge, host, run, stage

if TYPE_CHECKING:
    from pipeline_runner.observe.snapshot import Snapshot

FAULTS = (
    Told("detail", "14:02:10", "resize ValueError: bad image  (attempt 1 of 3, again in 1.0s)"),
    Told("error", "14:02:11", "gpu01 resize ValueError: bad image", "runner errors show 17"),
)


def seen(snapshot: Snapshot, width: int = 120, height: int = 40, **scene: object) -> list[str]:
    lines = frame(Scene(snapshot, Trend(), **scene), width, height)  # type: ignore[arg-type]
    return [line.plain for line in lines]


def test_the_first_line_says_who_runs_how_long_and_what_is_kept() -> None:
    assert seen(run())[0].startswith(
        "thumbs  up 14m02s  rev 7  release a91f  2 hosts  4 workers  kept in memory only ──"
    )


def test_a_wide_terminal_shows_every_column() -> None:
    titles = "STAGE WORKERS QUEUE FLY IN/s OUT/s BUSY P50 P99 ERR DEAD ETA"
    assert seen(run())[1].split() == titles.split()


def test_eighty_columns_are_enough_for_every_column() -> None:
    assert seen(run(), width=80)[1].split() == seen(run(), width=120)[1].split()


def test_a_narrow_terminal_keeps_the_stage_its_workers_its_queue_and_its_rate() -> None:
    assert seen(run(), width=45)[1].split() == ["STAGE", "WORKERS", "QUEUE", "IN/s", "DEAD"]


def test_a_stage_shows_its_backlog_as_a_bar_and_a_number() -> None:
    line = next(line for line in seen(run()) if "resize" in line)
    assert line.split()[:6] == ["└▶resize", "8/8", "██████░░", "8.1k", "8", "171"]


def test_a_queue_bounded_in_bytes_fills_by_bytes() -> None:
    full = edge("list", "resize", 5, capacity=0, capacity_bytes=1000, queued_bytes=1000)
    line = next(line for line in seen(run(edges=(full,))) if "resize" in line)
    assert "████████" in line


def test_a_finished_stage_says_so() -> None:
    line = next(
        line
        for line in seen(run(stages=(stage("list", "source", state="finished", running=0),)))
        if line.startswith("list")
    )
    assert line.split()[1] == "done"


def test_workers_that_load_or_wait_for_a_place_are_no_running_workers() -> None:
    def workers(**changes: object) -> str:
        lines = seen(run(stages=(stage("resize", **changes),)))
        return next(line for line in lines if "resize" in line).split()[1]

    assert workers(state="loading", running=0, loading=2) == "loading"
    assert workers(running=1, loading=1) == "1/2"
    assert workers(state="waiting", running=0) == "0/2"
    assert workers(state="waiting", running=0, desired=0) == "-"


def test_a_failing_stage_says_why() -> None:
    broken = stage("resize", state="failing", reason="ImportError: no module named PIL")
    assert "resize is failing: ImportError: no module named PIL" in seen(run(stages=(broken,)))


def test_the_bottleneck_stands_with_its_cure_on_one_line_if_it_fits_else_on_two() -> None:
    found = ("BOTTLENECK resize: 97% busy", "raise `processes` of [stages.resize] to 12")
    assert seen(run(), bottleneck=found)[1] == "  ".join(found)
    assert seen(run(), width=50, bottleneck=found)[1:3] == [found[0], f"  {found[1]}"]


def test_a_draining_run_says_what_it_waits_for_instead_of_its_bottleneck() -> None:
    lines = seen(run(state="draining"), width=200, bottleneck=("BOTTLENECK x", "more"))
    assert lines[0].startswith("thumbs  draining, up 14m02s")
    assert lines[1] == (
        "Stopping (Ctrl-C again: now): waits for list (1 in work), "
        "resize (8 in work, 8,100 queued), upload (1 in work, 12 queued)"
    )
    assert not any("BOTTLENECK" in line for line in lines)


def test_what_a_journal_keeps_is_not_waited_for() -> None:
    lines = seen(run(state="draining", durability="fsync"), width=200)
    assert lines[1] == (
        "Stopping (Ctrl-C again: now): waits for list (1 in work), "
        "resize (8 in work), upload (1 in work)"
    )


def test_what_it_waits_for_is_told_whole_where_a_line_is_too_short() -> None:
    lines = seen(run(state="draining"), width=60)
    assert lines[1:3] == [
        "Stopping (Ctrl-C again: now): waits for list (1 in work),",
        "resize (8 in work, 8,100 queued), upload (1 in work, 12",
    ]
    assert lines[3] == "queued)"


def test_the_first_line_leaves_out_whole_what_does_not_fit() -> None:
    assert seen(run(), width=60)[0].rstrip(" ─") == (
        "thumbs  up 14m02s  2 hosts  4 workers  kept in memory only"
    )
    assert seen(run(), width=30)[0].rstrip(" ─") == "thumbs  up 14m02s"


def test_a_source_is_never_the_busy_one() -> None:
    def style(kind: str) -> str:
        snapshot = run(stages=(stage("list", kind, busy=0.99),))
        line = next(line for line in stage_table(snapshot, Trend(), 100) if "99%" in line.plain)
        return str([span.style for span in line.spans])

    assert "bold yellow" in style("map")
    assert "bold yellow" not in style("source")


def test_a_lost_host_stands_out() -> None:
    gone = host("pi4", state="lost", seen_s=14.0, cpu=None, memory_used=None)
    line = next(line for line in seen(run(hosts=(host(), gone))) if line.startswith("pi4"))
    assert line.split() == ["pi4", "2", "-", "-", "!", "14s", "a91f", "lost"]


def test_a_fault_keeps_its_command_whole_and_cuts_its_text() -> None:
    line = seen(run(), width=60, faults=FAULTS)[-1]
    assert line == "14:02:11 gpu01 resize ValueError: ba…  runner errors show 17"


def test_a_low_terminal_gives_up_hosts_first_then_faults_then_stages() -> None:
    assert not any(line.startswith("HOST") for line in seen(run(), height=7, faults=FAULTS))
    assert [line[:5] for line in seen(run(), height=6, faults=FAULTS)][-1] == "14:02"
    assert seen(run(), height=4, faults=FAULTS)[-1] == "… 2 more"


@given(
    width=st.integers(20, 200),
    height=st.integers(1, 30),
    state=st.sampled_from(["running", "draining", "starting"]),
    queued=st.integers(0, 10**7),
    hosts=st.integers(0, 5),
)
def test_a_frame_never_leaves_its_terminal(
    width: int, height: int, state: str, queued: int, hosts: int
) -> None:
    snapshot = run(
        state=state,
        edges=(edge("list", "resize", queued),),
        hosts=tuple(host(f"host-{i}") for i in range(hosts)),
        note="13 rejected: pipeline.toml:31:9",
    )
    lines = frame(Scene(snapshot, Trend(), ("a fact", "a cure"), FAULTS), width, height)
    assert len(lines) <= height
    assert all(line.cell_len <= width for line in lines)
