"""Domain values <-> rows.

* `table_of` and `to_row` know every record there is; `from_row` of each noun is its inverse.
* JSON texts are written with their keys as given, so that what a client stored it gets back.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, assert_never

import orjson

from schemas.domain.changes import Record, ShardCursor
from schemas.domain.flow import Content, Flow
from schemas.domain.identifiers import FlowId, ObjectId, SourceId, StorageId
from schemas.domain.ingest import Problem
from schemas.domain.media_object import Controlled, Instance, MediaObject, Role
from schemas.domain.segment import Link, Segment
from schemas.domain.source import Source
from schemas.domain.timerange import NEVER, TimeRange
from schemas.tables import definitions as tables

Row = Mapping[str, Any]


def table_of(record: Record) -> str:
    """The name of the table `record` is kept in."""
    match record:
        case Segment():
            return tables.SEGMENTS
        case MediaObject():
            return tables.OBJECTS
        case Flow():
            return tables.FLOWS
        case Source():
            return tables.SOURCES
        case Problem():
            return tables.PROBLEMS
        case ShardCursor():
            return tables.SHARDS
        case _:
            assert_never(record)


def key_of(record: Record) -> object:
    """What names `record` within its table, where records are replaced."""
    match record:
        case Flow() | Source() | MediaObject():
            return record.id
        case ShardCursor():
            return record.shard
        case Segment():
            return (record.flow_id, record.timerange, record.object_id)
        case Problem():
            return (record.bucket, record.key, record.etag)
        case _:
            assert_never(record)


def to_row(record: Record) -> Row:
    """The row of `record`; times are naive UTC, as Arrow wants them."""
    match record:
        case Segment():
            return {
                "flow_id": record.flow_id,
                "start": record.timerange.start,
                "end": record.timerange.end,
                "object_id": record.object_id,
                "ts_offset": record.ts_offset_ns,
                "last_duration": record.last_duration_ns,
                "sample_offset": record.sample_offset,
                "sample_count": record.sample_count,
            }
        case MediaObject():
            return _object_row(record)
        case Flow():
            return _flow_row(record)
        case Source():
            return {
                "id": record.id,
                "format": record.format,
                "label": record.label,
                "description": record.description,
                "tags": _json(record.tags),
                "created": _naive(record.created),
                "created_by": record.created_by,
                "updated": _naive(record.updated),
                "updated_by": record.updated_by,
            }
        case Problem():
            return {
                "bucket": record.bucket,
                "key": record.key,
                "etag": record.etag,
                "reason": record.reason,
                "seen": _naive(record.seen),
            }
        case ShardCursor():
            return {"shard": record.shard, "position": record.position, "epoch": record.epoch}
        case _:
            assert_never(record)


def segment_from(row: Row) -> Segment:
    """The segment of a row of `segments`."""
    return Segment(
        FlowId(row["flow_id"]),
        ObjectId(row["object_id"]),
        TimeRange(row["start"], row["end"]),
        row["ts_offset"],
        row["last_duration"],
        row["sample_offset"],
        row["sample_count"],
    )


def object_from(row: Row) -> MediaObject:
    """The object of a row of `objects`."""
    return MediaObject(
        ObjectId(row["id"]),
        Role(row["role"]),
        _aware(row["created"]),
        tuple(_instance(item) for item in orjson.loads(row["instances"])),
        content_type=row["content_type"],
        allocated_for=row["allocated_for"],
        first_flow=row["first_flow"],
        timerange=None if row["start"] is None else TimeRange(row["start"], row["end"]),
        init_object_id=row["init_object_id"],
        key_frame_count=row["key_frame_count"],
    )


def flow_from(row: Row) -> Flow:
    """The flow of a row of `flows`."""
    updated = row["segments_updated"]
    content = NEVER if row["start"] is None else TimeRange(row["start"], row["end"])
    return Flow(
        FlowId(row["id"]),
        orjson.loads(row["document"]),
        created=_aware(row["created"]),
        created_by=row["created_by"],
        metadata_updated=_aware(row["metadata_updated"]),
        updated_by=row["updated_by"],
        metadata_version=row["metadata_version"],
        segments_updated=None if updated is None else _aware(updated),
        content=Content(content, row["segments"]),
    )


def source_from(row: Row) -> Source:
    """The source of a row of `sources`."""
    return Source(
        SourceId(row["id"]),
        row["format"],
        created=_aware(row["created"]),
        created_by=row["created_by"],
        updated=_aware(row["updated"]),
        updated_by=row["updated_by"],
        label=row["label"],
        description=row["description"],
        tags=None if row["tags"] is None else orjson.loads(row["tags"]),
    )


def problem_from(row: Row) -> Problem:
    """The problem of a row of `problems`."""
    return Problem(row["bucket"], row["key"], row["etag"], row["reason"], _aware(row["seen"]))


def shard_from(row: Row) -> ShardCursor:
    """The cursor of a row of `shards`."""
    return ShardCursor(row["shard"], row["position"], row["epoch"])


def _flow_row(flow: Flow) -> Row:
    content = flow.content.timerange
    return {
        "id": flow.id,
        "source_id": flow.source_id,
        "format": flow.format,
        "collects": bool(flow.collection),
        "document": _json(flow.document),
        "created": _naive(flow.created),
        "created_by": flow.created_by,
        "metadata_updated": _naive(flow.metadata_updated),
        "updated_by": flow.updated_by,
        "metadata_version": flow.metadata_version,
        "segments_updated": flow.segments_updated and _naive(flow.segments_updated),
        "start": content.start if content else None,
        "end": content.end if content else None,
        "segments": flow.content.segments,
    }


def _object_row(item: MediaObject) -> Row:
    return {
        "id": item.id,
        "role": item.role.value,
        "created": _naive(item.created),
        "instances": _json([_instance_json(instance) for instance in item.instances]),
        "key": item.key,
        "content_type": item.content_type,
        "allocated_for": item.allocated_for,
        "first_flow": item.first_flow,
        "start": item.timerange.start if item.timerange else None,
        "end": item.timerange.end if item.timerange else None,
        "init_object_id": item.init_object_id,
        "key_frame_count": item.key_frame_count,
    }


def _instance_json(instance: Instance) -> dict[str, str]:
    match instance:
        case Controlled(storage_id, key):
            return {"storage_id": storage_id, "key": key}
        case Link(label, url):
            return {"label": label, "url": url}
        case _:
            assert_never(instance)


def _instance(item: Mapping[str, str]) -> Instance:
    if "storage_id" in item:
        return Controlled(StorageId(item["storage_id"]), item["key"])
    return Link(item["label"], item["url"])


def _json(value: object) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)
