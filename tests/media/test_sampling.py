"""Exact positions from rounded timestamps."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.media.sampling import audio_sampling, floor_ns, video_sampling

RATES = [
    *(Fraction(n) for n in (24, 25, 30, 50, 60)),
    *(Fraction(n, 1001) for n in (24000, 30000, 60000)),
]
CLOCKS = [Fraction(1, 90_000), Fraction(1, 1_000), Fraction(1, 12_800), Fraction(1, 30_000)]


@given(
    rate=st.sampled_from(RATES),
    clock=st.sampled_from(CLOCKS),
    start=st.fractions(0, 10_000, max_denominator=90_000),
    count=st.integers(130, 400),
    order=st.randoms(use_true_random=False),
)
def test_a_fixed_rate_is_found_behind_any_clock(rate, clock, start, count, order):
    frames = list(range(count))
    order.shuffle(frames)
    pts = [round((start + k / rate) / clock) for k in frames]

    sampling = video_sampling(pts, [1] * count, clock, [])

    assert sampling.rate == rate
    assert list(sampling.counts) == frames


@given(
    rate=st.sampled_from(RATES),
    hole=st.integers(1, 500),
    at=st.integers(1, 199),
)
def test_missing_frames_leave_a_hole_in_the_grid(rate, hole, at):
    frames = [*range(at), *range(at + hole, 200 + hole)]
    clock = Fraction(1, 90_000)
    pts = [round(k / rate / clock) for k in frames]

    sampling = video_sampling(pts, [1] * 200, clock, [rate])

    assert sampling.rate == rate
    assert list(sampling.counts) == frames


@given(st.lists(st.integers(1_000, 9_000), min_size=20, max_size=60))
def test_a_variable_rate_plays_each_frame_until_the_next(steps):
    pts = [sum(steps[:n]) for n in range(len(steps))]

    sampling = video_sampling(pts, steps, Fraction(1, 90_000), [Fraction(1_000)])

    if sampling.rate is None:
        places = range(len(pts))
        assert all(sampling.end(a) == sampling.start(b) for a, b in pairwise(places))
        assert sampling.end(len(pts) - 1) == Fraction(sum(steps), 90_000)


def test_an_uneven_rate_is_not_called_fixed():
    pts = [k * 3_000 + (k % 3) * 700 for k in range(90)]

    sampling = video_sampling(pts, [3_000] * 90, Fraction(1, 90_000), [Fraction(30)])

    assert sampling.rate is None


def test_the_rate_of_a_single_frame_is_the_one_its_duration_agrees_with():
    hints = [Fraction(50), Fraction(25)]

    sampling = video_sampling([900], [3_600], Fraction(1, 90_000), hints)

    assert sampling.rate == 25


@given(
    sample_rate=st.sampled_from([48_000, 44_100, 32_000]),
    start=st.integers(0, 2**33),
    count=st.integers(2, 400),
    jitter=st.randoms(use_true_random=False),
)
def test_audio_is_counted_in_samples_through_the_rounding(sample_rate, start, count, jitter):
    clock = Fraction(1, 90_000)
    period = Fraction(1_024, sample_rate) / clock
    pts = [start + round(k * period) + jitter.choice((0, 0, -1)) * (k > 0) for k in range(count)]

    sampling = audio_sampling(pts, [int(period)] * count, clock, sample_rate, 1_024)

    assert list(sampling.counts) == [1_024 * k for k in range(count)]


def test_a_gap_in_audio_stays_a_gap():
    pts = [0, 1_920, 1_920 + 90_000]

    sampling = audio_sampling(pts, [1_920] * 3, Fraction(1, 90_000), 48_000, 1_024)

    assert list(sampling.counts) == [0, 1_024, 1_024 + 48_000]


@pytest.mark.parametrize(
    ("seconds", "ns"),
    [(Fraction(1, 3), 333_333_333), (Fraction(-1, 3), -333_333_334), (Fraction(2), 2 * 10**9)],
)
def test_nanoseconds_are_rounded_down(seconds, ns):
    assert floor_ns(seconds) == ns
