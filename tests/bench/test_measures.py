"""Figures are computed as they are read."""

import pytest

from bench.measures import TARGETS, Check, Figure, Floor, Latency, Result, Target, percentile

HUNDRED = [float(each) for each in range(1, 101)]


@pytest.mark.parametrize(
    ("ordered", "share", "expected"),
    [
        (HUNDRED, 0.5, 50.0),
        (HUNDRED, 0.95, 95.0),
        (HUNDRED, 0.99, 99.0),
        (HUNDRED, 1.0, 100.0),
        (HUNDRED, 0.0, 1.0),
        ([1.0, 2.0], 0.5, 1.0),
        ([1.0, 2.0, 3.0], 0.5, 2.0),
        ([7.0], 0.99, 7.0),
    ],
)
def test_a_percentile_is_a_value_that_was_measured(
    ordered: list[float], share: float, expected: float
) -> None:
    assert percentile(ordered, share) == expected


def test_latency_is_in_milliseconds() -> None:
    assert Latency.of([0.001, 0.002, 0.003]) == Latency(3, 2.0, 3.0, 3.0, 3.0)


def test_more_of_a_rate_and_less_of_a_time_is_better() -> None:
    rate = Target("work", "/s", at_least=100)
    time = Target("work", "ms", at_least=100, less_is_better=True)

    assert (rate.times(200), rate.times(50)) == (2.0, 0.5)
    assert (time.times(200), time.times(50)) == (0.5, 2.0)


def test_a_figure_says_whether_it_meets_its_target_and_what_it_is_of_its_floor() -> None:
    slow = Figure("register-alone", 40.0, [Floor("SDK insert", 4.0, "ms")]).json()
    fast = Figure("list", 500.0, [Floor("bare endpoint", 1_000.0, "/s")]).json()

    assert (slow["met"], slow["floors"][0]["share"]) == (False, 0.1)
    assert (fast["met"], fast["floors"][0]["share"]) == (True, 0.5)
    assert Figure("race", 1.0).json()["met"] is None


def test_what_is_gone_for_is_better_than_what_is_asked_for_at_least() -> None:
    asked = [each for each in TARGETS.values() if each.at_least is not None]

    assert all((each.times(each.go_for or 0) or 0) > 1 for each in asked)


def test_one_check_that_fails_fails_a_result() -> None:
    assert Result([], checks=[Check("right")]).passed
    assert not Result([], checks=[Check("right"), Check("wrong", "lost")]).passed
