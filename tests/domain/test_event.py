"""Which events somebody wants, and what may be moved together."""

from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest

from schemas.domain.collections import Collections, Collectors
from schemas.domain.event import (
    MOST_SEGMENTS,
    Added,
    Event,
    EventFilter,
    EventLog,
    EventType,
    Outgoing,
    collectors_of,
    next_of,
    segments_added,
)
from schemas.domain.flow import Flow
from schemas.domain.identifiers import EventId, FlowId, ObjectId, SourceId, StorageId
from schemas.domain.media_object import Controlled, MediaObject, Role
from schemas.domain.segment import Link, Segment
from schemas.domain.timerange import TimeRange
from schemas.tables.details import detail_of

NOW = datetime(2026, 11, 25, tzinfo=UTC)
NOBODY = Collections({}, {}, {})


def an_event(type_: EventType, *, flow: str | None = None, by: Collectors = Collectors()) -> Event:  # noqa: B008 - it is frozen
    flow_id = None if flow is None else FlowId(flow)
    return Event(1, EventId("e"), type_, NOW, SourceId("s"), flow_id, by, NOW, {})


def outgoing(
    name: str,
    type_: EventType = EventType.FLOW_UPDATED,
    *,
    at: int = 0,
    segments: int = 0,
    by: Collectors | None = None,
) -> Outgoing:
    source, flow = SourceId("s"), FlowId("f") if type_.startswith("flows/") else None
    return Outgoing(EventId(name), at, 0, type_, NOW, source, flow, by, segments, {})


BY = Collectors((FlowId("c"),), (SourceId("sc"),))


@pytest.mark.parametrize(
    ("wanted", "of_flow", "of_source"),
    [
        (EventFilter(), True, True),
        (EventFilter(frozenset({EventType.FLOW_UPDATED})), True, False),
        (EventFilter(flow_ids=frozenset({"f"})), True, True),
        (EventFilter(flow_ids=frozenset({"other"})), False, True),
        (EventFilter(flow_ids=frozenset()), False, True),
        (EventFilter(source_ids=frozenset({"s", "t"})), True, True),
        (EventFilter(source_ids=frozenset({"t"})), False, False),
        (EventFilter(flow_collected_by=frozenset({"c", "d"})), True, True),
        (EventFilter(flow_collected_by=frozenset({"d"})), False, True),
        (EventFilter(flow_collected_by=frozenset()), False, True),
        (EventFilter(source_collected_by=frozenset({"sc"})), True, True),
        (EventFilter(source_collected_by=frozenset({"d"})), False, False),
        (EventFilter(source_collected_by=frozenset()), False, False),
        (EventFilter(flow_ids=frozenset({"f"}), source_ids=frozenset({"t"})), False, False),
    ],
)
def test_all_filters_must_let_an_event_through(
    wanted: EventFilter, of_flow: bool, of_source: bool
) -> None:
    assert wanted(an_event(EventType.FLOW_UPDATED, flow="f", by=BY)) is of_flow
    assert wanted(an_event(EventType.SOURCE_UPDATED, by=BY)) is of_source


def test_an_empty_list_of_collectors_asks_for_what_nobody_collects() -> None:
    alone = EventFilter(flow_collected_by=frozenset(), source_collected_by=frozenset())

    assert alone(an_event(EventType.FLOW_UPDATED, flow="f"))
    assert alone(an_event(EventType.SOURCE_UPDATED))


def test_what_one_transaction_told_is_moved_together() -> None:
    waiting = [outgoing("a", at=1), *(outgoing(name, at=2) for name in "bcd"), outgoing("e", at=3)]

    assert [each.id for each in next_of(waiting, events=3, segments=9)] == ["a"]
    assert [each.id for each in next_of(waiting, events=4, segments=9)] == ["a", "b", "c", "d"]
    assert [each.id for each in next_of(waiting[1:], events=1, segments=9)] == ["b", "c", "d"]
    assert next_of([], events=1, segments=9) == []


def test_segments_count_too() -> None:
    waiting = [outgoing(name, at=at, segments=5) for at, name in enumerate("abc")]

    assert [each.id for each in next_of(waiting, events=9, segments=10)] == ["a", "b"]
    assert [each.id for each in next_of(waiting, events=9, segments=1)] == ["a"]


@pytest.mark.parametrize("name", ["o", "o" * 1_000, "\u6f22" * 1_000, "o" * 20_000])
def test_events_of_segments_fit_into_a_cell_of_the_database(name: str) -> None:
    flow = Flow(FlowId("f"), {"source_id": "s"}, NOW, "", NOW, "", "")
    init = an_object(f"{name} init")
    media = [replace(an_object(f"{name} {n}"), init_object_id=init.id) for n in range(250)]
    segments = [
        Segment(flow.id, item.id, TimeRange(4 * n, 4 * n + 3), 2, 1, 2, 3)
        for n, item in enumerate(media)
    ]

    told = segments_added(flow, segments, {item.id: item for item in (*media, init)}, NOW)

    added = [each.subject for each in told if isinstance(each.subject, Added)]
    assert [one for each in added for one in each.segments] == segments
    assert all(len(each.segments) <= MOST_SEGMENTS for each in added)
    assert all(each.objects[-1] == init for each in added)
    assert max(len(orjson.dumps(detail_of(each))) for each in added) < 128 * 1_024


def an_object(name: str) -> MediaObject:
    places = (Controlled(StorageId("b"), f"objects/{name[:1_000]}"), Link("l", f"http://x/{name}"))
    return MediaObject(
        ObjectId(name),
        Role.MEDIA,
        NOW,
        places,
        content_type="video/mp4",
        first_flow=FlowId("f"),
        timerange=TimeRange(0, 9),
    )


def test_what_was_deleted_is_collected_as_it_was_before() -> None:
    waiting = [
        outgoing("created"),
        outgoing("source", EventType.SOURCE_UPDATED),
        outgoing("gone", EventType.FLOW_DELETED, by=BY),
        outgoing("source gone", EventType.SOURCE_DELETED, by=BY),
        outgoing("source again", EventType.SOURCE_CREATED),
        outgoing("again", EventType.FLOW_CREATED),
        outgoing("changed", EventType.FLOW_UPDATED),
    ]

    found = collectors_of(waiting, NOBODY)

    assert {name for name, collectors in found.items() if collectors == BY} == {
        *("created", "source", "gone", "source gone"),
    }
    assert {found[EventId(name)] for name in ("source again", "again", "changed")} == {Collectors()}


@pytest.mark.parametrize(
    ("place", "remembered"), [(3, False), (4, True), (7, True), (9, True), (10, False)]
)
def test_a_log_remembers_what_came_after_a_place_that_it_has_had(
    place: int, remembered: bool
) -> None:
    assert EventLog(first=5, last=9).remembers(place) is remembered


def test_an_empty_log_remembers_that_there_was_nothing() -> None:
    assert EventLog(first=1, last=0).remembers(0)
    assert not EventLog(first=1, last=0).remembers(1)
