"""A job: work that goes on after the request for it was answered, and how far it has come.

* A job is `created`, then `started`, then `done`, `error` or `cancelled`; the last three are for
  ever, unless what it follows is asked for anew.
* A job that registers segments is done when each was either registered or refused; the refused
  ones are its failures.
* A job that ended in `error` has a fault that says why.
* One that is to be cancelled goes on until its worker heeds that, and may be done before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from schemas.domain.errors import Cancelled, TamsError
from schemas.domain.identifiers import FlowId, JobId, ObjectId
from schemas.domain.segment import Offer


class JobKind(StrEnum):
    """What a job does."""

    REGISTER = "segments.register"
    DELETE_SEGMENTS = "segments.delete"
    DELETE_FLOW = "flows.delete"
    COPY = "objects.copy"
    SCAN = "ingest.scan"


class JobState(StrEnum):
    """How far a job has come."""

    CREATED = "created"
    STARTED = "started"
    DONE = "done"
    ERROR = "error"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self in {JobState.DONE, JobState.ERROR, JobState.CANCELLED}


@dataclass(frozen=True, slots=True)
class Fault:
    """Why the whole of some work cannot be done (schema `error`)."""

    type: str
    summary: str
    time: datetime

    @classmethod
    def of(cls, error: Exception, now: datetime) -> "Fault":
        """The fault that `error` is; what was not raised on purpose does not tell its inside."""
        summary = str(error) if isinstance(error, TamsError) else "an internal error, see the log"
        return cls(type(error).__name__, summary, now)

    @property
    def ends_in(self) -> JobState:
        """The state of a job that this ended."""
        return JobState.CANCELLED if self.type == Cancelled.__name__ else JobState.ERROR


@dataclass(frozen=True, slots=True)
class Failure:
    """One item a job could not do (schema `flow-segment-bulk-failure`)."""

    object_id: ObjectId
    timerange: str
    type: str
    summary: str
    time: datetime
    field: str | None = None

    @classmethod
    def of(cls, offer: Offer, error: TamsError, now: datetime) -> "Failure":
        """The failure of `offer` because of `error`."""
        segment = offer.segment
        return cls(
            segment.object_id,
            str(segment.timerange),
            type(error).__name__,
            str(error),
            now,
            error.field,
        )

    @property
    def cancelled(self) -> bool:
        """Whether the item was not tried, since its job was cancelled."""
        return self.type == Cancelled.__name__


@dataclass(frozen=True, slots=True)
class Job:
    """The state of one job; `version` grows with every change.

    `followed` says that somebody has its address, and may ask for it long after it ended; `result`
    is the path, in our API, of what comes of it.
    """

    id: JobId
    kind: JobKind
    state: JobState
    created: datetime
    updated: datetime
    total: int
    done: int = 0
    failed: int = 0
    flow_id: FlowId | None = None
    followed: bool = True
    version: int = 1
    failures: Sequence[Failure] = ()
    fault: Fault | None = None
    started: datetime | None = None
    result: str | None = None
    cancelling: bool = False

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen; if so, it ended when it was last updated."""
        return self.state.ended


@dataclass(frozen=True, slots=True)
class JobFailure:
    """One of the failures of a job that ended, as it is kept with it; `number` is its place."""

    job_id: JobId
    number: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs somebody wants to see."""

    kind: JobKind | None = None
    state: JobState | None = None
    flow_id: FlowId | None = None

    def __call__(self, job: Job) -> bool:
        """Whether `job` is one of them."""
        return (
            self.kind in {None, job.kind}
            and self.state in {None, job.state}
            and self.flow_id in {None, job.flow_id}
        )
