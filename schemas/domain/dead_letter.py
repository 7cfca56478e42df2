"""Work that was put aside because it could not be done, for somebody to look at.

* It is put aside as it was, with the reason, and is lost only when it is discarded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from schemas.domain.identifiers import FlowId, JobId


@dataclass(frozen=True, slots=True)
class DeadOffers:
    """Offered segments whose deciding brought workers down; `offers` is their text as queued."""

    id: str
    flow_id: FlowId
    job_id: JobId
    offers: str
    reason: str
    time: datetime


@dataclass(frozen=True, slots=True)
class DeadNotice:
    """A message that could not be read as a notification, as it came from `origin`."""

    id: str
    body: bytes
    origin: str
    reason: str
    time: datetime


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Either of them, as it is shown; `about` says what is known of it, `content` is the thing."""

    id: str
    kind: str
    reason: str
    time: datetime
    about: Mapping[str, str]
    content: str
