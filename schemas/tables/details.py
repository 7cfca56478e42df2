"""What events tell of <-> JSON: the rows of the records it is made of, by table.

* A table has a list of rows, or of blocks of several rows, which say once what is the same in all
  of them, and the rest by column. Earlier versions wrote rows only.
* Columns that hold nothing are left out, so that a table may get more of them.
* Columns that hold JSON are JSON here, not text within text: that would be larger.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, Final, assert_never

import orjson
import pyarrow as pa

from schemas.domain.changes import Record
from schemas.domain.collections import Collections
from schemas.domain.event import Added, Event, Outgoing, Subject
from schemas.domain.flow import Flow, Member
from schemas.domain.identifiers import ObjectId
from schemas.domain.media_object import MediaObject
from schemas.domain.source import Source
from schemas.domain.timerange import TimeRange
from schemas.tables import definitions as tables
from schemas.tables import rows

RowOf = Callable[[Record], rows.Row]

_COLLECTION: Final = "collection"
# What a block says of all of its rows, and of each.
_ALL: Final = "all"
_EACH: Final = "each"
_TEXTS: Final = ("document", "pace", "tags", "instances")
_MOMENTS: Final = {
    name: {field.name for field in table if pa.types.is_timestamp(field.type)}
    for name, table in tables.TABLES.items()
}


def detail_of(subject: Subject, row_of: RowOf = rows.to_row) -> dict[str, Any]:
    """The JSON of what an event tells of; `row_of` gives the rows it is made of."""
    match subject:
        case Flow():
            return {tables.FLOWS: [_without_nothing(row_of(subject))]}
        case Source():
            return {tables.SOURCES: [_without_nothing(row_of(subject))]}
        case Added(segments, objects):
            return {
                tables.SEGMENTS: [_block(list(map(row_of, segments)))],
                tables.OBJECTS: [_block(list(map(row_of, objects)))],
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
        segments, objects = each_row(detail[tables.SEGMENTS]), each_row(detail[tables.OBJECTS])
        return Added(
            tuple(rows.segment_from(_read(tables.SEGMENTS, row)) for row in segments),
            tuple(rows.object_from(_read(tables.OBJECTS, row)) for row in objects),
        )
    if "timerange" in detail:
        return TimeRange.parse(detail["timerange"])
    return None


def inits_missing(detail: Mapping[str, Any]) -> set[ObjectId]:
    """The init objects that the objects of `detail` need, and it does not have."""
    objects = detail.get(tables.OBJECTS, ())
    needed = {ObjectId(name) for name in _column("init_object_id", objects)}
    return needed - set(_column("id", objects)) if needed else needed


def completed(
    each: Outgoing, inits: Mapping[ObjectId, MediaObject], collected: Collections
) -> dict[str, Any]:
    """The detail of `each`, with those init objects it lacks, or with what its source collects."""
    detail = dict(each.detail)
    if missing := inits_missing(detail):
        found = [_without_nothing(rows.to_row(inits[name])) for name in missing if name in inits]
        detail[tables.OBJECTS] = [*detail[tables.OBJECTS], *found]
    if tables.SOURCES in detail:
        members = collected.source_collections.get(each.source_id, ())
        detail[_COLLECTION] = [{"id": member.id, "role": member.role} for member in members]
    return detail


def collection_of(event: Event) -> tuple[Member, ...]:
    """What the source collects that `event` tells of."""
    found = event.detail.get(_COLLECTION, ())
    return tuple(Member(member["id"], member["role"]) for member in found)


def _block(together: Sequence[rows.Row]) -> dict[str, Any]:
    """Rows of one table, which all have the same columns in the same order."""
    common, each = {}, {}
    columns = zip(*(row.values() for row in together), strict=True)
    for name, column in zip(together[0], columns, strict=True):
        first, count = column[0], len(column)
        if column.count(first) == count > 1:
            if first is not None:
                common[name] = orjson.Fragment(first) if name in _TEXTS else first
        elif column.count(None) < count:
            each[name] = _json_of(column) if name in _TEXTS else column
    return {_ALL: common, _EACH: each}


def _json_of(texts: Iterable[str | None]) -> orjson.Fragment:
    """A list of what is JSON already."""
    return orjson.Fragment(f"[{','.join(text or 'null' for text in texts)}]")


def each_row(items: Iterable[Mapping[str, Any]]) -> Iterator[rows.Row]:
    """Each row of rows and blocks of them."""
    return chain.from_iterable(map(_rows_in, items))


def _rows_in(item: Mapping[str, Any]) -> Iterable[rows.Row]:
    if _EACH not in item:
        return (item,)
    each = item[_EACH]
    return (
        {**item[_ALL], **dict(zip(each, row, strict=True))}
        for row in zip(*each.values(), strict=True)
    )


def _column(name: str, items: Iterable[Mapping[str, Any]]) -> Iterator[Any]:
    """What rows and blocks of them have in a column, if it is something."""
    for item in items:
        each = item.get(_EACH, {}).get(name, ())
        alike = item.get(_ALL, item).get(name)
        yield from (value for value in (alike, *each) if value is not None)


def _without_nothing(row: rows.Row) -> dict[str, Any]:
    written = {name: value for name, value in row.items() if value is not None}
    for name in _TEXTS:
        if name in written:
            written[name] = orjson.Fragment(written[name])
    return written


def _read(table: str, row: Mapping[str, Any]) -> rows.Row:
    given = {name: value for name, value in row.items() if value is not None}
    moments = {name: datetime.fromisoformat(given[name]) for name in _MOMENTS[table] & given.keys()}
    texts = {name: orjson.dumps(given[name]) for name in _TEXTS if name in given}
    return {**dict.fromkeys(tables.TABLES[table].names), **given, **moments, **texts}
