"""What the operations need of the outside world.

* An adapter translates foreign errors: a service that is down raises `Unavailable` naming it,
  so that it can never be mistaken for an empty answer.
* Every adapter has `ping()`; readiness is the list of pings.
* `Ports` is built once per process, on first use, so that no connection crosses a fork.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from queue import SimpleQueue
from typing import BinaryIO, Protocol, TypeVar

from schemas.domain.changes import Changes, ShardCursor
from schemas.domain.dead_letter import DeadOffers
from schemas.domain.deletion import Deletion
from schemas.domain.flow import Flow
from schemas.domain.identifiers import (
    DeletionId,
    FlowId,
    JobId,
    ObjectId,
    ProfileId,
    SourceId,
    StorageId,
)
from schemas.domain.ingest import Appeared, KeyTemplate, Measured, Notification, Problem
from schemas.domain.job import Failure, Fault, Job
from schemas.domain.media_object import Controlled, Copy, MediaObject, Orphan
from schemas.domain.profile import Profile
from schemas.domain.query import SegmentQuery
from schemas.domain.segment import Offer, Segment
from schemas.domain.service import ServiceInfo
from schemas.domain.source import Source
from schemas.domain.storage import StorageBackend
from schemas.domain.timerange import TimeRange

T = TypeVar("T")


class Snapshot(Protocol):
    """The database as one transaction sees it."""

    def flows(self, ids: Collection[FlowId], *, going: bool = False) -> dict[FlowId, Flow]:
        """Those of the flows named that exist; with `going`, those that are being deleted too."""

    def all_flows(self, equal: Mapping[str, object]) -> list[Flow]:
        """Every flow whose columns have the values in `equal`; in no particular order."""

    def sources(self, ids: Collection[SourceId]) -> dict[SourceId, Source]:
        """Those of the sources named that exist."""

    def all_sources(self) -> list[Source]:
        """Every source; in no particular order."""

    def profiles(self, ids: Collection[ProfileId]) -> dict[ProfileId, Profile]:
        """Those of the profiles named that exist."""

    def all_profiles(self) -> list[Profile]:
        """Every profile; in no particular order."""

    def service(self) -> ServiceInfo | None:
        """What is said of this service; None until something is."""

    def objects(
        self, ids: Collection[ObjectId], *, likely_for: Collection[FlowId] = ()
    ) -> dict[ObjectId, MediaObject]:
        """Those of the objects named that exist, many of them allocated for `likely_for`."""

    def objects_at(self, keys: Collection[str]) -> dict[str, MediaObject]:
        """Those objects that stand under one of `keys` in our storage, by key."""

    def segments_around(self, spans: Mapping[FlowId, TimeRange]) -> dict[FlowId, list[Segment]]:
        """The segments of each flow that overlap its span."""

    def segments(self, flow_id: FlowId, query: SegmentQuery) -> list[Segment]:
        """The first `query.limit + 1` segments of a flow that `query` asks for, in its order."""

    def hull(self, flow_id: FlowId, within: TimeRange) -> TimeRange:
        """The hull of those segments of a flow that overlap `within`."""

    def flows_using(self, object_id: ObjectId) -> list[FlowId]:
        """The flows with a segment of this object, or of media that needs it as init segment."""

    def allocated_before(self, moment: datetime, limit: int) -> list[MediaObject]:
        """At most `limit` objects that were allocated before `moment` and never registered."""

    def copies(self, **equal: object) -> list[Copy]:
        """The copies still to be made whose columns have these values."""

    def orphans(self, storage_ids: Collection[StorageId], limit: int) -> list[Orphan]:
        """At most `limit` bytes in these storage backends that nothing refers to."""

    def orphaned(self, keys: Collection[str]) -> set[str]:
        """Those of `keys` whose bytes nothing refers to, and are still to be deleted."""

    def deletions(self, ids: Collection[DeletionId]) -> dict[DeletionId, Deletion]:
        """Those of the deletions named that exist."""

    def all_deletions(self) -> list[Deletion]:
        """Every deletion on record; in no particular order."""

    def problems(self) -> list[Problem]:
        """Every problem on record."""

    def shard(self, shard: int) -> ShardCursor:
        """How far the offers of a shard are decided."""


class MetadataStore(Protocol):
    """Everything the store knows about media."""

    def read(self) -> AbstractContextManager[Snapshot]:
        """A consistent view, for as long as the context lasts."""

    def transact(self, decide: Callable[[Snapshot], tuple[Changes, T]]) -> T:
        """Write the changes `decide` makes of what it reads, and return what else it returns.

        Reads and writes are one transaction. When another writer came first, or it is not known
        whether the commit arrived, everything is done anew: `decide` may run several times.
        """

    def ping(self) -> None:
        """Raises Unavailable when the database does not answer."""


class MediaStore(Protocol):
    """The object stores the media are in.

    A storage backend that is not configured is `Unavailable`.
    """

    @property
    def backends(self) -> Mapping[StorageId, StorageBackend]:
        """The storage backends, by id."""

    def put_url(
        self, storage_id: StorageId, key: str, content_type: str, *, presigned: bool = True
    ) -> str:
        """A URL to upload to; the upload must carry `content_type`."""

    def get_url(self, storage_id: StorageId, key: str, *, presigned: bool = True) -> str:
        """A URL to download from."""

    def head(self, bucket: str, key: str) -> Appeared | None:
        """What stands under `key`; None if nothing does."""

    def changed_since(self, moment: datetime) -> Iterator[Notification]:
        """Every object in a storage backend's bucket written since `moment`."""

    def fetch(self, bucket: str, key: str, into: BinaryIO) -> None:
        """Write the bytes under `key` to `into`."""

    def delete(self, storage_id: StorageId, keys: Collection[str]) -> None:
        """Do away with what stands under `keys`; nothing under one of them is fine.

        Raises:
            Unavailable: naming a key whose object is still there, others may be gone.
        """

    def copy(self, source: Controlled, target: Controlled) -> None:
        """Copy bytes and content type, not user metadata; `target` becomes complete or stays.

        Raises:
            Invalid: when nothing stands at `source`.
        """

    def store_from_url(self, url: str, target: Controlled, content_type: str) -> None:
        """Copy what `url` answers to `target`, which becomes complete or stays as it was.

        Raises:
            Invalid: when `url` may not be asked, or does not answer with content.
            Unavailable: when whoever answers there, or the object store, cannot just now.
        """

    def ping(self) -> None:
        """Raises Unavailable when an object store does not answer."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Offers of one request, as they wait in the inbox of a shard.

    `last` ends the request; `followed` says that somebody has the address of its job.
    """

    id: str
    job_id: JobId
    flow_id: FlowId
    offers: Sequence[Offer]
    last: bool
    followed: bool


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of one entry: which of its offers failed, or why it could not be decided."""

    entry: Entry
    failures: Sequence[Failure]
    fault: Fault | None = None


class Lease(Protocol):
    """The right to decide the offers of one shard, for a while."""

    epoch: int

    def require(self) -> None:
        """Raises LeaseLost when the right has passed to somebody else."""


class LeaseLost(Exception):
    """Another worker has taken the shard over."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The how-manieth time something is begun, and what ended the time before, if known."""

    number: int
    last_error: str | None = None


