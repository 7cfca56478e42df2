"""What a batch of offers does to flows, objects and timelines."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.domain.flow import Content, Flow
from schemas.domain.identifiers import FlowId, ObjectId, StorageId
from schemas.domain.ingest import Problem
from schemas.domain.media_object import Controlled, Drop, MediaObject, Orphan, Role
from schemas.domain.placing import Anchor, Restart, Running
from schemas.domain.registration import Registration
from schemas.domain.rejection import Reason
from schemas.domain.segment import Dropped, Link, Offer, Segment
from schemas.domain.stream import Stream
from schemas.domain.timerange import NS_PER_S, TimeRange

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
    assert (known.first_flow, known.first_start) == (FLOW, TimeRange.parse("[10:0_12:0)").start)


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


RUN = Running(0, True, Anchor(0), Restart.NEW_FLOW, 600 * NS_PER_S)


def seeking(number: int, clock_s: int, *, moved: bool = False, **found: Any) -> Offer:
    """A dropped object of two seconds, whose encoder's clock showed `clock_s` when it began."""
    key = f"live/{number}.ts"
    timerange = TimeRange.half_open(clock_s * NS_PER_S, (clock_s + 2) * NS_PER_S)
    kept = f"objects/kept/{number}" if moved else None
    dropped = Dropped(STORAGE, "b", key, f"etag {number}", "video/mp2t", 9, kept, **found)
    return Offer(
        Segment(FLOW, ObjectId(key), timerange),
        object_timerange=timerange,
        dropped=dropped,
        bearing=replace(RUN, at_ns=clock_s * NS_PER_S, anchor=Anchor(clock_s * NS_PER_S)),
    )


def test_an_object_is_placed_by_those_registered_before_it_in_the_same_batch() -> None:
    batch = registration()

    for number, clock_s in ((1, 100), (2, 102), (3, 110)):
        assert batch.decide(seeking(number, clock_s)) is None

    changes = batch.changes()
    added = [str(r.timerange) for r in changes.add if isinstance(r, Segment)]
    assert added == ["[100:0_102:0)", "[102:0_104:0)", "[110:0_112:0)"]
    drops = [r.drop for r in changes.add if isinstance(r, MediaObject)]
    assert drops == [
        Drop(f"live/{n}.ts", f"etag {n}", 9, clock * NS_PER_S)
        for n, clock in ((1, 100), (2, 102), (3, 110))
    ]


def test_a_restart_begins_a_flow_in_the_same_change_as_its_first_segment() -> None:
    batch = registration()
    for number, clock_s in ((1, 100), (2, 0), (3, 2)):
        assert batch.decide(seeking(number, clock_s)) is None

    changes = batch.changes()

    (begun,) = (r for r in changes.add if isinstance(r, Flow))
    assert begun.source_id == flow().source_id
    assert begun.content == Content(TimeRange.parse("[0:0_4:0)"), 2)
    assert [r for r in changes.add if isinstance(r, Stream)] == [Stream(FLOW, begun.id, FLOW)]
    assert f"flow/{begun.id}" in changes.claim


def test_a_refused_object_does_not_make_its_stream_begin_anew() -> None:
    batch = registration()
    batch.decide(seeking(1, 100))

    assert batch.decide(seeking(2, 0, container="wav")) is not None

    added = batch.changes().add
    assert [type(r) for r in added if isinstance(r, Flow | Stream)] == []
    (problem,) = (r for r in added if isinstance(r, Problem))
    assert problem.code is Reason.WRONG_CONTAINER


def test_an_object_that_moved_lets_go_of_where_it_was_or_of_its_copy() -> None:
    batch = registration()
    batch.decide(seeking(1, 100, moved=True))
    batch.decide(seeking(2, 102, moved=True, container="wav"))

    orphans = [r for r in batch.changes().add if isinstance(r, Orphan)]

    assert orphans == [
        Orphan(STORAGE, "live/1.ts", NOW, ours=False, etag="etag 1"),
        Orphan(STORAGE, "objects/kept/2", NOW),
    ]


def test_bytes_written_over_a_registered_object_are_refused() -> None:
    known = replace(
        media("live/1.ts", "[0:0_2:0)", drop=Drop("live/1.ts", "before", 9), allocated_for=None),
        instances=(Controlled(STORAGE, "live/1.ts"),),
    )
    batch = registration(known)

    error = batch.decide(seeking(1, 100))

    assert error is not None
    assert "has been written over" in str(error)
    (problem,) = (r for r in batch.changes().add if isinstance(r, Problem))
    assert problem.code is Reason.REWRITTEN
