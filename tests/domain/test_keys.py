"""Key templates, and the times in keys."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.domain.errors import Invalid
from schemas.domain.keys import (
    KeyTemplate,
    Moment,
    filled,
    order_of,
    parse_iso,
    since_epoch_ns,
)
from schemas.domain.timerange import NS_PER_S

FLOW = "10000000-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("template", "key", "found"),
    [
        ("{flow}/{start:ms}.ts", f"{FLOW}/1500.ts", {"flow": FLOW, "start": "1500"}),
        ("{flow}/{start:ms}.ts", f"{FLOW.upper()}/1.ts", {"flow": FLOW.upper(), "start": "1"}),
        ("{flow}/{start:ms}.ts", "not-a-flow/1500.ts", None),
        ("{flow}/{start:ms}.ts", f"{FLOW}/1500.ts.part", None),
        ("{camera}/{*}_{sequence}.m4s", "c1/main_00012.m4s", {"camera": "c1", "sequence": "00012"}),
        ("{camera}.ts", "a/b.ts", None),
        ("{**}/{camera}.ts", "a/b/c.ts", {"camera": "c"}),
        ("a{{b}}{x}", "a{b}c", {"x": "c"}),
        ("cam.{x}", "camXc", None),
    ],
)
def test_a_key_is_taken_apart(template: str, key: str, found: dict[str, str] | None) -> None:
    assert KeyTemplate(template).match(key) == found


@pytest.mark.parametrize(
    ("spec", "text", "ns", "precision_ns"),
    [
        ("s", "1795634953", 1_795_634_953 * NS_PER_S, NS_PER_S),
        ("s", "1795634953.25", 1_795_634_953_250_000_000, 10_000_000),
        ("ms", "1795634953001", 1_795_634_953_001_000_000, 1_000_000),
        ("us", "7", 7_000, 1_000),
        ("ns", "7", 7, 1),
        ("tai", "1795634990:5", 1_795_634_990_000_000_005, 1),
        ("iso", "2026-11-25T19:29:13Z", 1_795_634_953 * NS_PER_S, NS_PER_S),
        ("iso", "20261125T192913", 1_795_634_953 * NS_PER_S, NS_PER_S),
        ("iso", "20261125T192913.5Z", 1_795_634_953_500_000_000, NS_PER_S // 10),
        ("iso", "2026-11-25T20:29:13+01:00", 1_795_634_953 * NS_PER_S, NS_PER_S),
        ("iso", "20261125T152913-0400", 1_795_634_953 * NS_PER_S, NS_PER_S),
        ("iso", "2026-11-25_19-29-13", 1_795_634_953 * NS_PER_S, NS_PER_S),
    ],
)
def test_a_time_is_read_as_its_template_says_and_is_as_precise_as_it_is_written(
    spec: str, text: str, ns: int, precision_ns: int
) -> None:
    template = KeyTemplate(f"{{camera}}/{{start:{spec}}}.ts")
    found = template.match(f"c/{text}.ts")

    assert found is not None
    assert template.moment(found, "start") == Moment(ns, precision_ns)


def test_the_parts_of_a_date_may_be_directories() -> None:
    template = KeyTemplate("{start:iso}.ts")
    found = template.match("2026/11/25/19/29/13.ts")

    assert found is not None
    assert template.moment(found, "start") == parse_iso("2026-11-25T19:29:13Z")


def test_a_leap_second_is_the_second_after_it() -> None:
    assert parse_iso("2016-12-31T23:59:60Z") == parse_iso("2017-01-01T00:00:00Z")


@pytest.mark.parametrize("text", ["2026-13-01T00:00:00", "2026-02-30T00:00:00", "20260101T250000"])
def test_a_time_that_no_calendar_has_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="no time of the calendar"):
        parse_iso(text)


@given(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001 - UTC is added
def test_iso_times_are_counted_as_the_wall_clock_is(moment: datetime) -> None:
    moment = moment.replace(tzinfo=UTC)

    assert parse_iso(moment.isoformat()).ns == since_epoch_ns(moment)
    assert parse_iso(moment.strftime("%Y%m%dT%H%M%S.%f")).ns == since_epoch_ns(moment)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{start}.ts", "does not say how start is written"),
        ("{start:weeks}.ts", "does not say how start is written"),
        ("{start:ms}_{duration:iso}.ts", "does not say how duration is written"),
        ("{camera:ms}.ts", "which is no time"),
        ("{start:ms}{sequence}", "both a start and a sequence"),
        ("{start:ms}_{end:ms}_{duration:ms}", "both an end and a duration"),
        ("{duration:ms}", "no start"),
        ("{a}{a}", "twice"),
        ("{a b}", "without a proper name"),
        ("{a!r}", "'!'"),
        ("{a", "without its partner"),
    ],
)
def test_a_template_that_cannot_be_meant_is_refused(template: str, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        KeyTemplate(template)


def test_a_text_is_filled_with_what_the_key_says() -> None:
    assert filled("camera {camera} {{}}", {"camera": "7"}) == "camera 7 {}"
    with pytest.raises(Invalid, match="which the key does not say"):
        filled("{studio}", {"camera": "7"})


def test_keys_of_a_series_are_in_the_order_of_their_numbers() -> None:
    keys = [f"live/seg-{n}.ts" for n in (8, 9, 10, 100)]

    assert sorted(keys, key=order_of) == keys
    assert order_of("live/seg-1.ts")[0] != order_of("live/other-1.ts")[0]
