"""Making segments of files that appear in a bucket.

* `accept` makes notifications durable; whoever sent them may forget them then. What was never sent,
  or was sent while nobody listened, scans find (`tasks.scans`).
* `drain`, on a worker, looks at each object that appeared, finds out what it means, and offers
  it for registration like any other segment. Doing so twice does no harm.
* What cannot be interpreted is put on record with its reason. So is an object whose reading
  has brought workers down several times.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from tempfile import TemporaryFile
from typing import Final

from schemas.domain import ingest
from schemas.domain.changes import Changes
from schemas.domain.errors import Invalid, Unavailable
from schemas.domain.identifiers import FlowId
from schemas.domain.ingest import Appeared, BucketEvent, Measured, Notification, Problem
from schemas.domain.query import Listing, Page, page_of, position
from schemas.domain.segment import Offer
from schemas.domain.storage import KEY_PREFIX
from tasks import segments
from tasks.ports import Intake, Noticed, Ports, Work

log = logging.getLogger(__name__)

_AT_ONCE: Final = 50
_MOST_ATTEMPTS: Final = 5


def accept(intake: Intake, notifications: Sequence[Notification]) -> None:
    """Take over `notifications`.

    Raises:
        Unavailable: when they could not be made durable; they must be sent again.
    """
    if not notifications:
        return
    intake.notices.append(notifications)
    with suppress(Unavailable):  # they are safe; should the call be lost, the sweep will call
        intake.queue.call(Work.INGEST)


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
    offers: dict[FlowId, list[Offer]] = {}
    problems: list[Problem] = []
    for noticed in taken:
        notification = noticed.notification
        if notification.event is BucketEvent.REMOVED:
            log.info("%s was removed from %s", notification.key, notification.bucket)
            continue  # what is registered stays so, until somebody deletes it
        if any(key.startswith(KEY_PREFIX) for key in notification.keys):
            continue  # the store's own: uploaded by a client, who registers it, or a copy
        appeared: Appeared | None = None
        try:
            appeared = _appeared(ports, notification)
            if appeared is None:
                log.info("%s is gone from the bucket already", notification.key)
                continue
            offer = _interpret(ports, appeared, noticed.attempts)
        except Invalid as error:
            problems.append(_problem(ports, appeared or notification, str(error)))
        else:
            offers.setdefault(offer.segment.flow_id, []).append(offer)
    if problems:
        ports.metadata.transact(lambda _: (Changes(add=tuple(problems)), None))
    for flow_id, found in offers.items():
        segments.enqueue(ports, flow_id, found, followed=False)


def _appeared(ports: Ports, notification: Notification) -> Appeared | None:
    """What stands under the key of a notification, or under the other one it may mean."""
    found = (ports.media.head(notification.bucket, key) for key in notification.keys)
    return next((appeared for appeared in found if appeared is not None), None)


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


def _problem(ports: Ports, found: Appeared | Notification, reason: str) -> Problem:
    log.warning("%s/%s did not become a segment: %s", found.bucket, found.key, reason)
    return Problem(found.bucket, found.key, found.etag or "", reason, ports.clock.now())
