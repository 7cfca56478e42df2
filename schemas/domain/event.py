"""Events: what is told of flows, their segments and sources (TAMS 8.2, `webhooks`).

* A `Happening` is part of the `Changes` of the transaction in which it happens, and goes into the
  outbox with them: it is there exactly when they are.
* Moved from the outbox to the log it is an `Event`, with the next number in `sequence` and with who
  collects its flow and its source, as they are then. Of what was deleted, these are as they were
  before that.
* Segments of one transaction are told together, by flow, in events of a limited size.
* A flow is deleted when it is marked as going; its segments go after that.
* Filters look at what is around the detail of an event; the detail is what its body is made from.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import Any, Final

from schemas.domain.collections import Collections, Collectors
from schemas.domain.flow import Flow
from schemas.domain.identifiers import EventId, FlowId, ObjectId, SourceId
from schemas.domain.media_object import MediaObject
from schemas.domain.segment import Link, Segment
from schemas.domain.source import Source
from schemas.domain.timerange import TimeRange

MOST_SEGMENTS: Final = 100
"""The most segments one event tells of, if it is not too large with fewer."""

# A cell of the database holds 128 KiB; this is about what the details of an event may take of it.
_LARGEST: Final = 96_000
# What a segment takes with its object and init object, beside names and addresses.
_OF_SEGMENT: Final = 700


class EventType(StrEnum):
    """What may happen."""

    FLOW_CREATED = "flows/created"
    FLOW_UPDATED = "flows/updated"
    FLOW_DELETED = "flows/deleted"
    SEGMENTS_ADDED = "flows/segments_added"
    SEGMENTS_DELETED = "flows/segments_deleted"
    SOURCE_CREATED = "sources/created"
    SOURCE_UPDATED = "sources/updated"
    SOURCE_DELETED = "sources/deleted"


@dataclass(frozen=True, slots=True)
class Added:
    """Segments that came into a flow, and the objects that are known of them and their inits."""

    segments: tuple[Segment, ...]
    objects: tuple[MediaObject, ...]


# What an event tells of: the flow or source as it is now, or what of a flow changed.
Subject = Flow | Source | Added | TimeRange | None


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happens in a transaction; `flow_id` is that of events of flows.

    `collectors` are given where they cannot be found out afterwards.
    """

    type: EventType
    occurred: datetime
    source_id: SourceId
    flow_id: FlowId | None = None
    subject: Subject = None
    collectors: Collectors | None = None

    @property
    def segments(self) -> int:
        """How many segments it tells of, one by one."""
        return len(self.subject.segments) if isinstance(self.subject, Added) else 0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A happening in the outbox: the `number`th of the transaction that wrote it at `posted_ns`."""

    id: EventId
    posted_ns: int
    number: int
    type: EventType
    occurred: datetime
    source_id: SourceId
    flow_id: FlowId | None
    collectors: Collectors | None
    segments: int
    detail: Mapping[str, Any]

    def logged(
        self, sequence: int, collectors: Collectors, detail: Mapping[str, Any], now: datetime
    ) -> "Event":
        """The event it becomes."""
        return Event(
            sequence,
            self.id,
            self.type,
            self.occurred,
            self.source_id,
            self.flow_id,
            collectors,
            now,
            detail,
        )


@dataclass(frozen=True, slots=True)
class Event:
    """One event in the log, where it came at `logged`.

    `id` is a UUID that receivers can tell a repetition by, `sequence` the place in the log.
    """

    sequence: int
    id: EventId
    type: EventType
    occurred: datetime
    source_id: SourceId
    flow_id: FlowId | None
    collectors: Collectors
    logged: datetime
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EventLog:
    """Where the log begins and ends: events `first` to `last` are kept, without gaps."""

    first: int
    last: int

    def remembers(self, position: int) -> bool:
        """Whether every event after `position` is kept, and `position` is one there has been."""
        return self.first - 1 <= position <= self.last


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events somebody wants (schema `webhook`); None where nothing is asked for.

    Flows are asked for only in events of flows. Nobody at all collects what an empty `..._by`
    asks for.
    """

    types: frozenset[EventType] = frozenset(EventType)
    flow_ids: frozenset[str] | None = None
    source_ids: frozenset[str] | None = None
    flow_collected_by: frozenset[str] | None = None
    source_collected_by: frozenset[str] | None = None

    def __call__(self, event: Event) -> bool:
        """Whether `event` is one of them."""
        if event.flow_id is not None and not (
            _among([event.flow_id], self.flow_ids)
            and _collected(event.collectors.flows, self.flow_collected_by)
        ):
            return False
        return (
            event.type in self.types
            and _among([event.source_id], self.source_ids)
            and _collected(event.collectors.sources, self.source_collected_by)
        )


def flow_created(flow: Flow) -> Happening:
    """A flow has come into being."""
    return Happening(
        EventType.FLOW_CREATED, flow.metadata_updated, flow.source_id, flow.id, subject=flow
    )


def flow_updated(flow: Flow) -> Happening:
    """The metadata of a flow have been changed."""
    return Happening(
        EventType.FLOW_UPDATED, flow.metadata_updated, flow.source_id, flow.id, subject=flow
    )


