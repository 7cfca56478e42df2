"""Domain values <-> rows.

* `table_of` and `to_row` know every record there is; `from_row` of each noun is its inverse.
* JSON texts are written with their keys as given, so that what a client stored it gets back.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Generic, TypeVar, assert_never

import orjson

from schemas import rules
from schemas.domain.changes import Record, ShardCursor
from schemas.domain.collections import Collectors
from schemas.domain.deletion import Deletion, DeletionState
from schemas.domain.event import Event, EventLog, EventType, Outgoing
from schemas.domain.flow import Content, Flow
from schemas.domain.identifiers import (
    DeletionId,
    EventId,
    FlowId,
    JobId,
    ObjectId,
    ProfileId,
    SourceId,
    StorageId,
    WebhookId,
)
from schemas.domain.inflow import Inflow
from schemas.domain.ingest import Problem
from schemas.domain.ingest_rule import IngestRule, RuleId
from schemas.domain.job import Failure, Fault, Job, JobFailure, JobKind, JobState
from schemas.domain.media_object import (
    Controlled,
    Copy,
    Drop,
    Instance,
    MediaObject,
    Orphan,
    Role,
)
from schemas.domain.profile import Profile
from schemas.domain.rejection import Reason
from schemas.domain.scan import Scan
from schemas.domain.segment import Link, Segment
from schemas.domain.service import ServiceInfo
from schemas.domain.sighting import Kind, Sighting
from schemas.domain.source import Source
from schemas.domain.stall import Stall
from schemas.domain.stream import Stream
from schemas.domain.timerange import NEVER, TimeRange
from schemas.domain.webhook import Keys, Webhook, WebhookStatus
from schemas.tables import definitions as tables

_SHARD: Final = "shard "
_SLOT: Final = "slot "
SLOTS: Final = (_SLOT, "slot!")
"""Between which ids those of slots are."""

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


class RowsMade:
    """Rows of records, each made once however often it is asked for.

    What is told of a change is made of the same rows that the change writes.
    """

    def __init__(self) -> None:
        self._made: dict[int, tuple[Record, Row]] = {}

    def __call__(self, record: Record) -> Row:
        """The row of `record`, which is kept, so that no other comes to have its identity."""
        key = id(record)
        if key not in self._made:
            self._made[key] = record, to_row(record)
        return self._made[key][1]


def instances_json(instances: Iterable[Instance]) -> list[dict[str, str]]:
    """The instances of an object as the table keeps them."""
    return [_instance_json(instance) for instance in instances]


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
        aware(row["created"]),
        tuple(_instance(item) for item in orjson.loads(row["instances"])),
        content_type=row["content_type"],
        allocated_for=row["allocated_for"],
        first_flow=row["first_flow"],
        first_start=row["first_start"],
        timerange=None if row["start"] is None else TimeRange(row["start"], row["end"]),
        init_object_id=row["init_object_id"],
        key_frame_count=row["key_frame_count"],
        references=row["references"],
        drop=None
        if row["etag"] is None
        else Drop(row["dropped_key"], row["etag"], row["size"], row["clock"]),
    )


def flow_from(row: Row) -> Flow:
    """The flow of a row of `flows`."""
    content = NEVER if row["start"] is None else TimeRange(row["start"], row["end"])
    return Flow(
        FlowId(row["id"]),
        orjson.loads(row["document"]),
        created=aware(row["created"]),
        created_by=row["created_by"],
        metadata_updated=aware(row["metadata_updated"]),
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
        created=aware(row["created"]),
        created_by=row["created_by"],
        updated=aware(row["updated"]),
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
        aware(row["created"]),
    )


def orphan_from(row: Row) -> Orphan:
    """The orphan of a row of `orphans`."""
    return Orphan(
        StorageId(row["storage_id"]), row["key"], aware(row["since"]), row["ours"], row["etag"]
    )


def deletion_from(row: Row) -> Deletion:
    """The deletion of a row of `deletions`."""
    return Deletion(
        DeletionId(row["id"]),
        FlowId(row["flow_id"]),
        TimeRange.parse(row["timerange"]),
        TimeRange.parse(row["remaining"]),
        row["delete_flow"],
        created=aware(row["created"]),
        created_by=row["created_by"],
        updated=aware(row["updated"]),
        object_id=row["object_id"],
        state=DeletionState(row["state"]),
        deleted=row["deleted"],
        expiry=_aware_or_none(row["expiry"]),
        fault=None if row["fault"] is None else _fault(orjson.loads(row["fault"])),
        collectors=_collectors(row),
    )


def profile_from(row: Row) -> Profile:
    """The profile of a row of `profiles`."""
    document = orjson.loads(row["document"])
    return Profile(ProfileId(row["id"]), document, aware(row["created"]), row["created_by"])


def service_from(row: Row) -> ServiceInfo:
    """What a row of `service` says."""
    return ServiceInfo(row["name"], row["description"])


def problem_from(row: Row) -> Problem:
    """The problem of a row of `problems`."""
    return Problem(
        row["bucket"],
        row["key"],
        row["etag"],
        row["reason"],
        aware(row["seen"]),
        Reason(row["code"] or Reason.REFUSED),
    )


def rule_from(row: Row) -> IngestRule:
    """The rule of a row of `rules`."""
    return rules.from_json(RuleId(row["id"]), aware(row["created"]), orjson.loads(row["document"]))


def stream_from(row: Row) -> Stream:
    """The stream of a row of `streams`."""
    return Stream(FlowId(row["flow_id"]), FlowId(row["current"]), FlowId(row["previous"]))


def sighting_from(row: Row) -> Sighting:
    """The sighting of a row of `sightings`."""
    return Sighting(
        row["bucket"],
        row["key"],
        row["etag"],
        Kind(row["kind"]),
        row["directory"],
        row["rule_id"],
        aware(row["modified"]),
        aware(row["seen"]),
        row["reason"],
    )


def job_from(row: Row) -> Job:
    """The job of a row of `jobs`, without its failures."""
    return Job(
        JobId(row["id"]),
        JobKind(row["kind"]),
        JobState(row["state"]),
        created=aware(row["created"]),
        updated=aware(row["updated"]),
        total=row["total"],
        done=row["done"],
        failed=row["failed"],
        flow_id=row["flow_id"],
        version=row["version"],
        fault=None if row["fault"] is None else _fault(orjson.loads(row["fault"])),
        started=None if row["started"] is None else aware(row["started"]),
        result=row["result"],
    )


def failure_from(row: Row) -> JobFailure:
    """The failure of a row of `failures`."""
    failure = Failure(
        ObjectId(row["object_id"]),
        row["timerange"],
        row["type"],
        row["summary"],
        aware(row["time"]),
        row["field"],
    )
    return JobFailure(JobId(row["job_id"]), row["number"], failure)


def scan_from(row: Row) -> Scan:
    """The scan of a row of `scans`."""
    return Scan(
        JobId(row["id"]),
        row["bucket"],
        row["prefix"],
        _aware_or_none(row["since"]),
        row["periodic"],
        aware(row["created"]),
        aware(row["updated"]),
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
        aware(row["started"]),
        aware(row["noticed"]),
        _aware_or_none(row["ended"]),
    )


def outgoing_from(row: Row) -> Outgoing:
    """What a row of `outbox` tells; without a detail if there is no such column."""
    return Outgoing(
        EventId(row["id"]),
        row["posted"],
        row["number"],
        EventType(row["type"]),
        aware(row["occurred"]),
        SourceId(row["source_id"]),
        row["flow_id"],
        _collectors(row),
        row["segments"],
        orjson.loads(row.get("detail", "{}")),
    )


def event_from(row: Row) -> Event:
    """The event of a row of `events`; without a detail if there is no such column."""
    return Event(
        row["sequence"],
        EventId(row["id"]),
        EventType(row["type"]),
        aware(row["occurred"]),
        SourceId(row["source_id"]),
        row["flow_id"],
        _collectors(row) or Collectors(),
        aware(row["logged"]),
        orjson.loads(row.get("detail", "{}")),
    )


def event_log_from(row: Row) -> EventLog:
    """What the row of `event_log` says."""
    return EventLog(row["first"], row["last"])


def webhook_from(row: Row) -> Webhook:
    """The webhook of a row of `webhooks`."""
    return Webhook(
        WebhookId(row["id"]),
        orjson.loads(row["document"]),
        row["owner"],
        aware(row["created"]),
        row["position"],
        WebhookStatus(row["status"]),
        Keys(row["api_key"], row["signing_key"]),
        row["replays"],
        row["failures"],
        _aware_or_none(row["failing_since"]),
        _aware_or_none(row["next_try"]),
        None if row["fault"] is None else _fault(orjson.loads(row["fault"])),
    )


def links_of(flow: Flow) -> list[Row]:
    """The rows of `members` that say which flows `flow` collects, each once."""
    members = dict.fromkeys(member.id for member in flow.collection)
    return [{"member_id": member, "flow_id": flow.id} for member in members]


def shard_key(shard: int) -> str:
    """The id of the row that says how far a shard is decided."""
    return f"{_SHARD}{shard}"


def slot_key(slot: int) -> str:
    """The id of a row that claimed names fall on."""
    return f"{_SLOT}{slot}"


def shard_from(row: Row) -> ShardCursor:
    """The inverse of what `to_row` makes of a cursor."""
    return ShardCursor(int(row["id"].removeprefix(_SHARD)), row["position"], row["epoch"])


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
        "etag": orphan.etag,
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
        "code": problem.code.value,
    }


def _rule_row(rule: IngestRule) -> Row:
    return {
        "id": rule.id,
        "created": naive(rule.created),
        "document": _json(rules.to_json(rule)),
    }


def _stream_row(stream: Stream) -> Row:
    return {
        "flow_id": stream.flow_id,
        "current": stream.current,
        "previous": stream.previous,
    }


def _sighting_row(sighting: Sighting) -> Row:
    return {
        "bucket": sighting.bucket,
        "key": sighting.key,
        "etag": sighting.etag,
        "kind": sighting.kind.value,
        "directory": sighting.directory,
        "rule_id": sighting.rule_id,
        "modified": naive(sighting.modified),
        "seen": naive(sighting.seen),
        "reason": sighting.reason,
    }


def _job_row(job: Job) -> Row:
    return {
        "id": job.id,
        "kind": job.kind.value,
        "state": job.state.value,
        "flow_id": job.flow_id,
        "created": naive(job.created),
        "started": job.started and naive(job.started),
        "updated": naive(job.updated),
        "total": job.total,
        "done": job.done,
        "failed": job.failed,
        "version": job.version,
        "result": job.result,
        "fault": _json(job.fault),
    }


def _failure_row(kept: JobFailure) -> Row:
    failure = kept.failure
    return {
        "job_id": kept.job_id,
        "number": kept.number,
        "object_id": failure.object_id,
        "timerange": failure.timerange,
        "type": failure.type,
        "summary": failure.summary,
        "time": naive(failure.time),
        "field": failure.field,
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


def _outgoing_row(each: Outgoing) -> Row:
    return {
        "id": each.id,
        "posted": each.posted_ns,
        "number": each.number,
        "type": each.type.value,
        "occurred": naive(each.occurred),
        "source_id": each.source_id,
        "flow_id": each.flow_id,
        "collectors": _json(each.collectors),
        "segments": each.segments,
        "detail": _json(each.detail),
    }


def _event_row(event: Event) -> Row:
    return {
        "sequence": event.sequence,
        "id": event.id,
        "type": event.type.value,
        "occurred": naive(event.occurred),
        "source_id": event.source_id,
        "flow_id": event.flow_id,
        "collectors": _json(event.collectors),
        "logged": naive(event.logged),
        "detail": _json(event.detail),
    }


def _event_log_row(log: EventLog) -> Row:
    return {"first": log.first, "last": log.last}


def _webhook_row(webhook: Webhook) -> Row:
    return {
        "id": webhook.id,
        "document": _json(webhook.document),
        "owner": webhook.owner,
        "created": naive(webhook.created),
        "position": webhook.position,
        "status": webhook.status.value,
        "api_key": webhook.sealed.api_key,
        "signing_key": webhook.sealed.signing_key,
        "replays": webhook.replays,
        "failures": webhook.failures,
        "failing_since": webhook.failing_since and naive(webhook.failing_since),
        "next_try": webhook.next_try and naive(webhook.next_try),
        "fault": _json(webhook.fault),
    }


def _shard_row(cursor: ShardCursor) -> Row:
    return {
        "id": shard_key(cursor.shard),
        "position": cursor.position,
        "epoch": cursor.epoch,
    }


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
    timerange, drop = item.timerange, item.drop
    return {
        "id": item.id,
        "role": item.role.value,
        "created": naive(item.created),
        "instances": _json(item.instances),
        "key": item.key,
        "content_type": item.content_type,
        "allocated_for": item.allocated_for,
        "first_flow": item.first_flow,
        "first_start": item.first_start,
        "start": timerange.start if timerange else None,
        "end": timerange.end if timerange else None,
        "init_object_id": item.init_object_id,
        "key_frame_count": item.key_frame_count,
        "references": item.references,
        "dropped_key": drop and drop.key,
        "etag": drop and drop.etag,
        "size": drop and drop.size,
        "clock": drop and drop.clock_ns,
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
        "collectors": _json(deletion.collectors),
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


def _collectors(row: Row) -> Collectors | None:
    if row["collectors"] is None:
        return None
    found = orjson.loads(row["collectors"])
    return Collectors(tuple(found["flows"]), tuple(found["sources"]))


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


@lru_cache
def naive(moment: datetime) -> datetime:
    """`moment` as a column holds it: UTC without saying so; records made together share theirs."""
    return moment.astimezone(UTC).replace(tzinfo=None)


@lru_cache
def aware(moment: datetime) -> datetime:
    """The inverse of `naive`."""
    return moment.replace(tzinfo=UTC)


def _aware_or_none(moment: datetime | None) -> datetime | None:
    return None if moment is None else aware(moment)


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
    Orphan: _Kept(tables.ORPHANS, lambda o: (o.storage_id, o.key, o.since), _orphan_row),
    Deletion: _Kept(tables.DELETIONS, lambda deletion: deletion.id, _deletion_row),
    Profile: _Kept(tables.PROFILES, lambda profile: profile.id, _profile_row),
    ServiceInfo: _Kept(tables.SERVICE, lambda _: "there is one", _service_row),
    Problem: _Kept(tables.PROBLEMS, lambda p: (p.bucket, p.key, p.etag), _problem_row),
    IngestRule: _Kept(tables.RULES, lambda rule: rule.id, _rule_row),
    Stream: _Kept(tables.STREAMS, lambda stream: stream.flow_id, _stream_row),
    Sighting: _Kept(tables.SIGHTINGS, lambda s: (s.bucket, s.key, s.etag), _sighting_row),
    Job: _Kept(tables.JOBS, lambda job: job.id, _job_row),
    JobFailure: _Kept(tables.FAILURES, lambda kept: (kept.job_id, kept.number), _failure_row),
    Scan: _Kept(tables.SCANS, lambda scan: scan.id, _scan_row),
    Stall: _Kept(tables.STALLS, lambda stall: (stall.flow_id, stall.started), _stall_row),
    Outgoing: _Kept(tables.OUTBOX, lambda each: each.id, _outgoing_row),
    Event: _Kept(tables.EVENTS, lambda event: event.sequence, _event_row),
    EventLog: _Kept(tables.EVENT_LOG, lambda _: "there is one", _event_log_row),
    Webhook: _Kept(tables.WEBHOOKS, lambda webhook: webhook.id, _webhook_row),
    ShardCursor: _Kept(tables.FLOWS, lambda cursor: shard_key(cursor.shard), _shard_row),
}
