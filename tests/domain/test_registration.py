"""What a batch of offers does to flows, objects and timelines."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.domain.flow import Content, Flow
from schemas.domain.identifiers import FlowId, ObjectId, StorageId
from schemas.domain.ingest import Problem
from schemas.domain.media_object import Controlled, MediaObject, Role
from schemas.domain.registration import Registration
from schemas.domain.segment import Dropped, Link, Offer, Segment
from schemas.domain.timerange import TimeRange

NOW = datetime(2026, 11, 20, tzinfo=UTC)
FLOW = FlowId("10000000-0000-4000-8000-000000000001")
OTHER = FlowId("10000000-0000-4000-8000-000000000002")
STORAGE = StorageId("30000000-0000-4000-8000-000000000001")


def flow(flow_id: FlowId = FLOW, **document: Any) -> Flow:
    given = {"source_id": "s", "format": "f", "container": "video/mp2t", **document}
    return Flow(flow_id, given, NOW, "me", NOW, "me", "1")


def allocated(object_id: str, flow_id: FlowId = FLOW) -> MediaObject:
    return MediaObject(
        ObjectId(object_id),
        Role.ALLOCATED,
        NOW,
        (Controlled(STORAGE, f"objects/{object_id}"),),
        content_type="video/mp2t",
        allocated_for=flow_id,
    )


def media(object_id: str, timerange: str, **more: Any) -> MediaObject:
    known = replace(allocated(object_id), role=Role.MEDIA, timerange=TimeRange.parse(timerange))
    return replace(known, **more)


def offer(object_id: str, timerange: str, *, flow_id: FlowId = FLOW, **more: Any) -> Offer:
    ts_offset_ns = more.pop("ts_offset_ns", 0)
    segment = Segment(flow_id, ObjectId(object_id), TimeRange.parse(timerange), ts_offset_ns)
    return Offer(segment, **more)


def registration(*objects: MediaObject, flows: tuple[Flow, ...] = (flow(),)) -> Registration:
    return Registration(
        {f.id: f for f in flows}, {o.id: o for o in objects}, {}, labels={"default"}, now=NOW
    )


def test_an_allocated_object_becomes_media_with_the_time_its_segment_takes() -> None:
    batch = registration(allocated("a"))

    assert batch.decide(offer("a", "[10:0_12:0)", ts_offset_ns=10**10, key_frame_count=2)) is None

    changes = batch.changes()
    (known,) = (r for r in changes.replace if isinstance(r, MediaObject))
    assert known.role is Role.MEDIA
    assert known.timerange == TimeRange.parse("[0:0_2:0)")
    assert known.key_frame_count == 2
    assert known.first_flow == FLOW


def test_the_flow_grows_by_what_was_added() -> None:
    batch = registration(allocated("a"), allocated("b"))

    batch.decide(offer("a", "[10:0_12:0)"))
    batch.decide(offer("b", "[20:0_22:0)"))

    (grown,) = (r for r in batch.changes().replace if isinstance(r, Flow))
    assert grown.content == Content(TimeRange.parse("[10:0_22:0)"), 2)
    assert grown.segments_updated == NOW


def test_a_refused_segment_does_not_stop_its_neighbours() -> None:
    batch = registration(allocated("a"), allocated("b"), allocated("c"))

    refusals = [
        batch.decide(offer("a", "[0:0_2:0)")),
        batch.decide(offer("b", "[1:0_3:0)")),
        batch.decide(offer("c", "[2:0_4:0)")),
    ]

    assert [refusal is None for refusal in refusals] == [True, False, True]
    assert refusals[1] is not None
    assert refusals[1].field == "timerange"


def test_a_refused_segment_claims_nothing() -> None:
    batch = registration(allocated("a"), allocated("b"))
    batch.decide(offer("a", "[0:0_2:0)"))

    batch.decide(offer("b", "[1:0_3:0)"))

    touched = {r.id for r in batch.changes().replace if isinstance(r, MediaObject)}
    assert touched == {"a"}


def test_the_same_offer_twice_in_a_batch_is_one_segment() -> None:
    batch = registration(allocated("a"))

    assert batch.decide(offer("a", "[0:0_2:0)")) is None
    assert batch.decide(offer("a", "[0:0_2:0)")) is None

    assert sum(isinstance(r, Segment) for r in batch.changes().add) == 1


@pytest.mark.parametrize(
    ("objects", "offered", "field", "reason"),
    [
        ((), offer("a", "[0:0_1:0)"), "object_id", "does not exist"),
        ((allocated("a", OTHER),), offer("a", "[0:0_1:0)"), "object_id", "allocated for flow"),
        (
            (replace(allocated("a"), role=Role.INIT),),
            offer("a", "[0:0_1:0)"),
            "object_id",
            "cannot be used as media",
        ),
        (
            (allocated("a"),),
            offer("a", "[0:0_2:0)", object_timerange=TimeRange.parse("[0:0_1:0)")),
            "timerange",
            "not within",
        ),
        ((media("a", "[0:0_1:0)"),), offer("a", "[5:0_6:0)"), "timerange", "not within"),
        (
            (media("a", "[0:0_9:0)"),),
            offer("a", "[0:0_1:0)", object_timerange=TimeRange.parse("[0:0_8:0)")),
            "object_timerange",
            "is registered with object_timerange",
        ),
        (
            (media("a", "[0:0_9:0)", key_frame_count=3),),
            offer("a", "[0:0_1:0)", key_frame_count=4),
            "key_frame_count",
            "is registered with key_frame_count 3",
        ),
        (
            (allocated("a"),),
            offer("a", "[0:0_1:0)", init_object_id="i"),
            "init_object_id",
            "does not have init_segments",
        ),
        (
            (allocated("a"),),
            offer("a", "[0:0_1:0)", links=(Link("default", "http://x"),)),
            "get_urls",
            "belongs to a storage backend",
        ),
        (
            (allocated("a"),),
            offer("a", "[0:0_1:0)", links=(Link("l", "http://x"), Link("l", "http://y"))),
            "get_urls",
            "more than once",
        ),
    ],
)
def test_an_offer_that_breaks_a_rule_is_refused_naming_the_field(
    objects: tuple[MediaObject, ...], offered: Offer, field: str, reason: str
) -> None:
    refusal = registration(*objects).decide(offered)

    assert refusal is not None
    assert refusal.field == field
    assert reason in str(refusal)


def test_a_flow_with_init_segments_needs_one_for_every_object() -> None:
    fmp4 = flow(essence_parameters={"init_segments": True})
    batch = registration(allocated("a"), allocated("b"), allocated("i"), flows=(fmp4,))

    refusal = batch.decide(offer("a", "[0:0_1:0)"))
    accepted = batch.decide(offer("b", "[0:0_1:0)", init_object_id="i"))

    assert refusal is not None
    assert refusal.field == "init_object_id"
    assert accepted is None
    roles = {r.id: r.role for r in batch.changes().replace if isinstance(r, MediaObject)}
    assert roles == {"b": Role.MEDIA, "i": Role.INIT}


def test_another_flow_may_reuse_part_of_a_registered_object() -> None:
    batch = registration(media("a", "[0:0_9:0)"), flows=(flow(), flow(OTHER)))

    refusal = batch.decide(offer("a", "[102:0_104:0)", flow_id=OTHER, ts_offset_ns=100 * 10**9))

    assert refusal is None
    (reused,) = (r for r in batch.changes().replace if isinstance(r, MediaObject))
    assert reused == media("a", "[0:0_9:0)", references=1)


def test_an_object_held_elsewhere_is_registered_by_its_urls() -> None:
    batch = registration()

    refusal = batch.decide(offer("far", "[0:0_1:0)", links=(Link("cdn", "http://cdn/far"),)))

    assert refusal is None
    changes = batch.changes()
    (known,) = (r for r in changes.add if isinstance(r, MediaObject))
    assert known.instances == (Link("cdn", "http://cdn/far"),)
    assert changes.claim == {"far"}


def test_a_dropped_file_that_is_refused_is_put_on_record() -> None:
    batch = registration(flows=())
    dropped = Dropped(STORAGE, "media", "drop/x.ts", "etag", "video/mp2t")

    batch.decide(offer("drop/x.ts", "[0:0_1:0)", dropped=dropped))

    (problem,) = batch.changes().add
    assert isinstance(problem, Problem)
    assert problem.key == "drop/x.ts"
    assert problem.reason == f"flow {FLOW} does not exist"


def test_a_read_only_flow_takes_no_segments() -> None:
    batch = registration(allocated("a"), flows=(flow(read_only=True),))

    refusal = batch.decide(offer("a", "[0:0_1:0)"))

    assert type(refusal).__name__ == "ReadOnly"