def flow_deleted(flow: Flow, collectors: Collectors, now: datetime) -> Happening:
    """A flow has been marked as going; `collectors` are those it had."""
    return Happening(
        EventType.FLOW_DELETED, now, flow.source_id, flow.id, subject=None, collectors=collectors
    )


def segments_added(
    flow: Flow, segments: Sequence[Segment], objects: Mapping[ObjectId, MediaObject], now: datetime
) -> list[Happening]:
    """Segments have come into a flow; `objects` has theirs, and those of their inits it knows."""
    return [
        Happening(
            EventType.SEGMENTS_ADDED,
            now,
            flow.source_id,
            flow.id,
            Added(tuple(some), _objects_of(some, objects)),
        )
        for some in _split(segments, objects)
    ]


def segments_deleted(
    flow: Flow, segments: Iterable[Segment], collectors: Collectors | None, now: datetime
) -> Happening:
    """Segments have gone, at least one; the timerange begins and ends on such."""
    timerange = TimeRange.hull(segment.timerange for segment in segments)
    return Happening(
        EventType.SEGMENTS_DELETED, now, flow.source_id, flow.id, timerange, collectors
    )


def source_created(source: Source) -> Happening:
    """A source has come into being, with its first flow."""
    return Happening(EventType.SOURCE_CREATED, source.updated, source.id, subject=source)


def source_updated(source: Source) -> Happening:
    """The metadata of a source have been changed."""
    return Happening(EventType.SOURCE_UPDATED, source.updated, source.id, subject=source)


def source_deleted(source_id: SourceId, collectors: Collectors, now: datetime) -> Happening:
    """A source has gone, with its last flow; `collectors` are those it had."""
    return Happening(EventType.SOURCE_DELETED, now, source_id, collectors=collectors)


def next_of(waiting: Sequence[Outgoing], *, events: int, segments: int) -> list[Outgoing]:
    """The first of `waiting`, no more than that unless one transaction told more."""
    chosen: list[Outgoing] = []
    told = 0
    for _, together in groupby(waiting, key=lambda each: each.posted_ns):
        posted = list(together)
        told += sum(each.segments for each in posted)
        if chosen and (len(chosen) + len(posted) > events or told > segments):
            break
        chosen += posted
    return chosen


def collectors_of(waiting: Sequence[Outgoing], collected: Collections) -> dict[EventId, Collectors]:
    """Who collects what each of `waiting` is about, which is all the outbox holds, in order.

    That is as `collected` says it now, unless it was deleted since, which then is in the outbox.
    """
    found: dict[EventId, Collectors] = {}
    flows: dict[FlowId, Collectors] = {}
    sources: dict[SourceId, Collectors] = {}
    for each in reversed(waiting):
        gone = sources.get(each.source_id) if each.flow_id is None else flows.get(each.flow_id)
        found[each.id] = each.collectors or gone or collected.of(each.flow_id, each.source_id)
        match each.type:
            case EventType.FLOW_DELETED if each.flow_id and each.collectors:
                flows[each.flow_id] = each.collectors
            case EventType.FLOW_CREATED if each.flow_id:
                flows.pop(each.flow_id, None)
            case EventType.SOURCE_DELETED if each.collectors:
                sources[each.source_id] = each.collectors
            case EventType.SOURCE_CREATED:
                sources.pop(each.source_id, None)
            case _:
                pass
    return found


def _objects_of(
    segments: Iterable[Segment], objects: Mapping[ObjectId, MediaObject]
) -> tuple[MediaObject, ...]:
    media = {segment.object_id: objects[segment.object_id] for segment in segments}
    inits = {
        item.init_object_id: objects[item.init_object_id]
        for item in media.values()
        if item.init_object_id is not None and item.init_object_id in objects
    }
    return (*media.values(), *inits.values())


def _split(
    segments: Iterable[Segment], objects: Mapping[ObjectId, MediaObject]
) -> Iterator[list[Segment]]:
    """`segments` in parts of limited number and size."""
    part: list[Segment] = []
    size = 0
    for segment in segments:
        item = objects[segment.object_id]
        more = _OF_SEGMENT + _size(item)
        if item.init_object_id is not None and item.init_object_id in objects:
            more += _size(objects[item.init_object_id])
        if part and (len(part) == MOST_SEGMENTS or size + more > _LARGEST):
            yield part
            part, size = [], 0
        part.append(segment)
        size += more
    if part:
        yield part


def _size(item: MediaObject) -> int:
    """How many bytes the names and addresses of an object take, about, with its segment's."""
    texts = [item.id, item.id, item.id, item.init_object_id or ""]
    for each in item.instances:
        texts += (each.label, each.url) if isinstance(each, Link) else (each.storage_id, each.key)
    text = "".join(texts)
    return len(text) if text.isascii() else len(text.encode())


def _among(ids: Collection[str], wanted: frozenset[str] | None) -> bool:
    return wanted is None or not wanted.isdisjoint(ids)


def _collected(by: Collection[str], wanted: frozenset[str] | None) -> bool:
    """Whether one of `wanted` is among `by`; of an empty `wanted`, whether nobody is."""
    return _among(by, wanted) if wanted else wanted is None or not by
