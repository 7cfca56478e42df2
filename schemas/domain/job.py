"""A job: work that goes on after the request for it was answered, and how far it has come.

* A job is `created`, then `started`, then `done` or `error`; the last two are for ever.
* A job that registers segments is done when each was either registered or refused; the refused
  ones are its failures.
* A job that ended in `error` has a fault that says why.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from schemas.domain.errors import TamsError
from schemas.domain.identifiers import FlowId, JobId, ObjectId
from schemas.domain.segment import Offer


class JobState(StrEnum):
    """How far a job has come."""

    CREATED = "created"
    STARTED = "started"
    DONE = "done"
    ERROR = "error"


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


@dataclass(frozen=True, slots=True)
class Job:
    """The state of one job; `version` grows with every change.

    `followed` says that somebody has its address, and may ask for it long after it ended.
    """

    id: JobId
    kind: str
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

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in {JobState.DONE, JobState.ERROR}
