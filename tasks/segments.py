"""Offering segments to flows, and listing those that flows have.

* `submit` makes offers durable in the inbox of the flow's shard and rings for a worker; from
  then on they are acknowledged. `tasks.flushing` decides them.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from schemas.domain.changes import shard_of
from schemas.domain.errors import Unavailable
from schemas.domain.flow import Flow
from schemas.domain.identifiers import FlowId, JobId, ObjectId
from schemas.domain.job import Job, JobKind, JobState
from schemas.domain.media_object import MediaObject
from schemas.domain.newest import Newest
from schemas.domain.query import SegmentQuery
from schemas.domain.registration import RECENT, Registration
from schemas.domain.segment import Offer, Segment
from schemas.domain.storage import backend_labels
from schemas.domain.timerange import ETERNITY, TimeRange
from tasks import jobs
from tasks.flows import existing
from tasks.ports import Ports, Snapshot

Objects = Mapping[ObjectId, MediaObject]


def submit(ports: Ports, flow_id: FlowId, offers: Sequence[Offer], *, followed: bool) -> Job:
    """Accept `offers` for registration in a flow.

    `followed` says that the caller will hand out the address of the job, and wants to know before
    whether the flow takes segments. Others learn that from the outcome.

    Raises:
        FlowNotFound, ReadOnly, Invalid: when `followed` and the flow does not exist, is read-only,
            or has no container.
        Unavailable: when too much waits already, or a service is down; nothing was accepted.
    """
    now = ports.clock.now()
    if followed and not ports.takers.knows(flow_id, now):
        with ports.metadata.read() as snapshot:
            flow = existing(snapshot, flow_id)
        flow.require_writable()
        flow.require_container()
        ports.takers.add(flow_id, now)
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
    if not ports.inbox.append(shard, job, flow_id, offers):
        # The offers are safe; should the ring be lost, the sweep will ring.
        with suppress(Unavailable):
            ports.queue.ring(shard)
    return job


def outcome(ports: Ports, submitted: Job, flow_id: FlowId, within_s: float) -> Job:
    """The job of `submit` as it ended, or as it is if it has not after that time."""
    job = jobs.outcome(ports, submitted, within_s)
    if job.state is JobState.DONE and not job.failed:
        ports.takers.add(flow_id, ports.clock.now())
    return job


def try_out(ports: Ports, offer: Offer) -> Segment:
    """The segment that `offer` would be if it were registered now.

    Raises:
        TamsError: when it would be refused.
    """
    with ports.metadata.read() as snapshot:
        return registration_of(ports, snapshot, [offer]).place(offer)


def registration_of(
    ports: Ports,
    snapshot: Snapshot,
    offers: Sequence[Offer],
    newest: Mapping[FlowId, Newest] | None = None,
) -> Registration:
    """A registration that knows everything the `offers` might meet.

    What is known already of the `newest` segments of flows is not read again.
    """
    seeking = {offer.segment.flow_id for offer in offers if offer.bearing is not None}
    spans: dict[FlowId, list[TimeRange]] = {}
    for offer in offers:
        if offer.bearing is None:
            spans.setdefault(offer.segment.flow_id, []).append(offer.segment.timerange)
    flows = snapshot.flows({offer.segment.flow_id for offer in offers})
    taken = {
        flow_id: TimeRange.hull(met)
        for flow_id, ranges in spans.items()
        if flow_id in flows
        and (met := [r for r in ranges if r.overlaps(flows[flow_id].content.timerange)])
    }
    wanted = {offer.segment.object_id for offer in offers}
    wanted |= {offer.init_object_id for offer in offers if offer.init_object_id is not None}
    # Who says where an object is need not have asked for storage.
    asking = {o.segment.flow_id for o in offers if not o.links and o.dropped is None}
    objects = snapshot.objects(wanted, likely_for=asking)
    found = _remembered(newest or {}, flows, taken)
    found |= snapshot.segments_around({k: taken[k] for k in taken.keys() - found.keys()})
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
    flows |= snapshot.flows(chained - flows.keys())
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


def _remembered(
    newest: Mapping[FlowId, Newest], flows: Mapping[FlowId, Flow], spans: Mapping[FlowId, TimeRange]
) -> dict[FlowId, list[Segment]]:
    """The segments of flows that overlap a span of each, where they are known."""
    return {
        flow_id: found
        for flow_id, span in spans.items()
        if flow_id in newest
        and newest[flow_id].is_of(flows[flow_id])
        and (found := newest[flow_id].around(span)) is not None
    }