class Inbox(Protocol):
    """Offered segments per shard, waiting to be decided."""

    def append(self, shard: int, job: Job, flow_id: FlowId, offers: Sequence[Offer]) -> None:
        """Make `offers` durable, with the job that follows them; this acknowledges them.

        Raises:
            Unavailable: when the shard has too many offers waiting.
        """

    def lease(self, shard: int) -> AbstractContextManager[Lease | None]:
        """The shard, renewed while the context lasts; None when another worker has it."""

    def read(self, shard: int, after: str, rows: int) -> list[Entry]:
        """The entries after position `after`, up to about `rows` offers, oldest first."""

    def holds(self, shard: int, after: str) -> bool:
        """Whether there are entries after position `after`."""

    def attempt(self, shard: int, position: str) -> AbstractContextManager[Attempt]:
        """Note that what waits after `position` is begun, until it ends in an orderly way.

        That is without an exception, or with `Unavailable` or `LeaseLost`.
        """

    def bury(self, shard: int, after: str, reason: str, now: datetime) -> Entry:
        """Put the first entry after position `after` aside; it stays in the inbox, too.

        What cannot be read of it is left out of the entry returned.
        """

    def decided_unanswered(self, shard: int, position: str) -> list[Entry]:
        """Entries up to `position` whose outcome was committed but not answered yet."""

    def note(self, shard: int, epoch: int, decided: Sequence[Decided]) -> None:
        """Keep the failures of a batch before it is committed, for `noted`."""

    def noted(self, shard: int, epoch: int, entries: Sequence[Entry]) -> list[Decided]:
        """The outcomes of `entries` as they were noted under the lease that committed them."""

    def answer(self, shard: int, decided: Sequence[Decided], now: datetime) -> None:
        """Bring jobs up to date, wake whoever waits, and let go of the entries, all at once."""

    def resume(self, lease: Lease, cursor: ShardCursor) -> None:
        """Take up where the database says the shard stands, also if the broker lost data.

        New entries get ids after the cursor's position, and the lease an epoch after its epoch.
        """

    def schedule(self, shard: int, deletion: DeletionId, created: datetime) -> None:
        """Have a deletion of segments of the shard gone on with."""

    def scheduled(self, shard: int) -> list[DeletionId]:
        """The deletions of the shard to go on with, oldest first."""

    def unschedule(self, shard: int, deletion: DeletionId) -> None:
        """Do not go on with a deletion that ended."""

    def waiting(self) -> list[int]:
        """The shards that have entries, or deletions to go on with."""


