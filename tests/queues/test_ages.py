from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.queues.broker.ages import Ages


def test_a_body_is_as_old_as_the_first_mark_that_knew_it() -> None:
    ages = Ages()
    ages.mark(1, 100.0)
    ages.mark(5, 110.0)
    ages.mark(5, 115.0)
    ages.mark(9, 120.0)
    assert [ages.age_s(body, 130.0) for body in (1, 4, 5, 8)] == [20.0, 20.0, 10.0, 10.0]
    assert ages.age_s(9, 130.0) == 0.0, "made since the last mark"


def test_what_an_earlier_head_left_is_at_least_as_old_as_this_one() -> None:
    ages = Ages()
    ages.mark(500, 100.0)
    assert ages.age_s(3, 107.5) == 7.5


@given(st.lists(st.integers(0, 3), min_size=1, max_size=3000))
def test_however_long_it_goes_on_no_age_is_over_the_true_one_and_few_marks_are_kept(
    made: list[int],
) -> None:
    ages, born, next_body = Ages(), [], 0
    ages.mark(0, 0.0)
    for second, count in enumerate(made, 1):
        born += [second] * count
        next_body += count
        ages.mark(next_body, float(second))
    now = float(len(made))
    told = [ages.age_s(body, now) for body in range(next_body)]
    assert told == sorted(told, reverse=True)
    assert all(age <= now - birth for age, birth in zip(told, born, strict=True))
    assert len(ages._nexts) <= 257
