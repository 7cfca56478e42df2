"""What an object that appeared in a bucket means."""

from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.domain.errors import Invalid
from schemas.domain.identifiers import StorageId
from schemas.domain.ingest import (
    Appeared,
    KeyTemplate,
    Measured,
    Placement,
    offer,
    place,
)
from schemas.domain.timerange import NS_PER_S, TimeRange

FLOW = "10000000-0000-4000-8000-000000000001"
TEMPLATE = KeyTemplate(
    "media", "live/", r"(?P<flow>[^/]+)/(?P<start>\d+(\.\d+)?)(_(?P<duration>\d+))?\.ts", "ms"
)


def appeared(key: str = "drop/a.ts", **metadata: str) -> Appeared:
    named = {name.replace("_", "-"): value for name, value in metadata.items()}
    return Appeared(
        StorageId("30000000-0000-4000-8000-000000000001"),
        "media",
        key,
        "etag",
        1_000,
        "video/mp2t",
        named,
        datetime(2026, 11, 20, tzinfo=UTC),
    )


def measured(start_s: int, end_s: int) -> Measured:
    return Measured(start_s * NS_PER_S, end_s * NS_PER_S, 40_000_000, 25, 1)


def test_metadata_say_flow_and_time() -> None:
    found = appeared(tams_flow_id=FLOW, tams_timerange="[10:0_12:0)", tams_ts_offset="10:0")

    offered = offer(found, place(found, ()), None)

    assert offered.segment.flow_id == FLOW
    assert offered.segment.object_id == "drop/a.ts"
    assert offered.segment.timerange == TimeRange.parse("[10:0_12:0)")
    assert offered.segment.ts_offset_ns == 10 * NS_PER_S
    assert offered.dropped is not None
    assert offered.dropped.key == "drop/a.ts"


def test_a_key_says_flow_and_time_in_the_unit_of_its_template() -> None:
    found = appeared(f"live/{FLOW}/1500_500.ts")

    placement = place(found, [TEMPLATE])

    assert placement == Placement(FLOW, TimeRange.parse("[1:500000000_2:0)"))  # type: ignore[arg-type]


def test_a_number_in_a_key_may_have_a_fraction_and_stays_exact() -> None:
    placement = place(appeared(f"live/{FLOW}/0.000001_1.ts"), [TEMPLATE])

    assert placement.timerange == TimeRange.parse("[0:1_0:1000001)")


def test_metadata_win_over_the_key() -> None:
    found = appeared(f"live/{FLOW}/1500_500.ts", tams_timerange="[7:0_8:0)")

    assert place(found, [TEMPLATE]).timerange == TimeRange.parse("[7:0_8:0)")


def test_media_without_a_stated_time_keep_their_own() -> None:
    found = appeared(tams_flow_id=FLOW)

    offered = offer(found, place(found, ()), measured(100, 102))

    assert offered.segment.timerange == TimeRange.parse("[100:0_102:0)")
    assert offered.segment.ts_offset_ns == 0
    assert offered.segment.last_duration_ns == 40_000_000
    assert offered.key_frame_count == 1


def test_a_start_in_the_key_moves_the_media_there() -> None:
    found = appeared(f"live/{FLOW}/5000.ts")

    offered = offer(found, place(found, [TEMPLATE]), measured(100, 102))

    assert offered.segment.timerange == TimeRange.parse("[5:0_7:0)")
    assert offered.segment.ts_offset_ns == -95 * NS_PER_S
    assert offered.object_timerange == TimeRange.parse("[100:0_102:0)")


def test_an_offset_in_the_metadata_moves_the_media() -> None:
    found = appeared(tams_flow_id=FLOW, tams_ts_offset="-100:0")

    offered = offer(found, place(found, ()), measured(100, 102))

    assert offered.segment.timerange == TimeRange.parse("[0:0_2:0)")


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (appeared(), "no flow"),
        (appeared(tams_flow_id="nonsense"), "tams-flow-id: 'nonsense' is not a UUID"),
        (appeared(tams_flow_id=FLOW, tams_timerange="[2:0_1:0)"), "tams-timerange: .*before it"),
        (appeared(tams_flow_id=FLOW, tams_ts_offset="x"), "tams-ts-offset: 'x' is not"),
        (appeared(f"live/{FLOW}/1_0.ts"), "not after its start"),
    ],
)
def test_what_cannot_be_interpreted_says_why(found: Appeared, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        place(found, [TEMPLATE])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"unit": "weeks"}, "unit 'weeks'"),
        ({"pattern": "("}, "pattern"),
        ({"pattern": r"(?P<start>\d+)"}, "no group named flow"),
        ({"pattern": r"(?P<flow>.+)(?P<colour>x)"}, "unknown groups"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        KeyTemplate(**{"bucket": "b", "prefix": "", "pattern": "(?P<flow>.+)", **change})
