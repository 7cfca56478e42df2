"""Scanning buckets for what no notification told of.

* `begin` puts a scan on record; `advance`, on the bulk worker, lists a page of keys after the other
  and takes over those that are new as notifications, which find out what they mean.
* What is new of a page is durable before the scan moves on: a crash repeats a page, and what
  waits already is left out then. To take something over twice does no harm.
* Of two that advance one scan, one moves it on. A scan whose turn got lost is taken up by `tidy`.
* While very much waits to be acted upon, scans wait too: they would only add to it.
* Every bucket is scanned from time to time, and whenever a listener starts: not every object store
  tells again what it could not deliver.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from schemas.domain.changes import Changes
from schemas.domain.errors import Cancelled, Invalid, ScanNotFound, Unavailable
from schemas.domain.identifiers import JobId, StorageId
from schemas.domain.ingest import Notification
from schemas.domain.job import Fault, Job, JobKind, JobState
from schemas.domain.media_object import Controlled
from schemas.domain.query import Listing, Page, page_of, position
from schemas.domain.scan import Keys, Listed, Scan, Sifted, is_due, is_ours, sift, unseen_since
from tasks import ingest
from tasks.ports import Ports, Snapshot, Work

log = logging.getLogger(__name__)


_MARGIN: Final = timedelta(minutes=5)
_KEPT: Final = timedelta(days=1)
# So many notifications may wait while more are looked for.
_MOST_WAITING: Final = 10_000


def begin(ports: Ports, bucket: str, prefix: str, since: datetime | None) -> Scan:
    """Have what is below `prefix` of a bucket scanned, if it was modified since then.

    Raises:
        Invalid: when `bucket` is not that of a storage backend.
    """
    scan = new(ports, bucket, prefix, since)

    def decide(snapshot: Snapshot) -> tuple[Changes, Scan]:
        if any(known.id == scan.id for known in snapshot.scans()):  # an earlier attempt did commit
            return Changes(), scan
        return Changes(add=(scan,)), scan

    return _announced(ports, ports.metadata.transact(decide))


def new(
    ports: Ports, bucket: str, prefix: str, since: datetime | None, *, periodic: bool = False
) -> Scan:
    """A scan that is on no record.

    Raises:
        Invalid: when `bucket` is not that of a storage backend.
    """
    if bucket not in _buckets(ports):
        raise Invalid(f"bucket {bucket!r} is not that of a storage backend", field="bucket")
    now = ports.clock.now()
    return Scan(JobId(ports.ids.new()), bucket, prefix, since, periodic, now, now)


def get(ports: Ports, scan_id: JobId) -> Scan:
    """The scan as it is now.

    Raises:
        ScanNotFound: when there is none of that name.
    """
    with ports.metadata.read() as snapshot:
        found = _known(snapshot, scan_id)
    if found is None:
        raise ScanNotFound(f"scan {scan_id} does not exist, or ended more than a day ago")
    return found


def listing(ports: Ports, listing: Listing) -> Page[Scan]:
    """The scans on record, the latest first."""
    with ports.metadata.read() as snapshot:
        found = snapshot.scans()
    return page_of(found, lambda scan: position(scan.created, scan.id), listing)


def catch_up(ports: Ports) -> None:
    """Scan every bucket, since something may have been missed."""
    ports.queue.begun(Work.CATCH_UP)
    _begin_periodic(ports, every=None)


def tidy(ports: Ports) -> None:
    """Begin scans that are due, go on with those that go on, forget those that ended long ago."""
    if ports.limits.scan_interval_s:
        _begin_periodic(ports, every=timedelta(seconds=ports.limits.scan_interval_s))
    oldest = ports.clock.now() - _KEPT

    def decide(snapshot: Snapshot) -> tuple[Changes, bool]:
        found = snapshot.scans()
        latest = {scan.bucket: scan for scan in _periodic_done(found)}
        expired = [
            scan
            for scan in found
            if scan.ended and scan.updated < oldest and scan != latest.get(scan.bucket)
        ]
        return Changes(remove=tuple(expired)), any(not scan.ended for scan in found)

    if ports.metadata.transact(decide):
        ports.queue.call(Work.SCAN)


def advance(ports: Ports) -> None:
    """Go on with the oldest scan that can go on, for a few seconds; calls again for the rest."""
    ports.queue.begun(Work.SCAN)
    with ports.metadata.read() as snapshot:
        unfinished = [scan for scan in snapshot.scans() if not scan.ended]
    for scan in sorted(unfinished, key=lambda scan: scan.created):
        try:
            moved = _go_on(ports, scan)
        except Unavailable as error:  # of its bucket, maybe, and not of others
            log.warning("scan %s of %s put off: %s", scan.id, scan.bucket, error)
            continue
        if not moved.ended or len(unfinished) > 1:
            ports.queue.call(Work.SCAN)
        return


def pages(ports: Ports, scan: Scan) -> Iterator[Sifted]:
    """What a scan would find, page by page, with nothing taken over."""
    more = True
    while more:
        keys, sifted = _look(ports, scan)
        scan, more = scan.advanced(keys, sifted, ports.clock.now()), keys.more
        yield sifted


def _go_on(ports: Ports, scan: Scan) -> Scan:
    """The scan after as many steps as there is time for."""
    began = ports.clock.now()
    while not scan.ended:
        scan = _step(ports, scan)
        if (ports.clock.now() - began).total_seconds() > ports.limits.flush_seconds:
            break
    return scan


def _step(ports: Ports, scan: Scan) -> Scan:
    """Look at the next page of keys; the scan as it is then.

    Raises:
        Unavailable: when a service is down, or too much waits already; the scan stays where it is.
    """
    if ports.jobs.cancelled([scan.id]):
        cancelled = Fault.of(Cancelled(), ports.clock.now())
        return _move(ports, scan, lambda known: known.failed(cancelled))
    try:
        keys, sifted = _look(ports, scan)
    except Unavailable:
        raise
    except Exception as error:  # else it would be begun anew for ever
        log.exception("scan %s failed", scan.id)
        fault = Fault.of(error, ports.clock.now())
        return _move(ports, scan, lambda known: known.failed(fault))
    ingest.accept(ports, [_notification(scan, item) for item in sifted.new])
    now = ports.clock.now()
    return _move(ports, scan, lambda known: known.advanced(keys, sifted, now))


def _look(ports: Ports, scan: Scan) -> tuple[Keys, Sifted]:
    """The next page of keys, and what is new of it."""
    keys = ports.media.keys(scan.bucket, scan.prefix, scan.after, ports.limits.scan_keys)
    recent = [item for item in keys.items if scan.asks_for(item)]
    foreign = [item.key for item in recent if not is_ours(item)]
    if not foreign:
        return keys, sift(recent, (), {})
    waiting = ports.notices.queued(_MOST_WAITING)
    if waiting is None:
        raise Unavailable(f"more than {_MOST_WAITING} notifications wait to be acted upon")
    storage_id = _buckets(ports)[scan.bucket]
    with ports.metadata.read() as snapshot:
        objects = snapshot.objects_at(foreign)
        problems = snapshot.problem_etags(scan.bucket, foreign)
        doomed = snapshot.orphaned(foreign)
    here = {key for key, item in objects.items() if Controlled(storage_id, key) in item.instances}
    known = here | doomed | {key for bucket, key in waiting if bucket == scan.bucket}
    return keys, sift(recent, known, problems)


def _notification(scan: Scan, item: Listed) -> Notification:
    """Without a time or version, so that it is never taken for one that was acted upon."""
    return Notification(scan.bucket, item.key, "scan", size=item.size, etag=item.etag)


def _begin_periodic(ports: Ports, every: timedelta | None) -> None:
    now = ports.clock.now()

    def decide(snapshot: Snapshot) -> tuple[Changes, list[Scan]]:
        found = snapshot.scans()
        begun = [
            new(ports, bucket, "", unseen_since(found, bucket, _MARGIN), periodic=True)
            for bucket in _buckets(ports)
            if is_due(found, bucket, now, every)
        ]
        # Claimed, so that of two that look at once only one finds it due.
        return Changes(add=tuple(begun), claim=frozenset({"scans"} if begun else ())), begun

    for scan in ports.metadata.transact(decide):
        _announced(ports, scan)


def _periodic_done(scans: list[Scan]) -> list[Scan]:
    """The periodic scans that ended well, the latest last."""
    done = [scan for scan in scans if scan.periodic and scan.state is JobState.DONE]
    return sorted(done, key=lambda scan: scan.created)


def _announced(ports: Ports, scan: Scan) -> Scan:
    """Have a worker begin; should that get lost, `tidy` finds the scan."""
    job = Job(scan.id, JobKind.SCAN, JobState.CREATED, scan.created, scan.updated, total=0)
    with suppress(Unavailable):
        ports.jobs.create(job)
        ports.queue.call(Work.SCAN)
    return scan


def _move(ports: Ports, scan: Scan, change: Callable[[Scan], Scan]) -> Scan:
    """Put what `change` makes of `scan` in its place, unless somebody else has moved it on."""

    def decide(snapshot: Snapshot) -> tuple[Changes, Scan | None]:
        known = _known(snapshot, scan.id)
        if known != scan:
            return Changes(), known
        moved = change(known)
        return Changes(replace=(moved,)), moved

    moved = ports.metadata.transact(decide)
    if moved is None:
        raise ScanNotFound(f"scan {scan.id} does not exist any more")
    ports.jobs.advance(moved.id, moved.listed, moved.updated)
    if moved.ended:
        ports.jobs.end(moved.id, moved.updated, moved.fault)
    return moved


def _known(snapshot: Snapshot, scan_id: JobId) -> Scan | None:
    return next((scan for scan in snapshot.scans() if scan.id == scan_id), None)


def _buckets(ports: Ports) -> dict[str, StorageId]:
    """The id of the storage backend of every bucket."""
    return {backend.bucket: backend.id for backend in ports.media.backends.values()}
