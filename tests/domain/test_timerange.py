"""Timeranges agree with the BBC's own library wherever that library and the rules agree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mediatimestamp.immutable import TimeRange as Reference
from mediatimestamp.immutable import Timestamp as ReferenceTimestamp

from schemas.domain.errors import Invalid
from schemas.domain.timerange import (
    ETERNITY,
    NEVER,
    TimeRange,
    format_timestamp,
    parse_timestamp,
)

# Few values on purpose, so that bounds meet often; and some from all over the range.
NANOSECONDS = st.integers(-3, 3) | st.integers(-(10**20), 10**20)


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Timeranges with every combination of bounds and brackets that has a meaning."""
    first = draw(st.none() | NANOSECONDS)
    last = draw(st.none() | NANOSECONDS)
    if first is not None and last is not None:
        first, last = sorted((first, last))
    instant = first is not None and first == last
    opening = "" if first is None else "[" if instant else draw(st.sampled_from("[("))
    closing = "" if last is None else "]" if instant else draw(st.sampled_from("])"))
    return (
        f"{opening}{'' if first is None else format_timestamp(first)}_"
        f"{'' if last is None else format_timestamp(last)}{closing}"
    )


def reference(timerange: TimeRange) -> Reference:
    return Reference.from_str(str(timerange))


@given(NANOSECONDS)
def test_a_timestamp_survives_a_round_trip(ns: int) -> None:
    assert parse_timestamp(format_timestamp(ns)) == ns
    assert format_timestamp(ns) == ReferenceTimestamp.from_nanosec(ns).to_sec_nsec()


@given(texts())
def test_the_text_of_a_timerange_is_that_of_the_reference(text: str) -> None:
    assert str(TimeRange.parse(text)) == Reference.from_str(text).to_sec_nsec_range()


@given(texts())
def test_a_timerange_survives_a_round_trip(text: str) -> None:
    parsed = TimeRange.parse(text)

    assert TimeRange.parse(str(parsed)) == parsed


@given(texts(), texts())
def test_overlap_is_that_of_the_reference(a: str, b: str) -> None:
    ours = TimeRange.parse(a).overlaps(TimeRange.parse(b))

    assert ours == Reference.from_str(a).overlaps_with_timerange(Reference.from_str(b))


@given(texts(), texts())
def test_the_intersection_is_that_of_the_reference(a: str, b: str) -> None:
    ours = TimeRange.parse(a).intersection(TimeRange.parse(b))

    theirs = Reference.from_str(a).intersect_with(Reference.from_str(b))
    assert bool(ours) == (not theirs.is_empty())
    assert not ours or reference(ours) == theirs


@given(texts(), texts())
def test_the_hull_is_that_of_the_reference(a: str, b: str) -> None:
    ours = TimeRange.hull([TimeRange.parse(a), TimeRange.parse(b)])

    assert reference(ours) == Reference.from_str(a).extend_to_encompass_timerange(
        Reference.from_str(b)
    )


@given(texts(), texts())
def test_containment_is_that_of_the_reference(a: str, b: str) -> None:
    ours = TimeRange.parse(a).contains(TimeRange.parse(b))

    assert ours == Reference.from_str(a).contains_subrange(Reference.from_str(b))


@given(texts(), st.integers(-(10**12), 10**12))
def test_shifting_there_and_back_changes_nothing(text: str, offset: int) -> None:
    timerange = TimeRange.parse(text)

    assert timerange.shifted(offset).shifted(-offset) == timerange


@given(st.lists(texts(), max_size=6))
def test_a_hull_contains_what_it_was_made_of(parts: list[str]) -> None:
    ranges = [TimeRange.parse(text) for text in parts]

    hull = TimeRange.hull(ranges)

    assert all(hull.contains(part) for part in ranges)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("_", "_"),
        ("()", "()"),
        ("(_)", "_"),
        ("5:0", "[5:0]"),
        ("[5:0]", "[5:0]"),
        ("[5:0_5:0]", "[5:0]"),
        ("5:0_6:0", "[5:0_6:0]"),
        ("[-1:500000000_0:3)", "[-1:500000000_0:3)"),
        ("-0:5", "[-0:5]"),
        ("(5:0_", "(5:0_"),
        ("_5:0]", "_5:0]"),
    ],
)
def test_every_form_has_one_canonical_text(text: str, canonical: str) -> None:
    assert str(TimeRange.parse(text)) == canonical


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not a timerange"),
        ("[", "is not a timerange"),
        ("[]", "is not a timerange"),
        ("[1:0 _2:0)", "is not a timerange"),
        ("[1:0-2:0)", "is not a timestamp"),
        ("[01:0_2:0)", "is not a timestamp"),
        ("[1:1000000000_2:0)", "is not a timestamp"),
        ("[1.5_2)", "is not a timerange"),
        ("[6:0_5:0)", "ends before it starts"),
        ("[5:0_5:0)", "is an instant"),
        ("(5:0_5:0)", "is an instant"),
        ("(5:0)", "is an instant"),
        ("[281474976710656:0_", "out of range"),
        ("[9" + "0" * 400 + ":0_", "out of range"),
    ],
)
def test_a_text_that_cannot_be_meant_is_refused(text: str, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        TimeRange.parse(text)


def test_never_is_contained_in_everything_and_overlaps_nothing() -> None:
    assert ETERNITY.contains(NEVER)
    assert NEVER.contains(NEVER)
    assert not ETERNITY.overlaps(NEVER)


def test_an_exclusive_end_meets_the_instant_after_it_without_overlap() -> None:
    before, instant = TimeRange.parse("[1:0_2:0)"), TimeRange.parse("[2:0]")

    assert not before.overlaps(instant)
    assert before.end == instant.start
