"""What events tell of comes out of the log as it went in, and as earlier versions put it there."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from schemas.domain.collections import Collections, Collectors
from schemas.domain.event import Added, Event, EventType, Outgoing
from schemas.domain.identifiers import EventId, FlowId, ObjectId, SourceId, StorageId
from schemas.domain.media_object import Controlled, Drop, MediaObject, Role
from schemas.domain.segment import Link, Segment
from schemas.domain.timerange import TimeRange
from schemas.tables import rows
from schemas.tables.details import completed, detail_of, inits_missing, subject_of

NOW = datetime(2026, 11, 25, tzinfo=UTC)
INIT = MediaObject(ObjectId("init"), Role.INIT, NOW, (Link("l", "http://x/i"),), references=1)


def an_object(number: int) -> MediaObject:
    links = (Link("l", f"http://x/{number}"),)
    within, flow = TimeRange(2 * number, 2 * number + 2), FlowId("f")
    return MediaObject(
        ObjectId(f"o{number}"), Role.MEDIA, NOW, links, first_flow=flow, timerange=within
    )


def added(objects: list[MediaObject]) -> Added:
    segments = [
        Segment(FlowId("f"), item.id, TimeRange(8 * at, 8 * at + 2), sample_count=at or None)
        for at, item in enumerate(objects)
    ]
    return Added(tuple(segments), tuple(objects))


def stored(detail: Mapping[str, Any]) -> dict[str, Any]:
    read: dict[str, Any] = orjson.loads(orjson.dumps(detail))
    return read


def told(detail: Mapping[str, Any]) -> object:
    flow, source, type_ = FlowId("f"), SourceId("s"), EventType.SEGMENTS_ADDED
    return subject_of(Event(1, EventId("e"), type_, NOW, source, flow, Collectors(), NOW, detail))


MANY = [an_object(number) for number in range(4)]
DIFFERENT = [
    MANY[0],
    replace(MANY[1], created=NOW + timedelta(hours=1), init_object_id=INIT.id, key_frame_count=2),
    replace(MANY[2], instances=(Controlled(StorageId("b"), "k"),), drop=Drop("k", "e", 3, 4)),
    replace(MANY[3], instances=(), content_type="video/mp4", allocated_for=FlowId("f")),
]


@pytest.mark.parametrize("objects", [MANY[:1], MANY, DIFFERENT[1:2], DIFFERENT])
def test_segments_and_objects_survive(objects: list[MediaObject]) -> None:
    assert told(stored(detail_of(added(objects)))) == added(objects)


def test_what_is_the_same_is_written_once() -> None:
    written = orjson.dumps(detail_of(added(MANY)))

    assert written.count(b"flow_id") == written.count(b'"media"') == 1
    assert b"content_type" not in written


def test_rows_of_earlier_versions_are_read() -> None:
    subject = added(DIFFERENT)
    each = {"segments": subject.segments, "objects": subject.objects}
    detail = {
        table: [_row(rows.to_row(record)) for record in records] for table, records in each.items()
    }

    assert told(stored(detail)) == subject
    assert inits_missing(stored(detail)) == {INIT.id}


@pytest.mark.parametrize("objects", [DIFFERENT, DIFFERENT[1:2], [*MANY, DIFFERENT[1]]])
def test_missing_inits_are_added(objects: list[MediaObject]) -> None:
    detail = stored(detail_of(added(objects)))
    assert inits_missing(detail) == {INIT.id}

    kind, source, flow = EventType.SEGMENTS_ADDED, SourceId("s"), FlowId("f")
    each = Outgoing(EventId("e"), 0, 0, kind, NOW, source, flow, None, len(objects), detail)
    whole = stored(completed(each, {INIT.id: INIT}, Collections({}, {}, {})))

    assert inits_missing(whole) == set()
    assert told(whole) == replace(added(objects), objects=(*objects, INIT))


def test_shared_inits_are_missed_too() -> None:
    both = [replace(item, init_object_id=INIT.id) for item in MANY]

    assert inits_missing(stored(detail_of(added(both)))) == {INIT.id}
    assert inits_missing(stored(detail_of(replace(added(both), objects=(*both, INIT))))) == set()


def _row(row: rows.Row) -> dict[str, Any]:
    """A row as versions wrote it that knew no blocks."""
    return {
        name: orjson.Fragment(value) if name == "instances" else value
        for name, value in row.items()
        if value is not None
    }
