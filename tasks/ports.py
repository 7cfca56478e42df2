"""What the operations need of the outside world.

* An adapter translates foreign errors: a service that is down raises `Unavailable` naming it,
  so that it can never be mistaken for an empty answer.
* Every adapter has `ping()`; readiness is the list of pings.
* `Ports` is built once per process, on first use, so that no connection crosses a fork.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import BinaryIO, Protocol, TypeVar

from schemas.domain.changes import Changes, ShardCursor
from schemas.domain.coverage import Coverage, CoverageQuery
from schemas.domain.dead_letter import DeadNotice, DeadOffers
from schemas.domain.deletion import Deletion
from schemas.domain.delivery import Delivery, Reply
from schemas.domain.event import Event, EventLog, Outgoing
from schemas.domain.flow import Encoding, Flow
from schemas.domain.identifiers import (
    DeletionId,
    EventId,
    FlowId,
    JobId,
    ObjectId,
    ProfileId,
    SourceId,
    StorageId,
    WebhookId,
)
from schemas.domain.ingest import Appeared, Measured, Notification, Problem, Shape
from schemas.domain.ingest_rule import IngestRule
from schemas.domain.job import Failure, Fault, Job, JobFailure, JobFilter
from schemas.domain.mark import Mark
from schemas.domain.media_object import Controlled, Copy, MediaObject, Orphan
from schemas.domain.profile import Profile
from schemas.domain.query import Listing, SegmentQuery
from schemas.domain.scan import Keys, Scan
from schemas.domain.segment import Offer, Segment
from schemas.domain.service import ServiceInfo
from schemas.domain.sighting import Sighting
from schemas.domain.source import Source
from schemas.domain.stall import Patience, Stall
from schemas.domain.storage import StorageBackend
from schemas.domain.stream import Stream
from schemas.domain.strip import ShownPage, Strip
from schemas.domain.timerange import TimeRange
from schemas.domain.webhook import Webhook
from tasks.takers import Takers

T = TypeVar("T")


class Snapshot(Protocol):
    """The database as one transaction sees it."""

    def flows(self, ids: Collection[FlowId], *, going: bool = False) -> dict[FlowId, Flow]:
        """Those of the flows named that exist; with `going`, those that are being deleted too."""

    def expect(self, shards: Collection[int], flows: Collection[FlowId]) -> None:
        """Read cursors and flows together, which will be asked for."""

    def all_flows(self, equal: Mapping[str, object]) -> list[Flow]:
        """Every flow whose columns have the values in `equal`; in no particular order."""

    def encodings(self, sources: Collection[SourceId]) -> list[Encoding]:
        """Which flows these sources have; in no particular order."""

    def collecting(self, ids: Collection[FlowId]) -> list[Flow]:
        """The flows that collect any of the flows named; in no particular order."""

    def sources(self, ids: Collection[SourceId]) -> dict[SourceId, Source]:
        """Those of the sources named that exist."""

    def flows_in_order(self, listing: Listing, equal: Mapping[str, object]) -> Iterator[Flow]:
        """The flows whose columns have the values in `equal`, from where a page begins on.

        They are read as they are asked for.

        Raises:
            Invalid: when the page key is that of a list in another order.
        """

    def sources_in_order(self, listing: Listing, equal: Mapping[str, object]) -> Iterator[Source]:
        """The same of sources."""

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

    def objects_of(
        self, flow_id: FlowId, segments: Sequence[Segment]
    ) -> dict[ObjectId, MediaObject]:
        """The objects that some neighbouring segments of a flow refer to."""

    def objects_at(self, keys: Collection[str]) -> dict[str, MediaObject]:
        """Those objects that stand under one of `keys` in our storage, by key."""

    def segments_around(self, spans: Mapping[FlowId, TimeRange]) -> dict[FlowId, list[Segment]]:
        """The segments of each flow that overlap its span."""

    def segments(self, flow_id: FlowId, query: SegmentQuery) -> list[Segment]:
        """The first `query.limit + 1` segments of a flow that `query` asks for, in its order."""

    def strip(self, flow_id: FlowId, query: SegmentQuery) -> Strip:
        """The same, always in order of time, as they are shown."""

    def hull(self, flow_id: FlowId, within: TimeRange) -> TimeRange:
        """The hull of those segments of a flow that overlap `within`."""

    def coverage(self, flow_id: FlowId, query: CoverageQuery) -> Coverage:
        """What of a timerange the segments of a flow cover, however many they are."""

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

    def jobs(self, ids: Collection[JobId]) -> dict[JobId, Job]:
        """Those of the jobs named that are on record, without their failures."""

    def job_failures(self, ids: Collection[JobId]) -> dict[JobId, list[JobFailure]]:
        """The failures of the jobs named, in order."""

    def listed_jobs(self, listing: Listing, wanted: JobFilter) -> list[Job]:
        """The jobs on record that a page may hold, in no particular order; one more if there is."""

    def jobs_ended_before(self, moment: datetime, limit: int) -> list[Job]:
        """At most `limit` jobs on record that ended before `moment`."""

    def problems(self) -> list[Problem]:
        """Every problem on record."""

    def rules(self) -> list[IngestRule]:
        """Every ingest rule; in no particular order."""

    def streams(self, ids: Collection[FlowId]) -> dict[FlowId, Stream]:
        """The streams that began with the flows named, where a restart began another flow."""

    def sightings(self, **equal: object) -> list[Sighting]:
        """The sightings of dropped objects whose columns have these values."""

    def problem_etags(self, bucket: str, keys: Collection[str]) -> dict[str, set[str]]:
        """The etags of problems on record, for those of `keys` in `bucket` that have any."""

    def scans(self) -> list[Scan]:
        """Every scan on record; in no particular order."""

    def stalls(self, **equal: object) -> list[Stall]:
        """The stalls whose columns have these values."""

    def open_stalls(self) -> list[Stall]:
        """The stalls that go on."""

    def shards(self, shards: Collection[int]) -> dict[int, ShardCursor]:
        """How far the offers of these shards are decided."""

    def outbox(self) -> list[Outgoing]:
        """Everything in the outbox, the oldest first, without the details."""

    def posted(self) -> bool:
        """Whether there is anything in the outbox."""

    def posted_until(self, posted_ns: int) -> dict[EventId, Outgoing]:
        """What was put into the outbox until then, whole."""

    def event_log(self) -> EventLog:
        """Where the log of events begins and ends."""

    def events_after(self, sequence: int, limit: int) -> list[Event]:
        """The next `limit` events after that place in the log, in order.

        There are none when those were forgotten, which `EventLog.remembers` tells.
        """

    def events_before(self, moment: datetime, limit: int) -> list[Event]:
        """The first of the log that came there before `moment`, without the details."""

    def position_at(self, moment: datetime) -> int:
        """The place in the log before every event that occurred at `moment` or later."""

    def webhooks(self, ids: Collection[WebhookId]) -> dict[WebhookId, Webhook]:
        """Those of the webhooks named that exist."""

    def all_webhooks(self) -> list[Webhook]:
        """Every webhook; in no particular order."""


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


class Marks(Protocol):
    """What tells those who remember flows of changes (see `schemas.domain.mark`)."""

    def newest(self, flow_id: FlowId) -> Mark:
        """The newest mark of a flow; the first one, if it had none.

        From then on changes of the flow leave marks, for a time.
        """

    def all(self, flow_id: FlowId) -> list[Mark]:
        """The marks of a flow that are not forgotten, the newest first."""

    def leave(self, spans: Mapping[FlowId, TimeRange]) -> None:
        """Leave a mark with each of these flows, of the time that changed.

        Raises:
            Unavailable: when it is not known whether they were left.
        """


class Timelines(Protocol):
    """The segments of flows, to be shown."""

    def page(self, flow_id: FlowId, query: SegmentQuery) -> ShownPage:
        """The segments of a flow that `query` asks for; none when there is no such flow."""


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

    def get_urls(self, storage_id: StorageId, *, presigned: bool = True) -> Callable[[str], str]:
        """Makes URLs to download from, of keys; for use at once, as they count from now."""

    def head(self, bucket: str, key: str) -> Appeared | None:
        """What stands under `key`; None if nothing does."""

    def keys(self, bucket: str, prefix: str, after: str, limit: int) -> Keys:
        """At most `limit` keys below `prefix` that come after the key `after`, in order.

        Raises:
            Invalid: when `bucket` is not that of a storage backend.
        """

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

    def append(self, shard: int, job: Job, flow_id: FlowId, offers: Sequence[Offer]) -> bool:
        """Make `offers` durable, with the job that follows them; this acknowledges them.

        Whether the shard is attended, or its bell rung already, so that nobody need ring.

        Raises:
            Unavailable: when the shard has too many offers waiting.
        """

    def lease(self, shard: int) -> AbstractContextManager[Lease | None]:
        """The shard, renewed while the context lasts; None when another worker has it."""

    def arrivals(
        self, positions: Mapping[int, str], rows: int, wait_s: float
    ) -> dict[int, list[Entry]]:
        """The entries after its position in each shard that has any, up to about `rows` offers.

        Waits so long for the first. A shard whose next entry cannot be read comes without entries.
        """

    def read(self, shard: int, after: str, rows: int) -> list[Entry]:
        """The entries after position `after`, up to about `rows` offers, oldest first."""

    def attempts(self, shard: int, position: str) -> int:
        """How often what waits after `position` was begun in vain."""

    def attempt(self, positions: Mapping[int, str]) -> AbstractContextManager[dict[int, Attempt]]:
        """Note that what waits after these positions is begun, until it is answered.

        It is not counted when the context ends with `Unavailable` or `LeaseLost`.
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

    def answer(self, decided: Mapping[int, Sequence[Decided]], now: datetime) -> int:
        """Bring jobs up to date, wake whoever waits, and let go of the entries, all at once.

        Returns how many more entries wait in these shards.
        """

    def resume(self, lease: Lease, cursor: ShardCursor) -> None:
        """Take up where the database says the shard stands, also if the broker lost data.

        New entries get ids after the cursor's position, and the lease an epoch after its epoch.
        """

    def schedule(self, shard: int, deletion: DeletionId, created: datetime) -> None:
        """Have a deletion of segments of the shard gone on with."""

    def scheduled(self, shards: Collection[int]) -> dict[int, list[DeletionId]]:
        """The deletions to go on with, oldest first, of those of the shards that have any."""

    def unschedule(self, shard: int, deletion: DeletionId) -> None:
        """Do not go on with a deletion that ended."""

    def waiting(self) -> list[int]:
        """The shards that have entries, or deletions to go on with."""


