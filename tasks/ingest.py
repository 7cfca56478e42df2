"""Making segments of files that appear in a bucket.

* `accept` makes notifications durable; whoever sent them may forget them then. `catch_up` finds
  what was never sent, or was sent while nobody listened or could make it durable.
* `drain`, on a worker, looks at each object that appeared, finds out what it means, and offers
  it for registration like any other segment. Doing so twice does no harm.
* What cannot be interpreted is put on record with its reason. So is an object whose reading
  has brought workers down several times.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from tempfile import TemporaryFile
from typing import Final

from schemas.domain import ingest
from schemas.domain.changes import Changes
from schemas.domain.errors import Invalid, Unavailable
from schemas.domain.identifiers import FlowId
from schemas.domain.ingest import Appeared, Measured, Notification, Problem
from schemas.domain.query import Listing, Page, page_of, position
from schemas.domain.segment import Offer
from schemas.domain.storage import KEY_PREFIX
from tasks import segments
from tasks.ports import Intake, Noticed, Ports, Work

log = logging.getLogger(__name__)

_AT_ONCE: Final = 50
_LISTED_AT_ONCE: Final = 1_000
_EVER: Final = datetime.min.replace(tzinfo=UTC)
_MARGIN: Final = timedelta(minutes=5)
_MOST_ATTEMPTS: Final = 5


def accept(intake: Intake, notifications: Sequence[Notification]) -> None:
    """Take over `notifications`.

    Raises:
        Unavailable: when they could not be made durable; they must be sent again. Should nobody
            do so, there is something to catch up with.
    """
    if not notifications:
        return
    now = intake.clock.now()
    try:
        intake.notices.append(notifications, now)
    except Unavailable:
        intake.missed.put(now)
        raise
    with suppress(Unavailable):  # they are safe; should the call be lost, the sweep will call
        intake.queue.call(Work.INGEST)


def catch_up(intake: Intake, unheard_since: datetime | None) -> None:
    """Take over what appeared while nobody listened, as the listing of the bucket shows it.

    Not every object store tells again what it could not deliver. What was taken over before
    is taken over again where it is recent, which does no harm. `unheard_since` is what the
    notices said before the first new notification was taken, or what `Intake.missed` says.
    """
    since = _EVER if unheard_since is None else unheard_since - _MARGIN
    missed = intake.media.changed_since(since)
    while batch := list(islice(missed, _LISTED_AT_ONCE)):
        log.info("%d files were written to the bucket since %s", len(batch), since)
        accept(intake, batch)
    intake.notices.caught_up()


def drain(ports: Ports) -> None:
    """Act on the oldest notifications; rings again when there are more."""
    ports.queue.begun(Work.INGEST)
    with ports.notices.take(_AT_ONCE) as taken:
        _act(ports, taken)
    if taken and ports.notices.waiting():
        ports.queue.call(Work.INGEST)


def sweep(ports: Ports) -> None:
    """Ring when notifications wait, in case the doorbell was lost."""
    if ports.notices.waiting():
        ports.queue.call(Work.INGEST)


def problems(ports: Ports, listing: Listing) -> Page[Problem]:
    """Objects that did not become segments, latest first; of the same object the last word."""
    with ports.metadata.read() as snapshot:
        found = sorted(snapshot.problems(), key=lambda problem: problem.seen)
    latest = {(p.bucket, p.key, p.etag): p for p in found}
    return page_of(latest.values(), lambda p: position(p.seen, f"{p.bucket}/{p.key}"), listing)


def _act(ports: Ports, taken: Sequence[Noticed]) -> None:
    """Offer what can be interpreted, flow by flow, and put the rest on record."""
    allocated = _allocated(ports, taken)
    offers: dict[FlowId, list[Offer]] = {}
    problems: list[Problem] = []
    for noticed in taken:
        if noticed.notification.key in allocated:
            continue  # uploaded by a client, who registers it
        appeared = ports.media.head(noticed.notification.bucket, noticed.notification.key)
        if appeared is None:
            log.info("%s is gone from the bucket already", noticed.notification.key)
            continue
        try:
            offer = _interpret(ports, appeared, noticed.attempts)
        except Invalid as error:
            problems.append(_problem(ports, appeared, str(error)))
        else:
            offers.setdefault(offer.segment.flow_id, []).append(offer)
    if problems:
        ports.metadata.transact(lambda _: (Changes(add=tuple(problems)), None))
    for flow_id, found in offers.items():
        segments.enqueue(ports, flow_id, found, followed=False)


def _allocated(ports: Ports, taken: Sequence[Noticed]) -> set[str]:
    """Keys that are known as allocated for a client's upload."""
    keys = {n.notification.key for n in taken if n.notification.key.startswith(KEY_PREFIX)}
    if not keys:
        return set()
    with ports.metadata.read() as snapshot:
        return set(snapshot.objects_at(keys))


def _interpret(ports: Ports, appeared: Appeared, attempts: int) -> Offer:
    placement = ingest.place(appeared, ports.templates)
    if placement.timerange is not None:
        return ingest.offer(appeared, placement, None)
    if attempts > _MOST_ATTEMPTS:
        raise Invalid(f"reading the media failed {attempts - 1} times without an answer")
    return ingest.offer(appeared, placement, _measure(ports, appeared))


def _measure(ports: Ports, appeared: Appeared) -> Measured:
    with TemporaryFile() as file:
        ports.media.fetch(appeared.bucket, appeared.key, file)
        file.seek(0)
        return ports.probe.measure(file)


def _problem(ports: Ports, appeared: Appeared, reason: str) -> Problem:
    log.warning("%s/%s did not become a segment: %s", appeared.bucket, appeared.key, reason)
    return Problem(appeared.bucket, appeared.key, appeared.etag, reason, ports.clock.now())
