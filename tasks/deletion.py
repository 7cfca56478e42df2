"""Deleting flows and segments (TAMS 8.2, DELETE flows and segments, flow-delete-requests).

* `request` makes the deletion durable, and a flow that goes is hidden in the same transaction: it
  is in nobody's collection any more, and its source goes with it when it was the last flow.
* `advance`, on the worker that has the shard of the flow, does one bounded step: segments, objects
  and progress change in one transaction. A crash loses nothing: the next step is where it stopped.
* Only who has the shard writes segments, so a step and a registration never meet.
* A deletion of segments can be cancelled between steps; one of a flow cannot, since the flow is
  hidden already.
* Bytes are deleted afterwards, see `tasks.objects`.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial

from schemas.domain import event, source
from schemas.domain import flow as flow_rules
from schemas.domain.changes import Changes, shard_of
from schemas.domain.collections import Collectors
from schemas.domain.deletion import Deletion, DeletionState
from schemas.domain.errors import Cancelled, DeletionNotFound, FlowNotFound, Unavailable
from schemas.domain.flow import Content, Flow
from schemas.domain.identifiers import DeletionId, FlowId, JobId, ObjectId
from schemas.domain.job import Fault, Job, JobKind, JobState
from schemas.domain.query import Listing, Page, SegmentQuery, page_of, position
from schemas.domain.release import release
from schemas.domain.segment import Segment
from schemas.domain.timerange import ETERNITY, NEVER, TimeRange
from tasks import jobs
from tasks.flows import collections_around, existing
from tasks.ports import Lease, LeaseLost, Ports, Snapshot, Work

log = logging.getLogger(__name__)


def request_flow(ports: Ports, flow_id: FlowId, *, by: str) -> Deletion:
    """Have a flow deleted with all its segments; asked for again, it is the same deletion.

    Raises:
        FlowNotFound, ReadOnly: when the flow does not exist or refuses changes.
    """
    now, version = ports.clock.now(), ports.ids.new()
    new = Deletion(
        DeletionId(ports.ids.new()), flow_id, ETERNITY, ETERNITY, True, now, by, updated=now
    )

    def decide(snapshot: Snapshot) -> tuple[Changes, Deletion]:
        flow = snapshot.flows([flow_id], going=True).get(flow_id)
        if flow is None:
            raise FlowNotFound(f"flow {flow_id} does not exist")
        if flow.deletion is not None:
            return _again(snapshot.deletions([flow.deletion])[flow.deletion])
        flow.require_writable()
        collected = collections_around(snapshot, flows=[flow.id], sources=[flow.source_id])
        collectors = collected.of(flow.id, flow.source_id)
        begun = replace(new, collectors=collectors)
        changes = _hidden(snapshot, replace(flow, deletion=new.id), begun, version)
        return replace(changes, add=(begun,)), begun

    deletion = _schedule(ports, ports.metadata.transact(decide))
    ports.takers.discard(flow_id)
    return deletion


def request_segments(
    ports: Ports, flow_id: FlowId, timerange: TimeRange, object_id: ObjectId | None, *, by: str
) -> Deletion:
    """Have those segments of a flow deleted that are wholly in `timerange`, and of the object.

    Raises:
        FlowNotFound, ReadOnly: when the flow does not exist or refuses changes.
    """
    now = ports.clock.now()
    new = Deletion(
        DeletionId(ports.ids.new()),
        flow_id,
        timerange,
        timerange,
        False,
        now,
        by,
        updated=now,
        object_id=object_id,
    )

    def decide(snapshot: Snapshot) -> tuple[Changes, Deletion]:
        existing(snapshot, flow_id).require_writable()
        if new.id in snapshot.deletions([new.id]):  # an earlier attempt did commit
            return Changes(), new
        return Changes(add=(new,)), new

    return _schedule(ports, ports.metadata.transact(decide))


def outcome(ports: Ports, deletion: Deletion, within_s: float) -> Deletion:
    """The deletion as it is when it ended, or after that time."""
    with suppress(Unavailable):  # it is on record, and goes on
        ports.jobs.wait(JobId(deletion.id), within_s)
    return get(ports, deletion.id)


def get(ports: Ports, deletion_id: DeletionId) -> Deletion:
    """The deletion as it is now.

    Raises:
        DeletionNotFound: when there is none of that name.
    """
    with ports.metadata.read() as snapshot:
        deletion = snapshot.deletions([deletion_id]).get(deletion_id)
    if deletion is None:
        raise DeletionNotFound(f"flow delete request {deletion_id} does not exist")
    return deletion


def listing(ports: Ports, listing: Listing) -> Page[Deletion]:
    """The deletions on record."""
    with ports.metadata.read() as snapshot:
        found = snapshot.all_deletions()
    if listing.sort_by == "expiry":
        return page_of(found, lambda deletion: position(deletion.expiry, deletion.id), listing)
    return page_of(found, lambda deletion: position(deletion.created, deletion.id), listing)


def advance(ports: Ports, shard: int, deletion_id: DeletionId, lease: Lease) -> None:
    """Do the next step of a deletion in `shard`.

    Raises:
        Unavailable, LeaseLost: when the step could not be done; it will be.
    """
    step = partial(_step, ports, lease, deletion_id)
    try:
        deletion = ports.metadata.transact(step)
        if deletion is not None and not (deletion.ended or deletion.remaining):
            deletion = ports.metadata.transact(step)
    except (Unavailable, LeaseLost):
        raise
    except Exception as error:  # else it would be begun anew for ever
        log.exception("deletion %s failed", deletion_id)
        fault = Fault.of(error, ports.clock.now())
        deletion = ports.metadata.transact(partial(_fail, ports, deletion_id, fault))
    _tell(ports, shard, deletion_id, deletion)


def tidy(ports: Ports) -> None:
    """Take up deletions that the broker forgot, and forget those that ended long ago."""
    now = ports.clock.now()

    def decide(snapshot: Snapshot) -> tuple[Changes, list[Deletion]]:
        found = snapshot.all_deletions()
        expired = [each for each in found if each.expiry is not None and each.expiry < now]
        return Changes(remove=tuple(expired)), [each for each in found if not each.ended]

    for deletion in ports.metadata.transact(decide):
        ports.inbox.schedule(_shard(ports, deletion), deletion.id, deletion.created)


def _schedule(ports: Ports, deletion: Deletion) -> Deletion:
    """Have workers go on with it; should that get lost, `tidy` finds it."""
    job = Job(
        JobId(deletion.id),
        JobKind.DELETE_FLOW if deletion.delete_flow else JobKind.DELETE_SEGMENTS,
        JobState.CREATED,
        created=deletion.created,
        updated=deletion.updated,
        total=0,
        flow_id=deletion.flow_id,
        result=f"/flow-delete-requests/{deletion.id}",
    )
    shard = _shard(ports, deletion)
    with suppress(Unavailable):
        known = jobs.find(ports, job.id)
        if known is None:
            ports.jobs.create(job)
        elif known.ended and not deletion.ended:
            ports.jobs.create(replace(job, version=known.version + 1))
        ports.inbox.schedule(shard, deletion.id, deletion.created)
        ports.queue.ring(shard)
    return deletion


def _again(deletion: Deletion) -> tuple[Changes, Deletion]:
    """Go on with a deletion that was asked for before, also if it had failed."""
    if deletion.state is not DeletionState.ERROR:
        return Changes(), deletion
    taken_up = replace(deletion, state=DeletionState.STARTED, fault=None, expiry=None)
    return Changes(replace=(taken_up,)), taken_up


def _hidden(snapshot: Snapshot, going: Flow, deletion: Deletion, version: str) -> Changes:
    """What changes at once when a flow goes: collections, and its source if it was the last."""
    collectors = [
        flow_rules.without_member(
            flow, going.id, by=deletion.created_by, version=version, now=deletion.created
        )
        for flow in snapshot.collecting([going.id])
        if flow.id != going.id
    ]
    others = [each for each in snapshot.encodings([going.source_id]) if each.flow_id != going.id]
    sources = {} if others else snapshot.sources([going.source_id])
    had, now = deletion.collectors or Collectors(), deletion.created
    return Changes(
        replace=(going, *collectors),
        remove=tuple(sources.values()),
        claim=frozenset(
            {
                f"flow/{going.id}",
                source.name_of(going.source_id),
                *(name for source_id in sources for name in source.parts_of(source_id)),
            }
        ),
        told=(
            *map(event.flow_updated, collectors),
            event.flow_deleted(going, had, now),
            *(event.source_deleted(source_id, had, now) for source_id in sources),
        ),
    )


def _step(
    ports: Ports, lease: Lease, deletion_id: DeletionId, snapshot: Snapshot
) -> tuple[Changes, Deletion | None]:
    lease.require()
    deletion = snapshot.deletions([deletion_id]).get(deletion_id)
    if deletion is None or deletion.ended:
        return Changes(), deletion
    now, limits = ports.clock.now(), ports.limits
    if not deletion.delete_flow and ports.jobs.cancelled([JobId(deletion.id)]):
        kept = timedelta(seconds=limits.deletions_kept_s)
        stopped = deletion.failed(Fault.of(Cancelled(), now), kept)
        return Changes(replace=(stopped,)), stopped
    flow = snapshot.flows([deletion.flow_id], going=True).get(deletion.flow_id)
    query = SegmentQuery(limits.delete_rows, deletion.remaining, deletion.object_id)
    found = snapshot.segments(deletion.flow_id, query) if flow is not None else []
    looked_at, more = found[: query.limit], len(found) > query.limit
    gone = [segment for segment in looked_at if deletion.covers(segment)]
    changes = _released(snapshot, gone, deletion)
    deletion = deletion.advanced(looked_at, len(gone), more=more, now=now)
    if not more and not gone:
        # Marks of earlier steps may have got lost; who sees that it is done must not see them.
        ports.marks.leave({deletion.flow_id: deletion.timerange})
        deletion = deletion.completed(now, timedelta(seconds=limits.deletions_kept_s))
    if flow is not None and gone and not deletion.delete_flow:
        content = _content_without(snapshot, flow, gone)
        changed = replace(flow, segments_updated=now, content=content)
        changes = replace(changes, replace=(*changes.replace, changed))
    if flow is not None and gone:
        told = event.segments_deleted(flow, gone, deletion.collectors, now)
        changes = replace(changes, told=(told,))
    if flow is not None and deletion.delete_flow and deletion.ended:
        changes = replace(changes, remove=(*changes.remove, flow))
    lease.require()
    return replace(changes, replace=(*changes.replace, deletion)), deletion


def _released(snapshot: Snapshot, gone: Sequence[Segment], deletion: Deletion) -> Changes:
    if not gone:
        return Changes()
    objects = snapshot.objects_of(deletion.flow_id, gone)
    init_ids = {o.init_object_id for o in objects.values() if o.init_object_id is not None}
    inits = snapshot.objects(init_ids) if init_ids else {}
    return release(gone, objects, inits, deletion.updated)


def _content_without(snapshot: Snapshot, flow: Flow, gone: Sequence[Segment]) -> Content:
    """What is left of a flow's content; where a bound went, the next segment is looked for."""
    left = flow.content.segments - len(gone)
    if not left:
        return Content()
    start, end = flow.content.timerange.start, flow.content.timerange.end
    if gone[0].timerange.start == start:
        start = _outermost(snapshot, flow, gone, reverse_order=False).start
    if gone[-1].timerange.end == end:
        end = _outermost(snapshot, flow, gone, reverse_order=True).end
    return Content(TimeRange(start, end), left)


