"""Registering and listing the segments of flows.

* `submit` makes offers durable in the inbox of the flow's shard and rings for a worker; from
  then on they are acknowledged.
* `flush`, on a worker, decides what waits in one shard in batches: per batch one read, one
  pure decision, and one transaction that also moves the shard's cursor.
* An entry that brings its workers down is found by deciding entries singly, and put aside.
* A crash at any point leaves the entries in place and the cursor true; what was committed but
  not answered is answered by the next flush.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from schemas.domain.changes import Changes, ShardCursor, shard_of
from schemas.domain.errors import Cancelled, Invalid, PutAside, Unavailable
from schemas.domain.identifiers import FlowId, JobId, ObjectId
from schemas.domain.job import Failure, Fault, Job, JobKind, JobState
from schemas.domain.media_object import MediaObject
from schemas.domain.query import Page, SegmentQuery, decoded, encoded
from schemas.domain.registration import RECENT, Registration
from schemas.domain.segment import Offer, Segment
from schemas.domain.storage import backend_labels
from schemas.domain.timerange import ETERNITY, TimeRange
from tasks import deletion
from tasks.flows import existing
from tasks.ports import Attempt, Decided, Entry, Lease, LeaseLost, Ports, Snapshot

Objects = Mapping[ObjectId, MediaObject]

log = logging.getLogger(__name__)

# A batch that ended its workers so often is decided entry by entry, ...
_ATTEMPTS_TOGETHER: Final = 2
# ... and the entry that still does is put aside. Workers die of other things, too.
_MOST_ATTEMPTS: Final = 6


def submit(ports: Ports, flow_id: FlowId, offers: Sequence[Offer], *, followed: bool) -> Job:
    """Accept `offers` for registration in a flow that takes segments.

    `followed` says that the caller will hand out the address of the job.

    Raises:
        FlowNotFound, ReadOnly, Invalid: when the flow does not exist, is read-only, or has no
            container.
        Unavailable: when too much waits already, or a service is down; nothing was accepted.
    """
    with ports.metadata.read() as snapshot:
        flow = existing(snapshot, flow_id)
    flow.require_writable()
    flow.require_container()
    return enqueue(ports, flow_id, offers, followed=followed)


def enqueue(ports: Ports, flow_id: FlowId, offers: Sequence[Offer], *, followed: bool) -> Job:
    """Accept `offers` without looking at the flow; whether it takes them is decided later.

    Raises:
        Unavailable: as `submit`.
    """
    now = ports.clock.now()
    job = Job(
        JobId(ports.ids.new()),
        JobKind.REGISTER,
        JobState.CREATED,
        created=now,
        updated=now,
        total=len(offers),
        flow_id=flow_id,
        followed=followed,
        result=f"/flows/{flow_id}/segments",
    )
    shard = shard_of(flow_id, ports.limits.shards)
    ports.inbox.append(shard, job, flow_id, offers)
    # The offers are safe; should the ring be lost, the sweep will ring.
    with suppress(Unavailable):
        ports.queue.ring(shard)
    return job


def flush(ports: Ports, shard: int) -> None:
    """Decide what waits in `shard`, for a few seconds at most, and go on with a deletion."""
    ports.queue.answered(shard)
    try:
        with ports.inbox.lease(shard) as lease:
            if lease is None:
                return
            cursor = _drain(ports, shard, lease)
            deletion.advance(ports, shard, lease)
    except LeaseLost as lost:
        log.warning("stopped flushing: %s", lost)
        return
    # Whoever found the lease taken went away: what came since then is ours to ring for.
    if ports.inbox.holds(shard, cursor.position) or ports.inbox.scheduled(shard):
        ports.queue.ring(shard)


def sweep(ports: Ports) -> None:
    """Ring for every shard with something in it, in case its doorbell was lost."""
    for shard in ports.inbox.waiting():
        ports.queue.ring(shard)


def try_out(ports: Ports, offer: Offer) -> Segment:
    """The segment that `offer` would be if it were registered now.

    Raises:
        TamsError: when it would be refused.
    """
    entry = Entry("", JobId(""), offer.segment.flow_id, (offer,), last=True, followed=False)
    with ports.metadata.read() as snapshot:
        return _registration(ports, snapshot, [entry]).place(offer)


def page(ports: Ports, flow_id: FlowId, query: SegmentQuery) -> tuple[Page[Segment], Objects]:
    """The segments of a page, and the objects they and their init segments are in."""
    with ports.metadata.read() as snapshot:
        if flow_id not in snapshot.flows([flow_id]):
            return Page([], None, query.limit), {}
        found = snapshot.segments(flow_id, query)
        shown = found[: query.limit]
        objects = snapshot.objects_of(flow_id, shown)
        init_ids = {o.init_object_id for o in objects.values() if o.init_object_id is not None}
        objects |= snapshot.objects(init_ids) if init_ids else {}
    more = len(found) > len(shown)
    return Page(shown, _next_key(shown[-1], query) if more else None, query.limit), objects


def after(page_key: str | None) -> int | None:
    """The position a page key of `page` stands for; raises Invalid for any other text."""
    if page_key is None:
        return None
    match decoded(page_key):
        case [int(cut)]:
            return cut
        case _:
            raise Invalid("page belongs to another list", field="page")


def _next_key(last: Segment, query: SegmentQuery) -> str:
    return encoded([last.timerange.start if query.reverse_order else last.timerange.end])


def _drain(ports: Ports, shard: int, lease: Lease) -> ShardCursor:
    """Decide what waits, batch by batch; where the shard stands then."""
    with ports.metadata.read() as snapshot:
        cursor = snapshot.shard(shard)
    ports.inbox.resume(lease, cursor)
    unanswered = ports.inbox.decided_unanswered(shard, cursor.position)
    noted = ports.inbox.noted(shard, cursor.epoch, unanswered)
    ports.inbox.answer(shard, noted, ports.clock.now())
    began = ports.clock.now()
    while ports.inbox.holds(shard, cursor.position):
        with ports.inbox.attempt(shard, cursor.position) as attempt:
            cursor, decided = _decided(ports, lease, cursor, attempt)
            ports.inbox.answer(shard, decided, ports.clock.now())
        if (ports.clock.now() - began).total_seconds() > ports.limits.flush_seconds:
            break
    return cursor


def _decided(
    ports: Ports, lease: Lease, cursor: ShardCursor, attempt: Attempt
) -> tuple[ShardCursor, list[Decided]]:
    """Decide the next batch; one entry, after workers died of the batch; none, after more did."""
    if attempt.number > _MOST_ATTEMPTS:
        return _put_aside(ports, lease, cursor, attempt)
    rows = 1 if attempt.number > _ATTEMPTS_TOGETHER else ports.limits.flush_rows
    return _commit(ports, lease, cursor, ports.inbox.read(cursor.shard, cursor.position, rows))


def _put_aside(
    ports: Ports, lease: Lease, cursor: ShardCursor, attempt: Attempt
) -> tuple[ShardCursor, list[Decided]]:
    """Move past an entry that nobody survives, and keep it for somebody to look at."""
    now = ports.clock.now()
    died = f"{attempt.number - 1} attempts to decide it did not end"
    reason = f"{died}, the last with {attempt.last_error}" if attempt.last_error else died
    entry = ports.inbox.bury(cursor.shard, cursor.position, reason, now)
    log.error("entry %s of shard %d is put aside: %s", entry.id, cursor.shard, reason)
    error = PutAside(f"not registered: {reason}; it is kept as dead letter")
    failures = [Failure.of(offer, error, now) for offer in entry.offers]
    decided = [Decided(entry, failures, Fault.of(error, now))]
    ports.inbox.note(cursor.shard, lease.epoch, decided)
    moved = ShardCursor(cursor.shard, entry.id, lease.epoch)

    def decide(snapshot: Snapshot) -> tuple[Changes, None]:
        if _still_there(snapshot, cursor, moved, lease):
            return Changes(replace=(moved,)), None
        return Changes(), None

    ports.metadata.transact(decide)
    return moved, decided


def _commit(
    ports: Ports, lease: Lease, cursor: ShardCursor, entries: Sequence[Entry]
) -> tuple[ShardCursor, list[Decided]]:
    """Decide `entries` and write what follows, in one transaction with the cursor."""
    moved = ShardCursor(cursor.shard, entries[-1].id, lease.epoch)

    def decide(snapshot: Snapshot) -> tuple[Changes, list[Decided]]:
        if not _still_there(snapshot, cursor, moved, lease):
            return Changes(), ports.inbox.noted(cursor.shard, lease.epoch, entries)
        registration = _registration(ports, snapshot, entries)
        followed = {entry.job_id for entry in entries if entry.followed}
        cancelled = ports.jobs.cancelled(list(followed)) if followed else frozenset[JobId]()
        decided = [
            _refuse(ports, entry)
            if entry.job_id in cancelled
            else _decide(ports, registration, entry)
            for entry in entries
        ]
        ports.inbox.note(cursor.shard, lease.epoch, decided)
        changes = registration.changes()
        lease.require()
        return replace(changes, replace=(*changes.replace, moved)), decided

    return moved, ports.metadata.transact(decide)


def _still_there(snapshot: Snapshot, cursor: ShardCursor, moved: ShardCursor, lease: Lease) -> bool:
    """Whether the shard is at `cursor`; False if an attempt to move it went unanswered.

    Raises:
        LeaseLost: when somebody else moved it.
    """
    lease.require()
    stored = snapshot.shard(cursor.shard)
    if stored == moved:
        return False
    if stored.position != cursor.position or stored.epoch > lease.epoch:
        raise LeaseLost(f"shard {cursor.shard} has moved on to {stored.position}")
    return True


def _decide(ports: Ports, registration: Registration, entry: Entry) -> Decided:
    failures = [
        Failure.of(offer, error, ports.clock.now())
        for offer in entry.offers
        if (error := registration.decide(offer)) is not None
    ]
    return Decided(entry, failures)


def _refuse(ports: Ports, entry: Entry) -> Decided:
    """Refuse what is offered by a job that was cancelled."""
    now = ports.clock.now()
    return Decided(entry, [Failure.of(offer, Cancelled(), now) for offer in entry.offers])


def _registration(ports: Ports, snapshot: Snapshot, entries: Sequence[Entry]) -> Registration:
    """Everything the offers of `entries` might meet."""
    offers = [offer for entry in entries for offer in entry.offers]
    seeking = {offer.segment.flow_id for offer in offers if offer.bearing is not None}
    spans: dict[FlowId, list[TimeRange]] = {}
    for offer in offers:
        if offer.bearing is None:
            spans.setdefault(offer.segment.flow_id, []).append(offer.segment.timerange)
    hulls = {flow_id: TimeRange.hull(ranges) for flow_id, ranges in spans.items()}
    wanted = {offer.segment.object_id for offer in offers}
    wanted |= {offer.init_object_id for offer in offers if offer.init_object_id is not None}
    objects = snapshot.objects(wanted, likely_for=hulls)
    found = snapshot.segments_around(hulls)
    streams = snapshot.streams(seeking) if seeking else {}
    chained = {flow for s in streams.values() for flow in (s.current, s.previous)} | seeking
    seen = {}
    for flow_id in chained:
        recent = snapshot.segments(flow_id, SegmentQuery(RECENT, reverse_order=True))
        if len(recent) > RECENT:
            seen[flow_id] = TimeRange(recent[-1].timerange.start, ETERNITY.end)
        others = [s for s in found.get(flow_id, ()) if s not in recent]
        found[flow_id] = [*recent, *others]
        objects |= snapshot.objects({s.object_id for s in recent} - objects.keys())
    flows = snapshot.flows(hulls.keys() | chained)
    stalled = any(flow.inflow.stalled_since for flow in flows.values())
    return Registration(
        flows,
        objects,
        found,
        stalls=snapshot.open_stalls() if stalled else (),
        labels=backend_labels(ports.media.backends.values()),
        now=ports.clock.now(),
        streams=streams,
        seen=seen,
        look=lambda flow_id, span: snapshot.segments_around({flow_id: span})[flow_id],
        shard_of=lambda flow_id: shard_of(flow_id, ports.limits.shards),
    )
