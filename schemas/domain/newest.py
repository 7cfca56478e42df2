"""The newest segments of flows, kept by whoever registers them.

* Most offers come at the end of a flow, or among those that came just before. What was registered
  last is there to be compared with, so that it need not be read again.
* Every change of a flow's segments changes what its row says of them. What is kept belongs to one
  such state, and is good as long as a transaction reads that.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Final

from schemas.domain.changes import Changes
from schemas.domain.flow import Content, Flow
from schemas.domain.identifiers import FlowId
from schemas.domain.segment import Segment
from schemas.domain.timerange import ETERNITY, TimeRange

_MOST_SEGMENTS: Final = 256
_MOST_FLOWS: Final = 256

_by_start = attrgetter("timerange.start")


@dataclass(frozen=True, slots=True)
class Newest:
    """All `segments` of a flow that end after the cut `since`, as of a state of the flow."""

    content: Content
    updated: datetime | None
    since: int
    segments: Sequence[Segment] = ()

    @classmethod
    def of(cls, flow: Flow) -> "Newest":
        """What is known of a flow without having looked: after its last segment there is none."""
        empty = not flow.content.segments
        since = ETERNITY.start if empty else flow.content.timerange.end
        return cls(flow.content, flow.segments_updated, since)

    def is_of(self, flow: Flow) -> bool:
        """Whether it is known of the flow as it is."""
        return (flow.content, flow.segments_updated) == (self.content, self.updated)

    def around(self, span: TimeRange) -> list[Segment] | None:
        """The segments that overlap `span`; None if more may than are known."""
        if span.start < self.since:
            return None
        return [each for each in self.segments if each.timerange.overlaps(span)]

    def with_added(self, flow: Flow, added: Iterable[Segment]) -> "Newest":
        """The same once `added` have made the flow what it is."""
        since = self.since
        late = [each for each in added if each.timerange.end > since]
        segments = sorted([*self.segments, *late], key=_by_start)
        if len(segments) > _MOST_SEGMENTS:
            since = segments[-_MOST_SEGMENTS].timerange.start
            segments = segments[-_MOST_SEGMENTS:]
        return Newest(flow.content, flow.segments_updated, since, segments)


def after(
    known: Mapping[FlowId, Newest], before: Mapping[FlowId, Flow], changes: Changes
) -> dict[FlowId, Newest]:
    """The newest segments once `changes` are made to flows that were as they are in `before`."""
    added: dict[FlowId, list[Segment]] = {}
    for record in changes.add:
        if isinstance(record, Segment):
            added.setdefault(record.flow_id, []).append(record)
    found = dict(known)
    for record in changes.replace:
        if isinstance(record, Flow) and record.id in before:
            base = found.pop(record.id, None)
            if base is None or not base.is_of(before[record.id]):
                base = Newest.of(before[record.id])
            found[record.id] = base.with_added(record, added.get(record.id, ()))
    return dict(list(found.items())[-_MOST_FLOWS:])
