"""What a batch of offered segments does to flows, objects and timelines.

* Offers are decided one after the other; each sees what those before it did.
* A refused offer leaves no trace, other than a `Problem` when its object was dropped into a
  bucket and nobody waits for the answer.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime

from schemas.domain import media_object
from schemas.domain.changes import Changes
from schemas.domain.errors import FlowNotFound, Invalid, TamsError
from schemas.domain.flow import Content, Flow
from schemas.domain.identifiers import FlowId, ObjectId
from schemas.domain.ingest import Problem
from schemas.domain.media_object import MediaObject, Role
from schemas.domain.segment import Offer, Segment
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
        labels: Collection[str],
        now: datetime,
    ) -> None:
        """`segments` holds those existing ones that any offer might meet, by flow."""
        self._flows = flows
        self._known = objects
        self._objects = dict(objects)
        self._timelines = {flow_id: Timeline(segments.get(flow_id, ())) for flow_id in flows}
        self._labels = labels
        self._now = now
        self._added: list[Segment] = []
        self._problems: list[Problem] = []

    def decide(self, offer: Offer) -> TamsError | None:
        """Register `offer`, or say why not."""
        try:
            self._register(offer)
        except TamsError as error:
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
            replace=(*(o for o in touched if o.id in self._known), *self._grown_flows()),
            claim=frozenset(o.id for o in new),
        )

    def _grown_flows(self) -> list[Flow]:
        added: dict[FlowId, list[TimeRange]] = {}
        for segment in self._added:
            added.setdefault(segment.flow_id, []).append(segment.timerange)
        return [
            replace(
                flow,
                segments_updated=self._now,
                content=Content(
                    TimeRange.hull([flow.content.timerange, *added[flow.id]]),
                    flow.content.segments + len(added[flow.id]),
                ),
            )
            for flow in self._flows.values()
            if flow.id in added
        ]


def _is_registered(known: MediaObject | None) -> bool:
    return known is not None and known.role is not Role.ALLOCATED