class LogBell(Protocol):
    """Who moves events from the outbox into the log, and who waits for more in it."""

    def turn(self) -> AbstractContextManager[bool]:
        """The right to move them, waited for; False when somebody else does not let it go.

        One turn begins a while after the other, a longer one while nobody follows the log.
        """

    def followed(self) -> None:
        """Say that somebody follows the log, as `wait` does."""

    def tell(self, last: int) -> None:
        """Wake whoever waits: `last` is the place of the latest event in the log."""

    def wait(self, after: int, timeout_s: float) -> int:
        """The place that was told last, once it comes after `after`; `after` if none did."""


class DeadOfferStore(Protocol):
    """Entries of the inbox that were put aside."""

    def all(self) -> list[DeadOffers]:
        """Every one of them; in no particular order."""

    def discard(self, entry_id: str) -> bool:
        """Forget one; whether it was there."""

    def replay(self, entry_id: str) -> int | None:
        """Put one back into the inbox, at once; its shard, or None if it is not there."""


@dataclass(frozen=True, slots=True)
class JobChange:
    """What a job was like after a change, without its failures; `id` says in which order."""

    id: str
    job: Job


class JobStore(Protocol):
    """Jobs that go on, and those that ended a short time ago."""

    def create(self, job: Job) -> None:
        """Keep a new job, or one that is taken up anew."""

    def advance(self, job_id: JobId, done: int, now: datetime) -> None:
        """Say how much of a job has been done."""

    def end(self, job_id: JobId, now: datetime, fault: Fault | None = None) -> None:
        """Say that a job is done, or why it cannot be; wakes whoever waits."""

    def cancel(self, job_id: JobId, now: datetime) -> None:
        """Have whoever works on a job stop, at the next step."""

    def cancelled(self, job_ids: Sequence[JobId]) -> set[JobId]:
        """Those of the jobs that are to stop."""

    def get(self, job_id: JobId) -> Job | None:
        """The job, with its failures; None if there is none here."""

    def wait(self, job_id: JobId, timeout_s: float) -> bool | None:
        """Whether all of a job succeeded, once it ended; None when it did not in time."""

    def live(self, listing: Listing, wanted: JobFilter) -> list[Job]:
        """The followed jobs, as far as they are not forgotten, that a page may hold; one more."""

    def ended(self, limit: int) -> list[Job]:
        """Followed jobs that ended and are not forgotten, oldest first, without their failures."""

    def forget(self, jobs: Sequence[Job]) -> None:
        """Let go of ended jobs that are on record elsewhere, unless they were taken up anew."""

    def position(self) -> str:
        """The name of the latest change of a followed job."""

    def changes(self, after: str, timeout_s: float) -> list[JobChange]:
        """Changes of followed jobs after the one called `after`; waits for the first of them."""

    def remembered(self, after: str) -> bool:
        """Whether no change after the one called `after` has been forgotten."""

    def ping(self) -> None:
        """Raises Unavailable when the broker does not answer."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a request that was made before; without an answer it still goes on."""

    fingerprint: str
    answer: bytes | None


