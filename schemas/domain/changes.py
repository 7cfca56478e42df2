"""What an operation wants written: the only way anything gets into the database.

* Operations decide and return `Changes`; `MetadataStore.transact` writes them in one
  transaction or not at all.
* The database has no unique constraint. Whoever adds a thing under a name that others may choose
  too *claims* the name: of two transactions that claim one name at once, only one commits.
* A record is replaced or removed only by the transaction that read it, so that a change made
  meanwhile by another writer is noticed, not overwritten.
* Where an object can be fetched from is shown with the segments that refer to it. An operation
  that changes it for those that did already says so, whether or not it had to change it still.
* What is told of a change is part of it (see `schemas.domain.event`).
"""

from dataclasses import dataclass
from zlib import crc32

from schemas.domain.deletion import Deletion
from schemas.domain.event import Event, EventLog, Happening, Outgoing
from schemas.domain.flow import Flow
from schemas.domain.identifiers import FlowId, ObjectId
from schemas.domain.ingest import Problem
from schemas.domain.ingest_rule import IngestRule
from schemas.domain.job import Job, JobFailure
from schemas.domain.media_object import Copy, MediaObject, Orphan
from schemas.domain.profile import Profile
from schemas.domain.scan import Scan
from schemas.domain.segment import Segment
from schemas.domain.service import ServiceInfo
from schemas.domain.sighting import Sighting
from schemas.domain.source import Source
from schemas.domain.stall import Stall
from schemas.domain.stream import Stream
from schemas.domain.webhook import Webhook


@dataclass(frozen=True, slots=True)
class ShardCursor:
    """How far the offers of a shard are decided.

    `position` is the id of the last entry of the shard's inbox that was decided, `epoch` that
    of the lease under which it was: a writer whose lease was taken over cannot go back.
    """

    shard: int
    position: str
    epoch: int


def shard_of(flow_id: FlowId, shards: int) -> int:
    """The shard all segments of a flow go through."""
    return crc32(flow_id.encode()) % shards


Record = (
    Source
    | Flow
    | Segment
    | MediaObject
    | Copy
    | Orphan
    | Deletion
    | Profile
    | ServiceInfo
    | Problem
    | IngestRule
    | Stream
    | Sighting
    | Scan
    | Stall
    | Webhook
    | ShardCursor
    | Outgoing
    | Event
    | EventLog
    | Job
    | JobFailure
)


@dataclass(frozen=True, slots=True)
class Changes:
    """Records to add, to put in the place of others read before, to remove; names claimed.

    `relinked` are objects that can be fetched from elsewhere than before.
    `told` is what happens thereby, in order.
    """

    add: tuple[Record, ...] = ()
    replace: tuple[Record, ...] = ()
    remove: tuple[Record, ...] = ()
    claim: frozenset[str] = frozenset()
    relinked: frozenset[ObjectId] = frozenset()
    told: tuple[Happening, ...] = ()
