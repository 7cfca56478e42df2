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
from typing import Final

from schemas.domain import ingest
from schemas.domain.changes import Changes
from schemas.domain.errors import Invalid, Unavailable
from schemas.domain.identifiers import FlowId
from schemas.domain.ingest import Appeared, BucketEvent, Notification, Problem, ProblemQuery
from schemas.domain.keys import order_of
from schemas.domain.media_object import Controlled
from schemas.domain.query import Page, page_of, position
from schemas.domain.rejection import Reason, Rejected, Waits
from schemas.domain.segment import Dropped, Offer
from schemas.domain.sighting import Kind, Sighting
from schemas.domain.storage import KEY_PREFIX, kept_key
from tasks import flows, segments
from tasks.meaning import Meaning, Reader
from tasks.ports import Intake, Noticed, Ports, Snapshot, Work

log = logging.getLogger(__name__)

_AT_ONCE: Final = 50


def accept(intake: Intake, notifications: Sequence[Notification]) -> None:
    """Take over `notifications`.

    Raises:
        Unavailable: when they could not be made durable; they must be sent again. Should nobody
            do so, there is something to catch up with.
    """
    if not notifications:
        return
    try:
        intake.notices.append(notifications)
    except Unavailable:
        intake.missed.set()
        raise
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


def problems(ports: Ports, query: ProblemQuery) -> Page[Problem]:
    """Objects that did not become segments, latest first; of the same object the last word."""
    with ports.metadata.read() as snapshot:
        found = sorted(snapshot.problems(), key=lambda problem: problem.seen)
        waiting = snapshot.sightings(kind=Kind.WAITING.value)
    latest = {(p.bucket, p.key, p.etag): p for p in found}
    latest |= {(w.bucket, w.key, w.etag): _as_problem(w) for w in waiting}
    wanted = [problem for problem in latest.values() if query.wants(problem)]
    return page_of(wanted, lambda p: position(p.seen, f"{p.bucket}/{p.key}"), query.listing)


def _as_problem(waiting: Sighting) -> Problem:
    return Problem(
        waiting.bucket,
        waiting.key,
        waiting.etag,
        waiting.reason or "",
        waiting.modified,
        Reason.WAITING,
    )


def _act(ports: Ports, taken: Sequence[Noticed]) -> None:
    """Offer what can be interpreted, flow by flow, and put the rest on record."""
    appeared: dict[tuple[str, str], tuple[Appeared, int]] = {}
    problems: list[Problem] = []
    for noticed in taken:
        notification = noticed.notification
        if notification.event is BucketEvent.REMOVED:
            log.info("%s was removed from %s", notification.key, notification.bucket)
            continue  # what is registered stays so, until somebody deletes it
        if any(key.startswith(KEY_PREFIX) for key in notification.keys):
            continue  # the store's own: uploaded by a client, who registers it, or a copy
        try:
            found = _appeared(ports, notification)
        except Invalid as error:
            problems.append(_unknown(ports, notification, error))
            continue
        if found is None:
            log.info("%s is gone from the bucket already", notification.key)
            continue
        appeared[found.bucket, found.key] = found, noticed.attempts
    if appeared:
        problems += _take_in(ports, list(appeared.values()))
    if problems:
        ports.metadata.transact(lambda _: (Changes(add=tuple(problems)), None))


def _take_in(ports: Ports, found: Sequence[tuple[Appeared, int]]) -> list[Problem]:
    """Act on objects that stand in a bucket; those that cannot become segments."""
    reader = Reader(ports, [appeared for appeared, _ in found])
    ordered = sorted(found, key=lambda item: order_of(item[0].key))
    ordered.sort(key=lambda item: not reader.prepares(item[0]))
    offers: dict[FlowId, list[Offer]] = {}
    problems: list[Problem] = []
    for appeared, attempts in ordered:
        meaning = reader.meaning(appeared, attempts)
        try:
            offer = _carry_out(ports, reader, meaning)
        except Invalid as error:
            problems.append(_problem(ports, appeared, error))
        else:
            if offer is not None:
                offers.setdefault(offer.segment.flow_id, []).append(offer)
        if not isinstance(meaning.error, Waits):
            _forget(ports, reader.sightings_of(appeared))
    for flow_id, offered in offers.items():
        segments.enqueue(ports, flow_id, offered, followed=False)
    return problems