class Answers(Protocol):
    """Answers to requests that may be made again, by a key each client chooses."""

    def begin(self, key: str, fingerprint: str) -> Kept | None:
        """Take a request on: None, if nobody has; else what is known of it.

        `fingerprint` is the same for the same request.
        """

    def keep(self, key: str, fingerprint: str, answer: bytes) -> None:
        """Keep the answer to a request that was taken on, if it is not too large."""

    def drop(self, key: str, fingerprint: str) -> None:
        """Give a request up, so that whoever makes it next takes it on."""

    def wait(self, key: str, timeout_s: float) -> None:
        """Wait until who has taken the request on keeps an answer or drops it."""


@dataclass(frozen=True, slots=True)
class Noticed:
    """A notification as it waits to be acted upon, and how often that was begun."""

    id: str
    notification: Notification
    attempts: int


class Notices(Protocol):
    """Notifications of objects that appeared, durable before they are acknowledged."""

    def append(self, notifications: Sequence[Notification]) -> None:
        """Make `notifications` durable."""

    def queued(self, most: int) -> set[tuple[str, str]] | None:
        """Bucket and key of those that wait; None if they are more than `most`."""

    def take(self, limit: int) -> AbstractContextManager[list[Noticed]]:
        """The oldest notifications, counted as begun; none while another worker has them.

        Those that the last one acted upon for the same key covers are left out. They are let go,
        and remembered, when the context ends without an exception, and not counted when it ends
        with `Unavailable`. After one was begun in vain, they are lent singly.
        """

    def waiting(self) -> bool:
        """Whether there are any."""


