"""JSON of events, as it is sent to webhooks and followers (TAMS 8.2, `webhooks`)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, assert_never

from schemas.domain.collections import Collections
from schemas.domain.event import Added, Event
from schemas.domain.flow import Flow
from schemas.domain.media_object import MediaObject
from schemas.domain.segment import Segment
from schemas.domain.source import Source
from schemas.domain.timerange import TimeRange
from schemas.http.fields import time_text
from schemas.http.flows import flow_json
from schemas.http.segments import segment_json
from schemas.http.sources import source_json
from schemas.tables.details import collection_of, subject_of

# The JSON of the URLs of an object that somebody wants to see.
Urls = Callable[[MediaObject], Sequence[Mapping[str, Any]]]


def event_json(event: Event, urls: Urls, *, with_object_timerange: bool) -> dict[str, Any]:
    """The body that tells of `event`."""
    return {
        "event_timestamp": time_text(event.occurred),
        "event_type": event.type.value,
        "event": _content(event, urls, with_object_timerange=with_object_timerange),
    }


def _content(event: Event, urls: Urls, *, with_object_timerange: bool) -> dict[str, Any]:
    about = {"source_id": event.source_id} if event.flow_id is None else {"flow_id": event.flow_id}
    match subject_of(event):
        case Flow() as flow:
            around = Collections({str(flow.id): event.collectors.flows}, {}, {})
            return {"flow": flow_json(flow, around)}
        case Source() as source:
            name, by = str(source.id), event.collectors.sources
            around = Collections({}, {name: collection_of(event)}, {name: by})
            return {"source": source_json(source, around)}
        case Added(segments, objects):
            shown = _segments(segments, objects, urls, with_object_timerange=with_object_timerange)
            return {**about, "segments": shown}
        case TimeRange() as timerange:
            return {**about, "timerange": str(timerange)}
        case None:
            return about
        case subject:
            assert_never(subject)


def _segments(
    segments: Iterable[Segment],
    objects: Iterable[MediaObject],
    urls: Urls,
    *,
    with_object_timerange: bool,
) -> list[dict[str, Any]]:
    known = {item.id: item for item in objects}
    shown = []
    for segment in segments:
        item = known[segment.object_id]
        init = None
        if item.init_object_id is not None:
            found = known.get(item.init_object_id)
            init = (item.init_object_id, urls(found) if found is not None else [])
        shown.append(
            segment_json(
                segment, item, urls(item), init, with_object_timerange=with_object_timerange
            )
        )
    return shown
