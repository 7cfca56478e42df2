"""When an ingesting flow has stalled: segments came, and then the next one did not.

* A flow is `waiting` until the first segment since it began to ingest; that is no stall.
* It is `stalled` when the last segment arrived longer ago than a number of its usual intervals,
  and than a least time; until then it is `ok`.
* A stall starts with the arrival of the last segment before it. It ends with the next one, or when
  the flow is not ingesting any more.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from schemas.domain.flow import Flow
from schemas.domain.identifiers import FlowId


class IngestState(StrEnum):
    """How the ingest of a flow goes."""

    OK = "ok"
    STALLED = "stalled"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Stall:
    """A time in which no segment of a flow arrived; `ended` is None while it goes on."""

    flow_id: FlowId
    started: datetime
    noticed: datetime
    ended: datetime | None = None

    def over(self, now: datetime) -> "Stall":
        """This stall, ended."""
        return replace(self, ended=now)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for the next segment: so many usual intervals, and `least_s` at least."""

    intervals: int
    least_s: int

    def state_of(self, flow: Flow, now: datetime) -> IngestState:
        """How the ingest of `flow`, whose status is `ingesting`, goes."""
        inflow = flow.inflow
        if inflow.waiting or inflow.arrived is None:
            return IngestState.WAITING
        waited_ms = (now - inflow.arrived) // timedelta(milliseconds=1)
        if waited_ms > max(self.intervals * (flow.usual_interval_ms or 0), self.least_s * 1_000):
            return IngestState.STALLED
        return IngestState.OK
