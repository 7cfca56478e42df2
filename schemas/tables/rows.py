"""Domain values <-> rows.

* `table_of` and `to_row` know every record there is; `from_row` of each noun is its inverse.
* JSON texts are written with their keys as given, so that what a client stored it gets back.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar, assert_never

import orjson

from schemas.domain.changes import Record, ShardCursor
from schemas.domain.deletion import Deletion, DeletionState
from schemas.domain.flow import Content, Flow
from schemas.domain.identifiers import (
    DeletionId,
    FlowId,
    JobId,
    ObjectId,
    ProfileId,
    SourceId,
    StorageId,
)
from schemas.domain.inflow import Inflow
from schemas.domain.ingest import Problem
from schemas.domain.job import Fault, JobState
from schemas.domain.media_object import Controlled, Copy, Instance, MediaObject, Orphan, Role
from schemas.domain.profile import Profile
from schemas.domain.scan import Scan
from schemas.domain.segment import Link, Segment
from schemas.domain.service import ServiceInfo
from schemas.domain.source import Source
from schemas.domain.stall import Stall
from schemas.domain.timerange import NEVER, TimeRange
from schemas.tables import definitions as tables

NO_STATUS: Final = ""
"""What column `status` of `flows` says of a flow without one; null is a row not looked at yet."""

Row = Mapping[str, Any]
R = TypeVar("R", bound=Record)


def table_of(record: Record) -> str:
    """The name of the table `record` is kept in."""
    return _KEPT[type(record)].table


def key_of(record: Record) -> object:
    """What names `record` within its table, where records are replaced or removed."""
    return _KEPT[type(record)].key(record)


def to_row(record: Record) -> Row:
    """The row of `record`; times are naive UTC, as Arrow wants them."""
    return _KEPT[type(record)].row(record)


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
        references=row["references"],
    )


def flow_from(row: Row) -> Flow:
    """The flow of a row of `flows`."""
    content = NEVER if row["start"] is None else TimeRange(row["start"], row["end"])
    return Flow(
        FlowId(row["id"]),
        orjson.loads(row["document"]),
        created=_aware(row["created"]),
        created_by=row["created_by"],
        metadata_updated=_aware(row["metadata_updated"]),
        updated_by=row["updated_by"],
        metadata_version=row["metadata_version"],
        segments_updated=_aware_or_none(row["segments_updated"]),
        content=Content(content, row["segments"]),
        deletion=row["deletion"],
        inflow=_inflow(row),
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


def copy_from(row: Row) -> Copy:
    """The copy of a row of `copies`."""
    return Copy(
        ObjectId(row["object_id"]),
        Controlled(StorageId(row["storage_id"]), row["key"]),
        JobId(row["job_id"]),
        _aware(row["created"]),
    )


def orphan_from(row: Row) -> Orphan:
    """The orphan of a row of `orphans`."""
    return Orphan(StorageId(row["storage_id"]), row["key"], _aware(row["since"]), row["ours"])


def deletion_from(row: Row) -> Deletion:
    """The deletion of a row of `deletions`."""
    return Deletion(
        DeletionId(row["id"]),
        FlowId(row["flow_id"]),
        TimeRange.parse(row["timerange"]),
        TimeRange.parse(row["remaining"]),
        row["delete_flow"],
        created=_aware(row["created"]),
        created_by=row["created_by"],
        updated=_aware(row["updated"]),
        object_id=row["object_id"],
        state=DeletionState(row["state"]),
        deleted=row["deleted"],
        expiry=_aware_or_none(row["expiry"]),
        fault=None if row["fault"] is None else _fault(orjson.loads(row["fault"])),
    )


def profile_from(row: Row) -> Profile:
    """The profile of a row of `profiles`."""
    document = orjson.loads(row["document"])
    return Profile(ProfileId(row["id"]), document, _aware(row["created"]), row["created_by"])


def service_from(row: Row) -> ServiceInfo:
    """What a row of `service` says."""
    return ServiceInfo(row["name"], row["description"])


def problem_from(row: Row) -> Problem:
    """The problem of a row of `problems`."""
    return Problem(row["bucket"], row["key"], row["etag"], row["reason"], _aware(row["seen"]))


def scan_from(row: Row) -> Scan:
    """The scan of a row of `scans`."""
    return Scan(
        JobId(row["id"]),
        row["bucket"],
        row["prefix"],
        _aware_or_none(row["since"]),
        row["periodic"],
        _aware(row["created"]),
        _aware(row["updated"]),
        state=JobState(row["state"]),
        after=row["after"],
        listed=row["listed"],
        found=row["found"],
        known=row["known"],
        problems=row["problems"],
        fault=None if row["fault"] is None else _fault(orjson.loads(row["fault"])),
    )


def stall_from(row: Row) -> Stall:
    """The stall of a row of `stalls`."""
    return Stall(
        FlowId(row["flow_id"]),
        _aware(row["started"]),
        _aware(row["noticed"]),
        _aware_or_none(row["ended"]),
    )


def shard_from(row: Row) -> ShardCursor:
    """The cursor of a row of `shards`."""
    return ShardCursor(row["shard"], row["position"], row["epoch"])


def _segment_row(segment: Segment) -> Row:
    return {
        "flow_id": segment.flow_id,
        "start": segment.timerange.start,
        "end": segment.timerange.end,
        "object_id": segment.object_id,
        "ts_offset": segment.ts_offset_ns,
        "last_duration": segment.last_duration_ns,
        "sample_offset": segment.sample_offset,
        "sample_count": segment.sample_count,
    }


def _source_row(source: Source) -> Row:
    return {
        "id": source.id,
        "format": source.format,
        "label": source.label,
        "description": source.description,
        "tags": _json(source.tags),
        "created": naive(source.created),
        "created_by": source.created_by,
        "updated": naive(source.updated),
        "updated_by": source.updated_by,
    }


def _copy_row(copy: Copy) -> Row:
    return {
        "object_id": copy.object_id,
        "storage_id": copy.target.storage_id,
        "key": copy.target.key,
        "job_id": copy.job_id,
        "created": naive(copy.created),
    }


def _orphan_row(orphan: Orphan) -> Row:
    return {
        "storage_id": orphan.storage_id,
        "key": orphan.key,
        "since": naive(orphan.since),
        "ours": orphan.ours,
    }


def _profile_row(profile: Profile) -> Row:
    return {
        "id": profile.id,
        "document": _json(profile.document),
        "created": naive(profile.created),
        "created_by": profile.created_by,
    }


def _service_row(service: ServiceInfo) -> Row:
    return {"name": service.name, "description": service.description}


def _problem_row(problem: Problem) -> Row:
    return {
        "bucket": problem.bucket,
        "key": problem.key,
        "etag": problem.etag,
        "reason": problem.reason,
        "seen": naive(problem.seen),
    }


def _scan_row(scan: Scan) -> Row:
    return {
        "id": scan.id,
        "bucket": scan.bucket,
        "prefix": scan.prefix,
        "since": scan.since and naive(scan.since),
        "periodic": scan.periodic,
        "created": naive(scan.created),
        "updated": naive(scan.updated),
        "state": scan.state.value,
        "after": scan.after,
        "listed": scan.listed,
        "found": scan.found,
        "known": scan.known,
        "problems": scan.problems,
        "fault": _json(scan.fault),
    }


def _stall_row(stall: Stall) -> Row:
    return {
        "flow_id": stall.flow_id,
        "started": naive(stall.started),
        "noticed": naive(stall.noticed),
        "ended": stall.ended and naive(stall.ended),
    }


def _shard_row(cursor: ShardCursor) -> Row:
    return {"shard": cursor.shard, "position": cursor.position, "epoch": cursor.epoch}


def _flow_row(flow: Flow) -> Row:
    content, inflow = flow.content.timerange, flow.inflow
    return {
        "id": flow.id,
        "source_id": flow.source_id,
        "format": flow.format,
        "collects": bool(flow.collection),
        "document": _json(flow.document),
        "created": naive(flow.created),
        "created_by": flow.created_by,
        "metadata_updated": naive(flow.metadata_updated),
        "updated_by": flow.updated_by,
        "metadata_version": flow.metadata_version,
        "segments_updated": flow.segments_updated and naive(flow.segments_updated),
        "start": content.start if content else None,
        "end": content.end if content else None,
        "segments": flow.content.segments,
        "deletion": flow.deletion,
        "status": flow.status or NO_STATUS,
        "ingesting_since": inflow.since and naive(inflow.since),
        "arrived": inflow.arrived and naive(inflow.arrived),
        "pace": _json({"intervals": inflow.intervals_ms, "durations": inflow.durations_ms}),
        "stalled_since": inflow.stalled_since and naive(inflow.stalled_since),
        "refused_overlaps": inflow.refused_overlaps,
        "refused": inflow.refused and naive(inflow.refused),
    }


def _object_row(item: MediaObject) -> Row:
    return {
        "id": item.id,
        "role": item.role.value,
        "created": naive(item.created),
        "instances": _json([_instance_json(instance) for instance in item.instances]),
        "key": item.key,
        "content_type": item.content_type,
        "allocated_for": item.allocated_for,
        "first_flow": item.first_flow,
        "start": item.timerange.start if item.timerange else None,
        "end": item.timerange.end if item.timerange else None,
        "init_object_id": item.init_object_id,
        "key_frame_count": item.key_frame_count,
        "references": item.references,
    }


def _deletion_row(deletion: Deletion) -> Row:
    return {
        "id": deletion.id,
        "flow_id": deletion.flow_id,
        "timerange": str(deletion.timerange),
        "remaining": str(deletion.remaining),
        "delete_flow": deletion.delete_flow,
        "object_id": deletion.object_id,
        "state": deletion.state.value,
        "deleted": deletion.deleted,
        "created": naive(deletion.created),
        "created_by": deletion.created_by,
        "updated": naive(deletion.updated),
        "expiry": deletion.expiry and naive(deletion.expiry),
        "fault": _json(deletion.fault),
    }


def _inflow(row: Row) -> Inflow:
    """What a row of `flows` says of arrivals, which is nothing in those of earlier versions."""
    pace = {} if row["pace"] is None else orjson.loads(row["pace"])
    return Inflow(
        _aware_or_none(row["ingesting_since"]),
        _aware_or_none(row["arrived"]),
        tuple(pace.get("intervals", ())),
        tuple(pace.get("durations", ())),
        _aware_or_none(row["stalled_since"]),
        row["refused_overlaps"] or 0,
        _aware_or_none(row["refused"]),
    )


def _fault(item: Mapping[str, str]) -> Fault:
    return Fault(item["type"], item["summary"], datetime.fromisoformat(item["time"]))


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


def naive(moment: datetime) -> datetime:
    """`moment` as a column holds it: UTC without saying so."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)