def _outermost(
    snapshot: Snapshot, flow: Flow, gone: Sequence[Segment], *, reverse_order: bool
) -> TimeRange:
    """The timerange of the first segment of a flow, or its last, that is not `gone`."""
    query = SegmentQuery(len(gone), ETERNITY, reverse_order=reverse_order)
    taken = {segment.timerange for segment in gone}
    for segment in snapshot.segments(flow.id, query):
        if segment.timerange not in taken:
            return segment.timerange
    return NEVER


def _fail(
    ports: Ports, deletion_id: DeletionId, fault: Fault, snapshot: Snapshot
) -> tuple[Changes, Deletion]:
    deletion = snapshot.deletions([deletion_id])[deletion_id]
    failed = deletion.failed(fault, timedelta(seconds=ports.limits.deletions_kept_s))
    return Changes(replace=(failed,)), failed


def _tell(ports: Ports, shard: int, deletion_id: DeletionId, deletion: Deletion | None) -> None:
    """Bring the job up to date, and say what else there is to do."""
    now, job_id = ports.clock.now(), JobId(deletion_id)
    if deletion is not None:
        ports.jobs.advance(job_id, deletion.deleted, now)
    if deletion is None or deletion.ended:
        ports.jobs.end(job_id, now, deletion.fault if deletion else None)
        ports.inbox.unschedule(shard, deletion_id)
    if deletion is not None and deletion.deleted:
        ports.queue.call(Work.COLLECT)


def _shard(ports: Ports, deletion: Deletion) -> int:
    return shard_of(deletion.flow_id, ports.limits.shards)
