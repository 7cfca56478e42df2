"""What a batch of offered segments does to flows, objects and timelines.

* Offers are decided one after the other; each sees what those before it did.
* A refused offer leaves no trace, other than a `Problem` when its object was dropped into a
  bucket and nobody waits for the answer; and that its flow counts overlaps.
* Segments of a flow that had stalled end its stall.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime

from schemas.domain import media_object
from schemas.domain.changes import Changes
from schemas.domain.errors import FlowNotFound, Invalid, TamsError, TimeTaken
from schemas.domain.flow import Content, Flow
from schemas.domain.identifiers import FlowId, ObjectId
from schemas.domain.ingest import Problem
from schemas.domain.media_object import MediaObject, Role
from schemas.domain.segment import Offer, Segment
from schemas.domain.stall import Stall
from schemas.domain.timeline import Timeline
from schemas.domain.timerange import TimeRange


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
    ) -> None:
        """`segments` holds those existing ones that any offer might meet, by flow.

        `stalls` are those of the flows that go on.
        """
        self._flows = flows
        self._known = objects
        self._objects = dict(objects)
        self._timelines = {flow_id: Timeline(segments.get(flow_id, ())) for flow_id in flows}
        self._stalls = stalls
        self._labels = labels
        self._now = now
        self._added: list[Segment] = []
        self._problems: list[Problem] = []
        self._overlaps: Counter[FlowId] = Counter()

    def decide(self, offer: Offer) -> TamsError | None:
        """Register `offer`, or say why not."""
        try:
            self._register(offer)
        except TamsError as error:
            if isinstance(error, TimeTaken):
                self._overlaps[offer.segment.flow_id] += 1
            if offer.dropped:
                self._problems.append(
                    Problem(
                        offer.dropped.bucket,
                        offer.dropped.key,
                        offer.dropped.etag,
                        str(error),
                        self._now,
                    )
                )
            return error
        return None

    def _register(self, offer: Offer) -> None:
        segment = offer.segment
        flow = self._flows.get(segment.flow_id)
        if flow is None:
            raise FlowNotFound(f"flow {segment.flow_id} does not exist", field="flow_id")
        flow.require_writable()
        flow.require_container()
        known = self._objects.get(segment.object_id)
        item = media_object.as_media(known, offer, flow, self._labels, self._now)
        touched = []
        if offer.init_object_id is not None:
            if offer.init_object_id == segment.object_id:
                raise Invalid(
                    f"object {segment.object_id} cannot be its own init segment",
                    field="init_object_id",
                )
            known_init = self._objects.get(offer.init_object_id)
            init = media_object.as_init(known_init, offer.init_object_id, flow)
            touched.append(init if _is_registered(known) else init.referred())
        if self._timelines[flow.id].admits(segment):
            self._timelines[flow.id].add(segment)
            self._added.append(segment)
            item = item.referred()
        touched.append(item)
        self._objects.update({each.id: each for each in touched})

    def changes(self) -> Changes:
        """Everything the decided offers change."""
        touched = [o for key, o in self._objects.items() if o != self._known.get(key)]
        new = [o for o in touched if o.id not in self._known]
        return Changes(
            add=(*self._added, *new, *self._problems),
            replace=(
                *(o for o in touched if o.id in self._known),
                *self._changed_flows(),
                *self._ended_stalls(),
            ),
            claim=frozenset(o.id for o in new),
        )

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

    def _ended_stalls(self) -> list[Stall]:
        grown = {segment.flow_id for segment in self._added}
        return [stall.over(self._now) for stall in self._stalls if stall.flow_id in grown]


def _is_registered(known: MediaObject | None) -> bool:
    return known is not None and known.role is not Role.ALLOCATED