def _carry_out(ports: Ports, reader: Reader, meaning: Meaning) -> Offer | None:
    """Do what `meaning` asks for; what is to be offered for registration, if something is.

    Raises:
        Invalid: when the object can become no segment.
    """
    if meaning.sighting is not None:
        _keep_in_mind(ports, reader, meaning.sighting, meaning.appeared)
    elif meaning.error is not None:
        raise meaning.error
    elif meaning.offer is not None:
        _prepare(ports, reader, meaning, meaning.offer)
    return meaning.offer


def _keep_in_mind(ports: Ports, reader: Reader, seen: Sighting, appeared: Appeared) -> None:
    """Remember an init segment, a playlist, or media that wait for one; wake those that did."""
    if seen.kind is Kind.INIT:
        item = ingest.dropped(appeared)
        _copy(ports, item, kept_key(item))

    def decide(snapshot: Snapshot) -> tuple[Changes, None]:
        same = (seen.bucket, seen.key, seen.kind)
        known = [
            each
            for each in snapshot.sightings(bucket=seen.bucket, key=seen.key)
            if (each.bucket, each.key, each.kind) == same
        ]
        outdated = [e for e in known if e.etag != seen.etag and e.kind is Kind.WAITING]
        kept = [each for each in known if each.etag == seen.etag]
        return Changes(add=() if kept else (seen,), remove=tuple(outdated)), None

    ports.metadata.transact(decide)
    reader.learn(seen)
    if seen.kind is not Kind.WAITING:
        woken = [
            Notification(bucket=each.bucket, key=each.key, origin=seen.kind.value)
            for each in reader.waiting_for(seen)
        ]
        if woken:
            ports.notices.append(woken)


def _prepare(ports: Ports, reader: Reader, meaning: Meaning, offer: Offer) -> None:
    """Make the flow that an offer needs, and the copy its object is to be."""
    flow_id = offer.segment.flow_id
    if meaning.document is not None and not reader.exists(flow_id):
        by = f"ingest rule {meaning.rule.label}" if meaning.rule else ""
        flows.put(ports, flow_id, meaning.document, by=by.strip())
        reader.made(flow_id)
    item = offer.dropped
    if item is not None and item.moved_to is not None:
        _copy(ports, item, item.moved_to)


def _copy(ports: Ports, item: Dropped, key: str) -> None:
    """Keep a copy of an object under `key`; raises Rejected when it was written over meanwhile."""
    place = Controlled(item.storage_id, item.key)
    ports.media.copy(place, Controlled(item.storage_id, key))
    now = ports.media.head(item.bucket, item.key)
    if now is None or now.etag != item.etag:
        raise Rejected(Reason.REWRITTEN, f"{item.key} was written over while it was copied")


def _forget(ports: Ports, sightings: Sequence[Sighting]) -> None:
    """Let go of what does not wait any more."""
    if not sightings:
        return
    keys = {(each.bucket, each.key) for each in sightings}

    def decide(snapshot: Snapshot) -> tuple[Changes, None]:
        waiting = snapshot.sightings(kind=Kind.WAITING.value)
        return Changes(remove=tuple(w for w in waiting if (w.bucket, w.key) in keys)), None

    ports.metadata.transact(decide)


def _unknown(ports: Ports, notification: Notification, error: Invalid) -> Problem:
    log.warning("%s/%s: %s", notification.bucket, notification.key, error)
    now = ports.clock.now()
    return Problem(
        notification.bucket,
        notification.key,
        notification.etag or "",
        str(error),
        now,
        Reason.UNKNOWN_BUCKET,
    )


def _problem(ports: Ports, appeared: Appeared, error: Invalid) -> Problem:
    log.warning("%s/%s did not become a segment: %s", appeared.bucket, appeared.key, error)
    return ingest.problem(ingest.dropped(appeared), error, ports.clock.now())


def _appeared(ports: Ports, notification: Notification) -> Appeared | None:
    """What stands under the key of a notification, or under the other one it may mean."""
    found = (ports.media.head(notification.bucket, key) for key in notification.keys)
    return next((appeared for appeared in found if appeared is not None), None)