class DeadOfferStore(Protocol):
    """Entries of the inbox that were put aside."""

    def all(self) -> list[DeadOffers]:
        """Every one of them; in no particular order."""

    def discard(self, entry_id: str) -> bool:
        """Forget one; whether it was there."""

    def replay(self, entry_id: str) -> int | None:
        """Put one back into the inbox, at once; its shard, or None if it is not there."""


class JobStore(Protocol):
    """Jobs, while they are of interest."""

    def create(self, job: Job) -> None:
        """Keep a new job."""

    def advance(self, job_id: JobId, done: int, now: datetime) -> None:
        """Say how much of a job has been done."""

    def end(self, job_id: JobId, now: datetime, fault: Fault | None = None) -> None:
        """Say that a job is done, or why it cannot be; wakes whoever waits."""

    def get(self, job_id: JobId) -> Job | None:
        """The job, with its failures; None if there is none."""

    def wait(self, job_id: JobId, timeout_s: float) -> Job | None:
        """The job once it ended; None when it did not in time."""

    def ping(self) -> None:
        """Raises Unavailable when the broker does not answer."""


@dataclass(frozen=True, slots=True)
class Noticed:
    """A notification as it waits to be acted upon, and how often that was begun."""

    id: str
    notification: Notification
    attempts: int


class Notices(Protocol):
    """Notifications of objects that appeared, durable before they are acknowledged."""

    def append(self, notifications: Sequence[Notification], now: datetime) -> None:
        """Make `notifications` durable, and remember when that last happened."""

    def unheard_since(self) -> datetime | None:
        """Since when notifications may have been missed; None if ever since.

        That is when the last were made durable, and stays so until `caught_up` is called.
        """

    def caught_up(self) -> None:
        """Note that whatever was missed has been made durable."""

    def take(self, limit: int) -> AbstractContextManager[list[Noticed]]:
        """The oldest notifications, counted as begun; none while another worker has them.

        They are let go when the context ends without an exception, and not counted when it ends
        with `Unavailable`. After one was begun in vain, they are lent singly.
        """

    def waiting(self) -> bool:
        """Whether there are any."""


class Work(StrEnum):
    """Work that is not of one shard, by the names of its tasks."""

    INGEST = "ingest.drain"
    COLLECT = "objects.collect"
    COPY = "objects.copy"


class TaskQueue(Protocol):
    """Work to be done by a worker."""

    def ring(self, shard: int) -> None:
        """Have the shard flushed; one flush per shard waits in the queue at most."""

    def answered(self, shard: int) -> None:
        """Note that the flush rung for has begun, so that the next ring is heard."""

    def call(self, work: Work) -> None:
        """Have some work done; it waits in the queue once at most."""

    def begun(self, work: Work) -> None:
        """Note that the work called for has begun, so that the next call is heard."""


class Clock(Protocol):
    """The wall clock."""

    def now(self) -> datetime:
        """This moment, in UTC."""


class Ids(Protocol):
    """New identifiers."""

    def new(self) -> str:
        """A UUID nobody has used."""


class MediaProbe(Protocol):
    """Reads time from media."""

    def measure(self, file: BinaryIO) -> Measured:
        """Its timestamps; raises Invalid with the reason it cannot be read."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is done at once, and how long is waited."""

    shards: int
    flush_rows: int
    flush_seconds: float
    delete_rows: int
    reply_timeout_s: float
    async_after_s: float
    deletions_kept_s: int
    object_timeout_s: int
    presigned_url_timeout_s: int


class Intake(Protocol):
    """The part of `Ports` that taking notifications needs."""

    @property
    def media(self) -> MediaStore:
        """The object store."""

    @property
    def jobs(self) -> JobStore:
        """Jobs, for their ping."""

    @property
    def notices(self) -> Notices:
        """Where notifications go."""

    @property
    def queue(self) -> TaskQueue:
        """Who is told of them."""

    @property
    def missed(self) -> "SimpleQueue[datetime | None]":
        """Since when there is something to catch up with; None if ever since."""

    @property
    def clock(self) -> Clock:
        """The time."""


@dataclass(frozen=True, slots=True)
class Ports:
    """All of it."""

    metadata: MetadataStore
    media: MediaStore
    inbox: Inbox
    dead_offers: DeadOfferStore
    jobs: JobStore
    notices: Notices
    queue: TaskQueue
    probe: MediaProbe
    clock: Clock
    ids: Ids
    limits: Limits
    templates: Sequence[KeyTemplate]
    missed: "SimpleQueue[datetime | None]" = field(default_factory=SimpleQueue)