class DeadNoticeStore(Protocol):
    """Messages that could not be read as notifications; the oldest go when there are too many."""

    def add(self, body: bytes, origin: str, reason: str, now: datetime) -> None:
        """Keep a message as it came from `origin`."""

    def all(self) -> list[DeadNotice]:
        """Every one of them, the oldest first."""

    def get(self, notice_id: str) -> DeadNotice | None:
        """One of them; None if there is none."""

    def discard(self, notice_id: str) -> bool:
        """Forget one; whether it was there."""


class Subscriptions(Protocol):
    """Topics that send notifications to us once we said that we want them."""

    @property
    def wanted(self) -> Collection[str]:
        """The names of those that the operator allows."""

    def confirm(self, url: str) -> None:
        """Open `url`; raises Unavailable when that does not succeed."""


class Vault(Protocol):
    """Encrypts secrets of clients; what is sealed may be kept."""

    def seal(self, text: str) -> str:
        """`text`, encrypted; raises Unavailable when there is no key to do so."""

    def open(self, sealed: str) -> str:
        """What was sealed; raises Unavailable when the key it was sealed with is not there."""

    def renewed(self, sealed: str) -> str:
        """The same secret sealed with the key in use, which it may be already."""


class Courier(Protocol):
    """Brings events to the URLs of webhooks."""

    def require_permitted(self, url: str) -> None:
        """Raises Invalid when nothing may be sent to `url`, as far as can be seen by looking."""

    def line(self, url: str) -> AbstractContextManager[Callable[[Mapping[str, str], bytes], Reply]]:
        """What sends headers and a body to `url` and waits for the reply; for one thread."""


