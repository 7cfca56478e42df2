"""What a batch of offered segments does to flows, objects and timelines.

* Offers are decided one after the other; each sees what those before it did.
* A refused offer leaves no trace, other than a `Problem` when its object was dropped into a
  bucket and nobody waits for the answer; and that its flow counts overlaps.
* Segments of a flow that had stalled end its stall.
* An offer with a bearing finds its place by what is registered at that moment. Where the encoder
  has restarted, a new flow may begin with it.
* An object that was copied to be kept lets go of the place it was dropped at when it is registered,
  and of the copy when it is refused.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from schemas.domain import event, ingest, media_object, placing, source
from schemas.domain.changes import Changes
from schemas.domain.errors import FlowNotFound, Invalid, TamsError, TimeTaken
from schemas.domain.flow import Content, Flow
from schemas.domain.identifiers import FlowId, ObjectId, StorageId
from schemas.domain.inflow import Inflow
from schemas.domain.ingest import Problem
from schemas.domain.media_object import MediaObject, Orphan, Role
from schemas.domain.placing import Bearing, Neighbour, Place, Restarted, Stated
from schemas.domain.segment import Dropped, Offer, Segment, at
from schemas.domain.stall import Stall
from schemas.domain.stream import Stream, successor
from schemas.domain.timeline import Timeline
from schemas.domain.timerange import ETERNITY, TimeRange

# An object finds its place among this many of the newest segments of its flow.
RECENT: Final = 100

Look = Callable[[FlowId, TimeRange], Collection[Segment]]


def _blind(flow_id: FlowId, span: TimeRange) -> Collection[Segment]:  # noqa: ARG001 - as a `Look`
    """Sees nothing beyond what is known."""
    return ()


class Registration:
    """Decides offers against what is known, and collects the changes that follow."""

    def __init__(
        self,
        flows: Mapping[FlowId, Flow],
        objects: Mapping[ObjectId, MediaObject],
        segments: Mapping[FlowId, Collection[Segment]],
        *,
        stalls: Collection[Stall] = (),
        labels: Collection[str],
        now: datetime,
        streams: Mapping[FlowId, Stream] | None = None,
        seen: Mapping[FlowId, TimeRange] | None = None,
        look: Look = _blind,
        shard_of: Callable[[FlowId], int] = lambda _: 0,
    ) -> None:
        """`segments` holds those existing ones that any offer might meet, by flow.

        An offer with a bearing may end up elsewhere. Of its flow, `segments` has the newest, which
        are all there are in the time that `seen` says, and `objects` has theirs; `look` shows the
        segments around any other time. `stalls` are those of the flows that go on.
        """
        self._known_flows = flows
        self._flows = dict(flows)
        self._known = objects
        self._objects = dict(objects)
        seen = seen or {}
        self._timelines = {
            flow_id: Timeline(segments.get(flow_id, ()), seen.get(flow_id, ETERNITY))
            for flow_id in flows
        }
        self._known_streams = streams or {}
        self._streams = dict(self._known_streams)
        self._stalls = stalls
        self._labels = labels
        self._now = now
        self._look = look
        self._shard_of = shard_of
        self._added: list[Segment] = []
        self._problems: list[Problem] = []
        self._orphans: dict[tuple[StorageId, str], Orphan] = {}
        self._overlaps: Counter[FlowId] = Counter()

    def decide(self, offer: Offer) -> TamsError | None:
        """Register `offer`, or say why not."""
        streams = dict(self._streams)
        try:
            self._register(offer if offer.bearing is None else self._located(offer, offer.bearing))
        except TamsError as error:
            self._streams = streams
            if isinstance(error, TimeTaken):
                self._overlaps[offer.segment.flow_id] += 1
            if offer.dropped:
                self._problems.append(ingest.problem(offer.dropped, error, self._now))
                self._let_go_of_copy(offer.segment.object_id, offer.dropped)
            return error
        return None

    def place(self, offer: Offer) -> Segment:
        """The segment that `offer` would be; raises what `decide` would return."""
        found = offer if offer.bearing is None else self._located(offer, offer.bearing)
        self._register(found)
        return found.segment

    def _register(self, offer: Offer) -> None:
        segment = offer.segment
        flow = self._flow(segment.flow_id)
        flow.require_writable()
        container = flow.require_container()
        if offer.dropped is not None:
            ingest.require_fits(offer.dropped, container, flow.format)
        known = self._objects.get(segment.object_id)
        item = media_object.as_media(known, offer, flow, self._labels, self._now)
        init = None
        if offer.init_object_id is not None:
            if offer.init_object_id == segment.object_id:
                raise Invalid(
                    f"object {segment.object_id} cannot be its own init segment",
                    field="init_object_id",
                )
            known_init = self._objects.get(offer.init_object_id)
            init = media_object.as_init(
                known_init, offer.init_object_id, flow, offer.init, self._now
            )
            if not _is_registered(known):
                init = init.referred()
        timeline = self._timelines[flow.id]
        if timeline.admits(segment):
            timeline.add(segment)
            self._added.append(segment)
            item = item.referred()
        self._objects[item.id] = item
        if init is not None:
            self._objects[init.id] = init
        if offer.dropped is not None and offer.dropped.moved_to:
            self._let_go_of(offer.dropped)

    def changes(self) -> Changes:
        """Everything the decided offers change."""
        known = self._known
        new = [item for key, item in self._objects.items() if key not in known]
        touched = [o for key, o in self._objects.items() if key in known and o != known[key]]
        changed = self._changed_flows()
        flows = [f for f in changed if f.id in self._known_flows]
        new_flows = [f for f in changed if f.id not in self._known_flows]
        streams = [s for s in self._streams.values() if s != self._known_streams.get(s.flow_id)]
        return Changes(
            add=(
                *self._added,
                *new,
                *new_flows,
                *(s for s in streams if s.flow_id not in self._known_streams),
                *self._orphans.values(),
                *self._problems,
            ),
            replace=(
                *touched,
                *flows,
                *self._ended_stalls(),
                *(s for s in streams if s.flow_id in self._known_streams),
            ),
            claim=frozenset(
                {
                    *(o.id for o in new),
                    *(f"flow/{f.id}" for f in new_flows),
                    *(source.part_for(f.id, f.source_id) for f in new_flows),
                }
            ),
            relinked=frozenset(o.id for o in touched if self._is_relinked(o)),
            told=(*map(event.flow_created, new_flows), *self._told_of_segments()),
        )

    def _is_relinked(self, item: MediaObject) -> bool:
        """Whether segments that refer to an object already can be fetched from elsewhere now."""
        known = self._known[item.id]
        return known.references > 0 and known.instances != item.instances

    def _flow(self, flow_id: FlowId) -> Flow:
        flow = self._flows.get(flow_id)
        if flow is None:
            raise FlowNotFound(f"flow {flow_id} does not exist", field="flow_id")
        return flow

    def _located(self, offer: Offer, bearing: Bearing) -> Offer:
        """`offer` where its bearing leads, in the flow that is the current one of its stream."""
        first = offer.segment.flow_id
        stream = self._streams.get(first, Stream(first, first, first))
        current = stream.current if stream.current in self._flows else first
        self._flow(current)
        try:
            return self._in(current, offer, bearing)
        except Restarted:
            pass
        if stream.previous != current and stream.previous in self._flows:
            try:
                return self._in(stream.previous, offer, bearing)
            except Restarted:
                pass
        begun = self._begin_after(current, offer)
        self._streams[first] = Stream(first, begun, current)
        return self._in(begun, offer, bearing)

    def _in(self, flow_id: FlowId, offer: Offer, bearing: Bearing) -> Offer:
        assert offer.dropped is not None  # only such offers have a bearing
        duration = offer.segment.timerange.duration_ns
        if isinstance(bearing, Stated):
            margin = bearing.precision_ns
            around = (bearing.start_ns - margin, bearing.start_ns + duration + margin)
            self._see(flow_id, TimeRange.half_open(*around))
        place = placing.locate(
            bearing, duration, offer.dropped.key, offer.dropped.etag, self._neighbours(flow_id)
        )
        self._see(flow_id, place.timerange)
        return _placed(offer, flow_id, place)

    def _see(self, flow_id: FlowId, span: TimeRange) -> None:
        if not self._timelines[flow_id].sees(span):
            self._timelines[flow_id].learn(self._look(flow_id, span))

    def _neighbours(self, flow_id: FlowId) -> list[Neighbour]:
        found = []
        for each in self._timelines[flow_id]:
            item = self._objects.get(each.object_id)
            drop = item.drop if item is not None else None
            if drop is None:
                found.append(Neighbour(each.timerange, each.object_id, "", None))
            else:
                found.append(Neighbour(each.timerange, drop.key, drop.etag, drop.clock_ns))
        return found

    def _begin_after(self, flow_id: FlowId, offer: Offer) -> FlowId:
        """Begin a flow like `flow_id`, with the object of `offer`."""
        assert offer.dropped is not None
        begun = successor(flow_id, f"{offer.dropped.key}@{offer.dropped.etag}", self._shard_of)
        if begun not in self._flows:
            self._flows[begun] = replace(
                self._flows[flow_id],
                id=begun,
                created=self._now,
                metadata_updated=self._now,
                segments_updated=None,
                content=Content(),
                inflow=Inflow(),
            )
            self._timelines[begun] = Timeline()
        return begun

    def _let_go_of(self, item: Dropped) -> None:
        """Have the bytes deleted that an object was copied from, unless they are others by then."""
        left = Orphan(item.storage_id, item.key, self._now, ours=False, etag=item.etag)
        self._orphans[left.storage_id, left.key] = left

    def _let_go_of_copy(self, object_id: ObjectId, item: Dropped) -> None:
        if item.moved_to and not _is_registered(self._objects.get(object_id)):
            copy = Orphan(item.storage_id, item.moved_to, self._now)
            self._orphans[copy.storage_id, copy.key] = copy

    def _changed_flows(self) -> list[Flow]:
        added: dict[FlowId, list[TimeRange]] = {}
        for segment in self._added:
            added.setdefault(segment.flow_id, []).append(segment.timerange)
        changed = []
        for flow_id in added.keys() | self._overlaps.keys():
            flow = self._flows[flow_id]
            if flow_id in self._overlaps:
                refusing = flow.inflow.refusing(self._overlaps[flow_id], self._now)
                flow = replace(flow, inflow=refusing)
            if flow_id in added:
                flow = self._grown(flow, added[flow_id])
            changed.append(flow)
        return changed

    def _grown(self, flow: Flow, added: list[TimeRange]) -> Flow:
        return replace(
            flow,
            segments_updated=self._now,
            content=Content(
                TimeRange.hull([flow.content.timerange, *added]),
                flow.content.segments + len(added),
            ),
            inflow=flow.inflow.grown([each.duration_ns for each in added], self._now),
        )

    def _told_of_segments(self) -> list[event.Happening]:
        added: dict[FlowId, list[Segment]] = defaultdict(list)
        for segment in self._added:
            added[segment.flow_id].append(segment)
        return [
            told
            for flow_id, segments in added.items()
            for told in event.segments_added(
                self._flows[flow_id], segments, self._objects, self._now
            )
        ]

    def _ended_stalls(self) -> list[Stall]:
        grown = {segment.flow_id for segment in self._added}
        return [stall.over(self._now) for stall in self._stalls if stall.flow_id in grown]


def _placed(offer: Offer, flow_id: FlowId, place: Place) -> Offer:
    """`offer` at a place in a flow."""
    found = at(offer, place)
    return replace(found, segment=replace(found.segment, flow_id=flow_id))


def _is_registered(known: MediaObject | None) -> bool:
    return known is not None and known.role is not Role.ALLOCATED
