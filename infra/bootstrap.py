"""Settings -> Ports.

* Nothing is connected before it is used.
* The SDK of VAST and libav take seconds to import; a process that needs neither imports neither.
"""

import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from random import SystemRandom
from threading import Event
from typing import BinaryIO, Final

from celery import Celery

from infra.broker.answers import RedisAnswers
from infra.broker.connection import Broker
from infra.broker.dead_notices import RedisDeadNotices
from infra.broker.dead_offers import RedisDeadOffers
from infra.broker.deliveries import RedisDeliveries
from infra.broker.inbox import RedisInbox
from infra.broker.jobs import RedisJobs
from infra.broker.log_bell import RedisLogBell
from infra.broker.marks import RedisMarks
from infra.broker.notices import RedisNotices
from infra.celery_queue import CeleryQueue
from infra.s3 import S3MediaStore
from infra.settings import Settings
from infra.sns import SnsSubscriptions
from infra.telling import Telling
from schemas.domain.ingest import Measured, Shape
from schemas.domain.stall import Patience
from tasks import events
from tasks.celery_tasks import FLUSH
from tasks.listing import RememberedTimelines
from tasks.ports import Intake, Limits, Ports

# A flush stops after this long, so that no shard keeps a worker to itself.
_FLUSH_S: Final = 5.0
# A request is taken to have died with its process so long after it should have been answered.
_MARGIN_S: Final = 30
_SCAN_KEYS: Final = 1_000  # as many as S3 lists at once


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """This moment, in UTC."""
        return datetime.now(UTC)  # noqa: TID251 - this is the Clock port


class RandomIds:
    """Random UUIDs."""

    def new(self) -> str:
        """A UUID nobody has used."""
        return str(uuid.uuid4())  # noqa: TID251 - this is the Ids port


class MediaReader:
    """Reads media with libav."""

    def measure(self, file: BinaryIO) -> Measured:
        """Its timestamps; raises Invalid with the reason it cannot be read."""
        from infra.media.timing import measure

        return measure(file)

    def shape(self, file: BinaryIO) -> Shape:
        """What the file is, by its outermost boxes."""
        from infra.media.boxes import shape

        return shape(file)


@dataclass(frozen=True, slots=True)
class ListenerPorts:
    """What the listener works with: an `Intake`."""

    media: S3MediaStore
    jobs: RedisJobs
    notices: RedisNotices
    dead_notices: RedisDeadNotices
    subscriptions: SnsSubscriptions
    queue: CeleryQueue
    clock: SystemClock
    missed: Event = field(default_factory=Event)


def preload() -> None:
    """Import what `build_ports` will need."""
    import infra.courier
    import infra.media.timing
    import infra.vast.store
    import infra.vault  # noqa: F401


def _media(settings: Settings) -> S3MediaStore:
    return S3MediaStore(
        settings.backends,
        url_timeout_s=settings.presigned_url_timeout_s,
        fetch_allow=settings.fetch_allow,
    )


def build_intake(settings: Settings, app: Celery) -> Intake:
    """The ports of the listener."""
    broker = Broker(settings.redis_url)
    return ListenerPorts(
        media=_media(settings),
        jobs=RedisJobs(broker, changes_kept=settings.job_changes_kept),
        notices=RedisNotices(broker),
        dead_notices=RedisDeadNotices(broker),
        subscriptions=SnsSubscriptions(settings.sns_confirm),
        queue=CeleryQueue(app, broker, flush=FLUSH, flushers=settings.flushers),
        clock=SystemClock(),
    )


def build_ports(settings: Settings, app: Celery) -> Ports:
    """The ports of every other process."""
    from infra.courier import HttpCourier
    from infra.vast.session import Database
    from infra.vast.store import VastMetadataStore
    from infra.vault import FernetVault

    broker = Broker(settings.redis_url)
    queue = CeleryQueue(app, broker, flush=FLUSH, flushers=settings.flushers)
    ids, marks = RandomIds(), RedisMarks(settings.redis_url)
    tell = Telling(marks, partial(events.announce, queue))
    metadata = VastMetadataStore(Database(settings.vast), ids, tell)
    most_bytes = settings.api_cache_mb << 20
    return Ports(
        metadata=metadata,
        marks=marks,
        timelines=RememberedTimelines(metadata, marks, most_bytes, time.monotonic),
        media=_media(settings),
        inbox=RedisInbox(
            broker,
            shards=settings.shards,
            flushers=settings.flushers,
            high_water=settings.inbox_high_water,
            job_changes_kept=settings.job_changes_kept,
        ),
        dead_offers=RedisDeadOffers(broker),
        jobs=RedisJobs(broker, changes_kept=settings.job_changes_kept),
        answers=RedisAnswers(
            broker,
            working_s=int(settings.reply_timeout_s) + settings.max_wait_s + _MARGIN_S,
            most_bytes=settings.answers_bytes,
        ),
        notices=RedisNotices(broker),
        dead_notices=RedisDeadNotices(broker),
        log_bell=RedisLogBell(broker, pace_s=settings.events_pace_ms / 1_000),
        subscriptions=SnsSubscriptions(settings.sns_confirm),
        queue=queue,
        probe=MediaReader(),
        vault=FernetVault(settings.secret_keys),
        courier=HttpCourier(
            settings.webhook_allow,
            plain_http=settings.webhook_http,
            timeout_s=settings.webhook_timeout_s,
        ),
        deliveries=RedisDeliveries(broker),
        clock=SystemClock(),
        ids=ids,
        chance=SystemRandom().random,
        limits=Limits(
            shards=settings.shards,
            flushers=settings.flushers,
            flush_rows=settings.flush_rows,
            flush_seconds=_FLUSH_S,
            linger_s=settings.flush_linger_s,
            delete_rows=settings.delete_rows,
            reply_timeout_s=settings.reply_timeout_s,
            async_after_s=settings.async_after_s,
            max_wait_s=settings.max_wait_s,
            followers=settings.api_followers,
            jobs_kept_s=settings.jobs_kept_s,
            deletions_kept_s=settings.deletions_kept_s,
            object_timeout_s=settings.object_timeout_s,
            presigned_url_timeout_s=settings.presigned_url_timeout_s,
            events_kept_s=settings.events_kept_s,
            scan_keys=_SCAN_KEYS,
            scan_interval_s=settings.scan_interval_s,
            patience=Patience(settings.stall_intervals, settings.stall_min_s),
            webhook_retry_s=settings.webhook_retry_s,
            page_limit_default=settings.page_limit_default,
            page_limit_max=settings.page_limit_max,
        ),
    )