class Turn(Protocol):
    """The right to send to one webhook, for a while."""

    def require(self) -> None:
        """Raises LeaseLost when the right has passed to somebody else."""


class Deliveries(Protocol):
    """Who sends to which webhook, when to look again, and what was sent last."""

    def turn(self, webhook_id: WebhookId) -> AbstractContextManager[Turn | None]:
        """The right to send to a webhook, while the context lasts; None when another has it."""

    def wake(self, webhook_id: WebhookId, moment: datetime) -> None:
        """Have a webhook looked at again, at that moment or earlier."""

    def due(self, now: datetime) -> list[WebhookId]:
        """The webhooks that are to be looked at again now; who asks has to see to it."""

    def record(self, webhook_id: WebhookId, tried: Sequence[Delivery]) -> None:
        """Remember what was tried, in this order; the oldest go when there are too many."""

    def recent(self, webhook_id: WebhookId) -> list[Delivery]:
        """What was tried last, the latest first."""

    def forget(self, webhook_id: WebhookId) -> None:
        """Forget what was tried."""


class Work(StrEnum):
    """Work that is not of one shard, by the names of its tasks."""

    INGEST = "ingest.drain"
    COLLECT = "objects.collect"
    COPY = "objects.copy"
    ARCHIVE = "jobs.archive"
    SCAN = "ingest.scan"
    CATCH_UP = "ingest.catch_up"
    RELAY = "events.relay"
    DELIVER = "webhooks.deliver"


class TaskQueue(Protocol):
    """Work to be done by a worker."""

    def ring(self, shard: int) -> None:
        """Have the shard flushed, and those attended with it, unless they are attended."""

    def attend(self, shard: int) -> None:
        """Note that the flush goes on, so that nobody need ring; to be said again every second."""

    def answered(self, shard: int) -> None:
        """Note that the flush has ended, so that the next ring is heard."""

    def call(self, work: Work, of: str | None = None) -> None:
        """Have some work done, on the thing called `of`; it waits in the queue once at most."""

    def begun(self, work: Work, of: str | None = None) -> None:
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

    def shape(self, file: BinaryIO) -> Shape:
        """What it is in itself."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is done at once, and how long is waited."""

    shards: int
    flushers: int
    flush_rows: int
    flush_seconds: float
    linger_s: float
    delete_rows: int
    reply_timeout_s: float
    async_after_s: float
    max_wait_s: int
    followers: int
    deletions_kept_s: int
    jobs_kept_s: int
    object_timeout_s: int
    presigned_url_timeout_s: int
    events_kept_s: int
    scan_keys: int
    scan_interval_s: int
    patience: Patience
    webhook_retry_s: int
    page_limit_default: int
    page_limit_max: int

    def together(self, shard: int, other: int) -> bool:
        """Whether one flush attends both shards."""
        return (shard - other) % self.flushers == 0


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
    def dead_notices(self) -> DeadNoticeStore:
        """Where messages go that are none."""

    @property
    def subscriptions(self) -> Subscriptions:
        """Who may be asked to send more."""

    @property
    def queue(self) -> TaskQueue:
        """Who is told of them."""

    @property
    def missed(self) -> threading.Event:
        """Set when the buckets should be looked through for what was missed."""

    @property
    def clock(self) -> Clock:
        """The time."""


@dataclass(frozen=True, slots=True)
class Ports:
    """All of it; `chance` is a random number from 0 to 1."""

    metadata: MetadataStore
    marks: Marks
    timelines: Timelines
    media: MediaStore
    inbox: Inbox
    dead_offers: DeadOfferStore
    jobs: JobStore
    answers: Answers
    notices: Notices
    dead_notices: DeadNoticeStore
    log_bell: LogBell
    subscriptions: Subscriptions
    queue: TaskQueue
    probe: MediaProbe
    vault: Vault
    courier: Courier
    deliveries: Deliveries
    clock: Clock
    ids: Ids
    chance: Callable[[], float]
    limits: Limits
    missed: threading.Event = field(default_factory=threading.Event)
    takers: Takers = field(default_factory=Takers)