def _aware_or_none(moment: datetime | None) -> datetime | None:
    return None if moment is None else _aware(moment)


@dataclass(frozen=True, slots=True)
class _Kept(Generic[R]):
    """How records of one kind are kept: in which table, named by what, as which row."""

    table: str
    key: Callable[[R], object]
    row: Callable[[R], Row]


_KEPT: Final[Mapping[type, _Kept[Any]]] = {
    Source: _Kept(tables.SOURCES, lambda source: source.id, _source_row),
    Flow: _Kept(tables.FLOWS, lambda flow: flow.id, _flow_row),
    Segment: _Kept(tables.SEGMENTS, lambda s: (s.flow_id, s.timerange, s.object_id), _segment_row),
    MediaObject: _Kept(tables.OBJECTS, lambda item: item.id, _object_row),
    Copy: _Kept(tables.COPIES, lambda copy: (copy.object_id, copy.target), _copy_row),
    Orphan: _Kept(tables.ORPHANS, lambda o: (o.storage_id, o.key), _orphan_row),
    Deletion: _Kept(tables.DELETIONS, lambda deletion: deletion.id, _deletion_row),
    Profile: _Kept(tables.PROFILES, lambda profile: profile.id, _profile_row),
    ServiceInfo: _Kept(tables.SERVICE, lambda _: "there is one", _service_row),
    Problem: _Kept(tables.PROBLEMS, lambda p: (p.bucket, p.key, p.etag), _problem_row),
    Scan: _Kept(tables.SCANS, lambda scan: scan.id, _scan_row),
    Stall: _Kept(tables.STALLS, lambda stall: (stall.flow_id, stall.started), _stall_row),
    ShardCursor: _Kept(tables.SHARDS, lambda cursor: cursor.shard, _shard_row),
}
