"""Where objects stand whose time is not simply given."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.domain.placing import (
    Anchor,
    Bearing,
    Following,
    Listed,
    Neighbour,
    Place,
    Restart,
    Restarted,
    Running,
    Stated,
    locate,
    unrolled,
)
from schemas.domain.rejection import Reason, Rejected
from schemas.domain.timerange import NS_PER_S, TimeRange

WRAP = 1 << 33
RUNNING = Running(0, True, Anchor(0), Restart.CONTINUE, 600 * NS_PER_S)


def ns_of(ticks: int) -> int:
    """What libav says of a time in ticks of 90 kHz, in whole nanoseconds."""
    return ticks * NS_PER_S // 90_000


def span(start_s: float, end_s: float) -> TimeRange:
    return TimeRange.half_open(int(start_s * NS_PER_S), int(end_s * NS_PER_S))


class Encoder:
    """Objects placed one after the other, each seeing those before it."""

    def __init__(self, bearing: Running = RUNNING) -> None:
        self.bearing = bearing
        self.timeline: list[Neighbour] = []

    def drops(self, number: int, ticks: int, length: int, *, key: str = "seg-{}.ts") -> Place:
        key = key.format(number)
        at, until = ns_of(ticks % WRAP), ns_of(ticks % WRAP + length)
        bearing = replace(self.bearing, at_ns=at, anchor=Anchor(self.bearing.anchor.ns + at))
        place = locate(bearing, until - at, key, f"etag {number} {ticks}", self.timeline)
        self.timeline.append(
            Neighbour(place.timerange, key, f"etag {number} {ticks}", place.clock_ns)
        )
        return place


@given(st.integers(0, 6 * WRAP), st.integers(-WRAP // 2 + 1, WRAP // 2 - 1))
def test_of_all_times_a_clock_may_show_the_nearest_is_meant(ticks: int, away: int) -> None:
    near = max(0, ticks + away)

    assert unrolled(ns_of(ticks % WRAP), ns_of(near)) == ns_of(ticks)


@given(
    st.integers(0, WRAP - 1),
    st.lists(st.integers(90_000, 540_000), min_size=2, max_size=30),
    st.randoms(use_true_random=False),
)
def test_a_clock_that_wraps_places_every_object_at_its_true_time_in_any_order(
    first: int, lengths: list[int], order: object
) -> None:
    starts = [first + sum(lengths[:n]) for n in range(len(lengths))]
    numbers = list(range(1, len(lengths)))
    order.shuffle(numbers)  # type: ignore[attr-defined]
    encoder = Encoder()

    places = {0: encoder.drops(0, starts[0], lengths[0])}
    for number in numbers:
        places[number] = encoder.drops(number, starts[number], lengths[number])

    for number, start in enumerate(starts):
        end = ns_of(start + lengths[number])
        assert places[number].timerange == TimeRange.half_open(ns_of(start), end)
        assert places[number].clock_ns == ns_of(start)


@given(st.lists(st.integers(0, 500), min_size=1, max_size=10), st.integers(0, WRAP - 1))
def test_a_gap_within_the_tolerance_stays_a_gap(gaps: list[int], first: int) -> None:
    encoder, ticks = Encoder(), first
    for number, gap in enumerate(gaps):
        ticks += gap * 90_000
        place = encoder.drops(number, ticks, 180_000)
        if number == 0:
            origin = place.timerange.start_ns - ns_of(ticks)
        assert place.timerange.start_ns == ns_of(ticks) + origin
        ticks += 180_000


@given(st.lists(st.integers(0, WRAP - 1), min_size=1, max_size=8))
def test_after_restarts_the_timeline_goes_on_without_gap_or_overlap(runs: list[int]) -> None:
    encoder, number, ends = Encoder(), 0, None
    for start in runs:
        for step in range(4):
            place = encoder.drops(number, start + step * 180_000, 180_000)
            if ends is not None and step:
                assert place.timerange.start == ends
            assert ends is None or place.timerange.start >= ends
            ends, number = place.timerange.end, number + 1


def test_a_clock_that_jumps_back_continues_after_the_last_segment() -> None:
    encoder = Encoder()
    for n in range(3):
        encoder.drops(n, n * 180_000, 180_000)

    restarted = encoder.drops(3, 0, 180_000)
    following = encoder.drops(4, 180_000, 180_000)

    assert (restarted.timerange, following.timerange) == (span(6, 8), span(8, 10))


def test_a_late_object_of_an_earlier_run_finds_its_place_in_that_run() -> None:
    encoder = Encoder()
    for n, ticks in ((0, 0), (1, 180_000), (3, 540_000), (4, 0), (5, 180_000)):
        encoder.drops(n, ticks, 180_000)

    late = encoder.drops(2, 360_000, 180_000)

    assert late.timerange == span(4, 6)


def test_numbering_that_restarts_while_the_clock_goes_on_is_no_restart() -> None:
    encoder = Encoder()
    encoder.drops(99, 0, 180_000)

    assert encoder.drops(0, 180_000, 180_000).timerange == span(2, 4)


@pytest.mark.parametrize("ticks", [0, 9_000_000 * 60])
def test_a_restart_is_refused_where_the_rule_says_so(ticks: int) -> None:
    encoder = Encoder(replace(RUNNING, restart=Restart.REFUSE))
    encoder.drops(0, 90_000, 180_000)
    encoder.drops(1, 270_000, 180_000)

    with pytest.raises(Rejected, match="does not go on from") as refused:
        encoder.drops(2, ticks, 180_000)
    assert refused.value.reason is Reason.RESTARTED


def test_a_restart_asks_for_a_new_flow_where_the_rule_says_so() -> None:
    encoder = Encoder(replace(RUNNING, restart=Restart.NEW_FLOW))
    encoder.drops(0, 900_000, 180_000)

    with pytest.raises(Restarted):
        encoder.drops(1, 0, 180_000)


def test_keys_that_tell_no_order_leave_it_to_the_clock() -> None:
    encoder = Encoder()
    for key, seconds in (("x", 0), ("y", 6), ("z", 2)):
        place = encoder.drops(0, seconds * 90_000, 180_000, key=key)

    assert place.timerange == span(2, 4)


def test_the_same_media_under_another_key_are_refused() -> None:
    timeline = [Neighbour(span(0, 2), "a/x.ts", "same", 0)]

    with pytest.raises(Rejected, match="the same media are registered") as refused:
        locate(RUNNING, 2 * NS_PER_S, "b/y.ts", "same", timeline)
    assert refused.value.reason is Reason.TIME_TAKEN


@pytest.mark.parametrize(
    "bearing", [RUNNING, Stated(0, 1), Following(Anchor(0)), Listed(0, (), Anchor(0))]
)
def test_the_same_object_again_has_the_place_it_has(bearing: Bearing) -> None:
    timeline = [Neighbour(span(5, 7), "a.ts", "etag", 3)]

    assert locate(bearing, 2 * NS_PER_S, "a.ts", "etag", timeline) == Place(span(5, 7), 3)


@pytest.mark.parametrize(
    ("stated_s", "precision_s", "expected"),
    [
        (12, 1, span(12.4, 14.4)),  # named by whole seconds, after media to 12.4
        (13, 0.5, span(13, 15)),  # too far off: a gap
        (9, 0.5, span(9, 11)),  # nothing ends near
        (8, 1, span(8, 10)),
    ],
)
def test_a_coarse_time_begins_where_the_media_before_it_end(
    stated_s: int, precision_s: float, expected: TimeRange
) -> None:
    timeline = [Neighbour(span(10, 12.4), "a", "", None)] if stated_s > 10 else []

    bearing = Stated(stated_s * NS_PER_S, int(precision_s * NS_PER_S))

    assert locate(bearing, 2 * NS_PER_S, "b", "", timeline).timerange == expected


def test_a_coarse_time_yields_a_little_to_the_media_after_it() -> None:
    timeline = [Neighbour(span(11.9, 14), "a", "", None)]

    place = locate(Stated(10 * NS_PER_S, NS_PER_S), 2 * NS_PER_S, "b", "", timeline)

    assert place.timerange == span(10, 11.9)


def test_samples_without_a_clock_follow_by_key() -> None:
    timeline: list[Neighbour] = []
    for number in (1, 2, 4):
        place = locate(Following(Anchor(0)), NS_PER_S, f"{number}.wav", str(number), timeline)
        timeline.append(Neighbour(place.timerange, f"{number}.wav", str(number), None))

    assert [n.timerange for n in timeline] == [span(0, 1), span(1, 2), span(2, 3)]
    first = locate(Following(Anchor(0)), NS_PER_S, "0.wav", "0", timeline)
    assert first.timerange == span(-1, 0)


@given(
    st.lists(st.integers(1, 200_000), min_size=1, max_size=50), st.sampled_from([44_100, 48_000])
)
def test_rounding_does_not_add_up_over_counted_samples(lengths: list[int], rate: int) -> None:
    timeline: list[Neighbour] = []
    for number, length in enumerate(lengths):
        bearing = Following(Anchor(7), rate)
        duration = length * NS_PER_S // rate
        place = locate(bearing, duration, f"{number}.wav", str(number), timeline)
        key, etag = f"{number}.wav", str(number)
        timeline.append(Neighbour(place.timerange, key, etag, place.clock_ns))

    assert timeline[-1].end_ns == 7 + sum(lengths) * NS_PER_S // rate
    for before, after in pairwise(timeline):
        assert before.timerange.end == after.timerange.start


def test_the_first_object_has_ended_when_it_arrived() -> None:
    arrived = Anchor(100 * NS_PER_S, arrived=True)

    place = locate(replace(RUNNING, anchor=arrived, at_ns=7), 2 * NS_PER_S, "a", "", [])

    assert place == Place(span(98, 100), 7)


@given(st.permutations(range(6)), st.integers(0, 400_000_000))
def test_a_playlist_places_its_objects_in_any_order(order: list[int], rounding: int) -> None:
    length = 2 * NS_PER_S
    offsets = [(f"{n}.ts", n * (length + rounding // 10)) for n in range(6)]
    timeline: list[Neighbour] = []

    for number in order:
        near = tuple(item for item in offsets if item[0] != f"{number}.ts")
        bearing = Listed(offsets[number][1], near, Anchor(offsets[number][1]))
        place = locate(bearing, length, f"{number}.ts", str(number), timeline)
        timeline.append(Neighbour(place.timerange, f"{number}.ts", str(number), None))

    timeline.sort(key=lambda n: n.timerange.start)
    assert [n.key for n in timeline] == [key for key, _ in offsets]
    for before, after in pairwise(timeline):
        assert not before.timerange.overlaps(after.timerange)


def test_a_date_in_a_playlist_wins_over_durations_it_contradicts() -> None:
    timeline = [Neighbour(span(10, 12), "1.ts", "", None)]
    bearing = Listed(2 * NS_PER_S, (("1.ts", 0),), Anchor(0), Stated(60 * NS_PER_S, 1_000_000))

    assert locate(bearing, 2 * NS_PER_S, "2.ts", "", timeline).timerange == span(60, 62)
