"""What events tell of <-> JSON: the rows of the records it is made of, by table.

* Columns that hold nothing are left out, so that a table may get more of them.
* Columns that hold JSON are JSON here, not text within text: that would be larger.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, assert_never

import orjson
import pyarrow as pa

from schemas.domain.changes import Record
from schemas.domain.collections import Collections
from schemas.domain.event import Added, Event, Outgoing, Subject
from schemas.domain.flow import Flow, Member
from schemas.domain.identifiers import ObjectId
from schemas.domain.media_object import MediaObject
from schemas.domain.segment import Segment
from schemas.domain.source import Source
from schemas.domain.timerange import TimeRange
from schemas.tables import definitions as tables
from schemas.tables import rows

RowOf = Callable[[Record], rows.Row]

_COLLECTION: Final = "collection"
_TEXTS: Final = ("document", "pace", "tags", "instances")
_MOMENTS: Final = {
    name: [field.name for field in table if pa.types.is_timestamp(field.type)]
    for name, table in tables.TABLES.items()
}


def detail_of(subject: Subject, row_of: RowOf = rows.to_row) -> dict[str, Any]:
    """The JSON of what an event tells of; `row_of` gives the rows it is made of."""
    match subject:
        case Flow():
            return {tables.FLOWS: _written([subject], row_of)}
        case Source():
            return {tables.SOURCES: _written([subject], row_of)}
        case Added(segments, objects):
            return {
                tables.SEGMENTS: _written(segments, row_of),
                tables.OBJECTS: _written(objects, row_of),
            }
        case TimeRange():
            return {"timerange": str(subject)}
        case None:
            return {}
        case _:
            assert_never(subject)


def subject_of(event: Event) -> Subject:
    """The inverse of `detail_of`."""
    detail = event.detail
    if tables.FLOWS in detail:
        return rows.flow_from(_read(tables.FLOWS, detail[tables.FLOWS][0]))
    if tables.SOURCES in detail:
        return rows.source_from(_read(tables.SOURCES, detail[tables.SOURCES][0]))
    if tables.SEGMENTS in detail:
        return Added(
            tuple(
                rows.segment_from(_read(tables.SEGMENTS, row)) for row in detail[tables.SEGMENTS]
            ),
            tuple(rows.object_from(_read(tables.OBJECTS, row)) for row in detail[tables.OBJECTS]),
        )
    if "timerange" in detail:
        return TimeRange.parse(detail["timerange"])
    return None


def inits_missing(detail: Mapping[str, Any]) -> set[ObjectId]:
    """The init objects that the objects of `detail` need, and it does not have."""
    objects = detail.get(tables.OBJECTS, ())
    needed = {ObjectId(row["init_object_id"]) for row in objects if "init_object_id" in row}
    return needed - {row["id"] for row in objects} if needed else needed


def completed(
    each: Outgoing, inits: Mapping[ObjectId, MediaObject], collected: Collections
) -> dict[str, Any]:
    """The detail of `each`, with those init objects it lacks, or with what its source collects."""
    detail = dict(each.detail)
    if missing := inits_missing(detail):
        found = [inits[name] for name in missing if name in inits]
        detail[tables.OBJECTS] = [*detail[tables.OBJECTS], *_written(found, rows.to_row)]
    if tables.SOURCES in detail:
        members = collected.source_collections.get(each.source_id, ())
        detail[_COLLECTION] = [{"id": member.id, "role": member.role} for member in members]
    return detail


def collection_of(event: Event) -> tuple[Member, ...]:
    """What the source collects that `event` tells of."""
    found = event.detail.get(_COLLECTION, ())
    return tuple(Member(member["id"], member["role"]) for member in found)


def _written(
    records: Iterable[Flow | Source | Segment | MediaObject], row_of: RowOf
) -> list[dict[str, Any]]:
    return [_without_nothing(row_of(record)) for record in records]


def _without_nothing(row: rows.Row) -> dict[str, Any]:
    written = {name: value for name, value in row.items() if value is not None}
    for name in _TEXTS:
        if name in written:
            written[name] = orjson.Fragment(written[name])
    return written


def _read(table: str, row: Mapping[str, Any]) -> rows.Row:
    moments = {name: datetime.fromisoformat(row[name]) for name in _MOMENTS[table] if name in row}
    texts = {name: orjson.dumps(row[name]) for name in _TEXTS if name in row}
    return {**dict.fromkeys(tables.TABLES[table].names), **row, **moments, **texts}
