"""A flow delete request: its segments in a timerange, or the whole flow (`deletion-request`).

* Only segments wholly inside the timerange go, and if an object is named, only those of it.
* A deletion goes on in bounded steps in order of time; `remaining` is what the steps so far have
  not looked at, so that it can be taken up again wherever it stopped.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from schemas.domain.collections import Collectors
from schemas.domain.identifiers import DeletionId, FlowId, ObjectId
from schemas.domain.job import Fault
from schemas.domain.segment import Segment
from schemas.domain.timerange import NEVER, TimeRange


class DeletionState(StrEnum):
    """How far a deletion has come."""

    CREATED = "created"
    STARTED = "started"
    DONE = "done"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Deletion:
    """One flow delete request; `deleted` counts segments, `expiry` is when it is forgotten.

    `collectors` are those that a flow which goes had until then.
    """

    id: DeletionId
    flow_id: FlowId
    timerange: TimeRange
    remaining: TimeRange
    delete_flow: bool
    created: datetime
    created_by: str
    updated: datetime
    object_id: ObjectId | None = None
    state: DeletionState = DeletionState.CREATED
    deleted: int = 0
    expiry: datetime | None = None
    fault: Fault | None = None
    collectors: Collectors | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in {DeletionState.DONE, DeletionState.ERROR}

    def covers(self, segment: Segment) -> bool:
        """Whether `segment` is one of those to delete."""
        return self.timerange.contains(segment.timerange) and (
            self.object_id in {None, segment.object_id}
        )

    def advanced(
        self, looked_at: Sequence[Segment], deleted: int, *, more: bool, now: datetime
    ) -> "Deletion":
        """After a step that looked at these segments in order of time, and deleted some."""
        remaining = NEVER
        if more:
            remaining = TimeRange(looked_at[-1].timerange.end, self.remaining.end)
        return replace(
            self,
            remaining=remaining,
            state=DeletionState.STARTED,
            deleted=self.deleted + deleted,
            updated=now,
        )

    def completed(self, now: datetime, kept: timedelta) -> "Deletion":
        """Once nothing remains; it is listed for as long as `kept`."""
        return replace(
            self, remaining=NEVER, state=DeletionState.DONE, updated=now, expiry=now + kept
        )

    def failed(self, fault: Fault, kept: timedelta) -> "Deletion":
        """After a step that cannot succeed."""
        return replace(
            self,
            state=DeletionState.ERROR,
            fault=fault,
            updated=fault.time,
            expiry=fault.time + kept,
        )
