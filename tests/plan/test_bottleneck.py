from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.config.model import Autoscale, Stage
from pipeline_runner.plan.bottleneck import Cores, StageLoad, bottleneck, count_key

LIST = StageLoad("list", busy=0.31, queued=0, growth_per_s=0, workers=1, in_rate=0)
RESIZE = StageLoad("resize", busy=0.97, queued=8100, growth_per_s=41, workers=8, in_rate=171)
UPLOAD = StageLoad("upload", busy=0.40, queued=12, growth_per_s=0, workers=2, in_rate=171)


def test_the_busy_stage_whose_queue_grows_is_the_bottleneck() -> None:
    found = bottleneck([LIST, RESIZE, UPLOAD])
    assert found is not None
    assert (found.stage, found.workers, found.at_least) == ("resize", 10, False)
    assert found.sentence == "resize: 97 % busy, queue +41/s"
    assert found.cure == "raise `processes` of [stages.resize]: about 10 workers would keep up"


def test_a_full_queue_hides_how_much_would_come() -> None:
    full = StageLoad("resize", 1.0, 10_000, 0, 8, 171, fill=1.0, key="per_host")
    found = bottleneck([LIST, full, UPLOAD])
    assert found is not None
    assert (found.workers, found.at_least) == (9, True)
    assert found.sentence == "resize: 100 % busy, queue full"
    assert found.cure == "raise `per_host` of [stages.resize]: at least 9 workers would keep up"


def test_nobody_is_when_no_stage_falls_behind() -> None:
    catching_up = StageLoad("resize", 0.99, 8000, -20, 8, 171)
    waiting_downstream = StageLoad("resize", 0.5, 10_000, 0, 8, 171, fill=1.0)
    for resize in (catching_up, waiting_downstream):
        assert bottleneck([LIST, resize, UPLOAD]) is None
    assert bottleneck([]) is None


def test_of_two_the_one_that_falls_behind_more_is_it() -> None:
    worse = StageLoad("upload", 0.95, 100, 150, 2, 60)
    found = bottleneck([RESIZE, worse])
    assert found is not None
    assert (found.stage, found.workers) == ("upload", 7)


def test_a_stage_that_finished_nothing_yet_needs_at_least_one_more() -> None:
    found = bottleneck([StageLoad("train", 1.0, 3, 0.2, 1, 0)])
    assert found is not None
    assert found.workers == 2
    assert found.sentence == "train: 100 % busy, queue +0.2/s"


def test_with_every_core_busy_the_cure_is_another_machine() -> None:
    found = bottleneck([LIST, RESIZE], Cores(12, 0.99))
    assert found is not None
    assert found.needs_host
    assert found.cure == "all 12 cores are busy: `runner join` on another machine"
    alone = bottleneck([RESIZE], Cores(1, 1.0, can_grow=False))
    assert alone is not None
    assert alone.cure == (
        "the only core is busy: restart without --local, then `runner join` elsewhere"
    )


def test_with_a_core_to_spare_the_cure_is_more_workers() -> None:
    for cores in (Cores(12, 0.5), None):
        found = bottleneck([LIST, RESIZE], cores)
        assert found is not None
        assert not found.needs_host
        assert found.cure.startswith("raise `processes` of [stages.resize]")


def test_the_cure_names_the_key_that_decides_the_count() -> None:
    assert count_key(Stage(run="a:b")) == "processes"
    assert count_key(Stage(run="a:b", processes=2)) == "processes"
    assert count_key(Stage(run="a:b", per_host="cores", processes=2)) == "processes"
    assert count_key(Stage(run="a:b", per_host="cores")) == "per_host"
    assert count_key(Stage(run="a:b", autoscale=Autoscale(max=3))) == "autoscale.max"


@given(
    st.lists(
        st.builds(
            StageLoad,
            st.sampled_from("abc"),
            busy=st.floats(0, 1),
            queued=st.integers(0, 10_000),
            growth_per_s=st.floats(-100, 100),
            workers=st.integers(0, 9),
            in_rate=st.floats(0, 1000),
            fill=st.floats(0, 1),
        )
    )
)
def test_the_cure_is_always_more_workers_of_a_busy_stage_with_a_queue(
    stages: list[StageLoad],
) -> None:
    found = bottleneck(stages)
    if found is not None:
        assert any(
            stage.name == found.stage
            and stage.busy >= 0.9
            and stage.queued
            and 0 < stage.workers < found.workers
            for stage in stages
        )
