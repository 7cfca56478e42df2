"""Marks: how those who remember the timeline of a flow learn that it changed.

* Every change of a flow leaves a mark of the time it changed, after it is committed and before
  anybody is told that it is.
* Marks of a flow are in order. Who has seen all of them, and has forgotten what they span,
  remembers nothing that is not true.
* A mark that spans nothing says that the flow itself changed, and no segment of it.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from schemas.domain.changes import Changes
from schemas.domain.flow import Flow
from schemas.domain.identifiers import FlowId
from schemas.domain.segment import Segment
from schemas.domain.timerange import NEVER, TimeRange


@dataclass(frozen=True, slots=True)
class Mark:
    """One mark; no two have the same token."""

    token: str
    span: TimeRange


def spans_of(changes: Changes) -> Mapping[FlowId, TimeRange]:
    """The time that `changes` change of each flow: the hull of segments that come or go."""
    spans: dict[FlowId, list[TimeRange]] = defaultdict(list)
    for record in (*changes.add, *changes.replace, *changes.remove):
        if isinstance(record, Segment):
            spans[record.flow_id].append(record.timerange)
        elif isinstance(record, Flow):
            spans[record.id].append(NEVER)
    return {flow_id: TimeRange.hull(found) for flow_id, found in spans.items()}
