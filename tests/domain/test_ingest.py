"""What an object that appeared in a bucket means, and when."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.domain import ingest
from schemas.domain.errors import Invalid
from schemas.domain.identifiers import FlowId, StorageId
from schemas.domain.ingest import Appeared, Measured, Ticking, Timing, offer
from schemas.domain.ingest_rule import IngestRule, RuleId, in_order
from schemas.domain.keys import Moment, since_epoch_ns
from schemas.domain.placing import Anchor, Following, Restart, Running, Stated
from schemas.domain.rejection import Reason, Rejected
from schemas.domain.timerange import NS_PER_S, TimeRange
from schemas.rules import from_json, to_json

FLOW = FlowId("10000000-0000-4000-8000-000000000001")
NOW = datetime(2026, 11, 25, 19, 29, 13, tzinfo=UTC)
NOW_S = since_epoch_ns(NOW) // NS_PER_S
ARRIVED = Anchor(NOW_S * NS_PER_S, arrived=True)


def rule(**fields: Any) -> IngestRule:
    basic = {"bucket": "media", "prefix": "live/", "flow": {"id": FLOW}}
    return from_json(RuleId("r"), NOW, {**basic, **fields})


def appeared(key: str = "drop/a.ts", **metadata: str) -> Appeared:
    named = {name.replace("_", "-"): value for name, value in metadata.items()}
    storage = StorageId("30000000-0000-4000-8000-000000000001")
    return Appeared(storage, "media", key, "etag", 1_000, "video/mp2t", named, NOW)


def measured(start_s: float, end_s: float, **more: Any) -> Measured:
    start, end = int(start_s * NS_PER_S), int(end_s * NS_PER_S)
    return Measured(start, end, 40_000_000, 25, 1, **more)


def timing_of(applied: IngestRule, key: str) -> Timing:
    found = applied.match("media", key)
    assert found is not None
    return ingest.by_key(applied, found, appeared(key))


def test_metadata_say_the_time() -> None:
    found = appeared(tams_timerange="[10:0_12:0)", tams_ts_offset="10:0")

    offered = offer(found, FLOW, ingest.by_metadata(found), None)

    assert offered.segment.object_id == "drop/a.ts"
    assert offered.segment.timerange == TimeRange.parse("[10:0_12:0)")
    assert offered.segment.ts_offset_ns == 10 * NS_PER_S
    assert offered.dropped is not None
    assert (offered.dropped.key, offered.dropped.etag, offered.dropped.size) == (
        "drop/a.ts",
        "etag",
        1_000,
    )


def test_an_offset_in_the_metadata_moves_the_media() -> None:
    found = appeared(tams_ts_offset="-100:0")

    offered = offer(found, FLOW, ingest.by_metadata(found), measured(100, 102))

    assert offered.segment.timerange == TimeRange.parse("[0:0_2:0)")


def test_media_without_a_rule_keep_their_own_time() -> None:
    media = measured(100, 102)

    offered = offer(appeared(), FLOW, ingest.by_media(None, media, appeared()), media)

    assert offered.segment.timerange == TimeRange.parse("[100:0_102:0)")
    assert (offered.segment.ts_offset_ns, offered.bearing) == (0, None)
    assert offered.segment.last_duration_ns == 40_000_000
    assert offered.key_frame_count == 1


@pytest.mark.parametrize(
    ("template", "name", "start_ns", "duration_ns"),
    [
        ("{start:ms}_{duration:ms}.ts", f"{NOW_S}000_2000.ts", NOW_S * NS_PER_S, 2 * NS_PER_S),
        ("{start:s}-{end:s}.ts", f"{NOW_S}-{NOW_S + 3}.ts", NOW_S * NS_PER_S, 3 * NS_PER_S),
        ("{start:iso}.ts", "20261125T192913Z.ts", NOW_S * NS_PER_S, None),
    ],
)
def test_a_key_says_a_start_and_perhaps_how_long(
    template: str, name: str, start_ns: int, duration_ns: int | None
) -> None:
    timing = timing_of(rule(key=template), f"live/{name}")

    assert isinstance(timing.bearing, Stated)
    assert (timing.bearing.start_ns, timing.duration_ns) == (start_ns, duration_ns)
    assert timing.needs_media == (duration_ns is None)


def test_a_sequence_number_is_a_clock_of_its_own() -> None:
    numbered = rule(key="seg{sequence}.ts", sequence_duration="2:0", origin="1000:0")

    timing = timing_of(numbered, "live/seg00012.ts")

    assert timing.bearing == Running(
        24 * NS_PER_S, False, Anchor(1_024 * NS_PER_S), numbered.restart, numbered.tolerance_ns
    )


def test_numbered_segments_play_no_longer_than_their_number_allows() -> None:
    found = appeared("live/seg1.ts")
    timing = timing_of(rule(key="seg{sequence}.ts", sequence_duration="2:0"), found.key)

    lengths = [
        offer(found, FLOW, timing, measured(7, 7 + length)).segment.timerange.duration_ns
        for length in (2.002, 1.96, 0.5)
    ]

    assert lengths == [2 * NS_PER_S, 1_960_000_000, 500_000_000]


@pytest.mark.parametrize(
    ("media", "bearing"),
    [
        (
            measured(5, 7, ticking=Ticking.WRAPPING),
            Running(5 * NS_PER_S, True, ARRIVED, Restart.CONTINUE, 600 * NS_PER_S),
        ),
        (
            measured(5, 7, ticking=Ticking.COUNTING),
            Running(5 * NS_PER_S, False, ARRIVED, Restart.CONTINUE, 600 * NS_PER_S),
        ),
        (
            measured(0, 7, ticking=Ticking.NOTHING, sample_rate=48_000),
            Following(ARRIVED, 48_000),
        ),
        (
            measured(0, 7, ticking=Ticking.NOTHING, stated=Moment(NOW_S * NS_PER_S, 5)),
            Stated(NOW_S * NS_PER_S, 5),
        ),
    ],
)
def test_media_say_what_their_clock_shows(media: Measured, bearing: object) -> None:
    assert ingest.by_media(rule(), media, appeared()).bearing == bearing


@pytest.mark.parametrize("time", ["0", "86400", str(NOW_S + 3 * 86_400), "9" * 30])
def test_a_clock_in_1970_or_in_the_future_is_refused(time: str) -> None:
    with pytest.raises(Rejected, match="is the encoder's clock set") as refused:
        timing_of(rule(key="{start:s}.ts"), f"live/{time}.ts")
    assert refused.value.reason is Reason.IMPLAUSIBLE_TIME


@pytest.mark.parametrize("length", [1.0, 2.5])
def test_media_that_do_not_last_as_long_as_the_key_says_are_refused(length: float) -> None:
    timing = timing_of(rule(key="{start:s}_{duration:s}.ts"), f"live/{NOW_S}_2.ts")

    with pytest.raises(Rejected, match="was it uploaded whole") as refused:
        offer(appeared(), FLOW, timing, measured(0, length))
    assert refused.value.reason is Reason.WRONG_DURATION


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({}, "no timerange"),
        ({"tams_timerange": "[2:0_1:0)"}, "tams-timerange: .*before it"),
        ({"tams_ts_offset": "x"}, "tams-ts-offset: 'x' is not"),
    ],
)
def test_metadata_that_cannot_be_read_say_why(metadata: Mapping[str, str], reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        ingest.by_metadata(appeared(**metadata))


def test_an_end_that_is_not_after_its_start_is_refused() -> None:
    with pytest.raises(Rejected, match="not after its start"):
        timing_of(rule(key="{start:s}-{end:s}.ts"), f"live/{NOW_S}-{NOW_S}.ts")


@pytest.mark.parametrize(
    ("container", "content_format", "ok"),
    [
        ("video/mp2t", "urn:x-nmos:format:video", True),
        ("video/mp4", "urn:x-nmos:format:video", False),
        ("video/unheard-of", "urn:x-nmos:format:video", True),
        (None, "urn:x-nmos:format:audio", True),
    ],
)
def test_media_must_be_in_the_container_of_their_flow(
    container: str | None, content_format: str, ok: bool
) -> None:
    item = ingest.dropped(appeared(), measured(0, 1, container="mpegts", essence="video"))

    if ok:
        ingest.require_fits(item, container, content_format)
    else:
        with pytest.raises(Rejected, match="is mpegts, and media of the flow are video/mp4"):
            ingest.require_fits(item, container, content_format)


def test_a_rule_names_a_flow_by_what_the_key_says() -> None:
    named = rule(key="{camera}/{start:ms}.ts", flow={"name": "cam {camera}"})
    first, again, other = (
        named.flow.flow_id(named.match("media", key) or {})
        for key in ("live/1/0.ts", "live/1/5.ts", "live/2/0.ts")
    )

    assert first == again
    assert first != other


def test_a_flow_to_be_created_is_filled_with_what_the_key_says() -> None:
    create = {"format": "f", "label": "camera {camera}", "tags": {"cam": ["{camera}"]}}
    made = rule(key="{camera}/{**}", flow={"name": "{camera}", "create": create})
    found = made.match("media", "live/7/x.ts") or {}

    document = made.flow.document(FLOW, found) or {}

    assert document["label"] == "camera 7"
    assert document["tags"] == {"cam": ["7"]}
    assert document["id"] == FLOW
    assert document["source_id"] not in {None, FLOW}


def test_rules_are_tried_by_priority_then_age() -> None:
    young = replace(rule(), id=RuleId("b"), created=NOW.replace(year=2027))
    urgent = replace(rule(priority=1), id=RuleId("c"), created=NOW.replace(year=2028))

    assert [each.id for each in in_order([young, rule(), urgent])] == ["c", "r", "b"]


@pytest.mark.parametrize(
    ("bucket", "key", "enabled", "matches"),
    [
        ("media", "live/a.ts", True, True),
        ("media", "live/a.ts", False, False),
        ("other", "live/a.ts", True, False),
        ("media", "vod/a.ts", True, False),
        ("media", "live/a.mp4", True, False),
    ],
)
def test_a_rule_is_for_keys_below_its_prefix_that_its_template_matches(
    bucket: str, key: str, enabled: bool, matches: bool
) -> None:
    assert (rule(key="{name}.ts", enabled=enabled).match(bucket, key) is not None) == matches


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"flow": {}}, "flow"),
        ({"flow": {"id": FLOW, "name": "x"}}, "flow"),
        ({"flow": {"id": "nonsense"}}, "flow.id"),
        ({"flow": {"name": "{camera}"}}, "flow.name"),
        ({"flow": {"name": "x", "create": {"label": "{camera}"}}}, "flow.create"),
        ({"key": "{start}"}, "key"),
        ({"key": "{sequence}.ts"}, "sequence_duration"),
        ({"key": "{sequence}.ts", "sequence_duration": "0:0"}, "sequence_duration"),
        ({"times": []}, "times"),
        ({"times": ["media", "media"]}, "times"),
        ({"times": ["playlist", "media"]}, "times"),
        ({"origin": "yesterday"}, "origin"),
        ({"tolerance": "-1:0"}, "tolerance"),
        ({"not_before": "10"}, "not_before"),
        ({"init": "{stream}.mp4"}, "init"),
    ],
)
def test_a_rule_that_cannot_be_applied_is_refused_by_field(
    fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        rule(**fields)
    assert refused.value.field == field


def test_a_rule_is_the_same_after_it_was_json() -> None:
    whole = rule(
        key="{camera}_{sequence}.m4s",
        init="{camera}_init.mp4",
        flow={"name": "{camera}", "create": {"container": "video/mp4"}},
        times=["key", "playlist"],
        sequence_duration="2:0",
        origin="2026-11-25T19:29:13.5Z",
        restart="new-flow",
        store="move",
        check_media=False,
    )

    assert from_json(whole.id, whole.created, to_json(whole)) == whole
