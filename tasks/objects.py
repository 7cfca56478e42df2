"""Media objects: reading them, their instances, and letting go of bytes nobody needs.

* An instance is added to an object by naming a URL, or by a copy that a worker makes; it is not
  shown before it is complete, and can be cancelled before it was begun. Init objects are objects
  of their own: nothing is done to them along with their media (TAMS 8.2, POST and DELETE objects
  instances).
* The last instance cannot be deleted.
* Objects that were allocated and not registered in time go (TAMS 8.2, POST storage).
* Bytes are deleted after the transaction that made orphans of them; doing so twice is harmless.
"""

import logging
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Final
from urllib.parse import quote

from schemas.domain.changes import Changes
from schemas.domain.errors import Cancelled, Invalid, NotFound, ObjectNotFound, Unavailable
from schemas.domain.identifiers import FlowId, JobId, ObjectId, StorageId
from schemas.domain.job import Fault, Job, JobKind, JobState
from schemas.domain.media_object import (
    Controlled,
    Copy,
    Instance,
    MediaObject,
    Orphan,
    Role,
    orphan,
    orphans_of,
    with_link,
)
from schemas.domain.query import Listing, Page, TagFilter, page_of
from schemas.domain.segment import Link
from schemas.domain.storage import backend_labels, storage_key
from tasks import jobs
from tasks.ports import Ports, Snapshot, Work

log = logging.getLogger(__name__)

_AT_ONCE: Final = 1_000
_COPIES_AT_ONCE: Final = 10

# Unregistered objects stay a little longer than is advertised (TAMS 8.2, schema `service`).
_GRACE: Final = timedelta(seconds=60)
# A copy that nobody could make for so long is given up.
_COPY_PATIENCE: Final = timedelta(days=1)


def get(
    ports: Ports, object_id: ObjectId, listing: Listing, flow_tags: TagFilter
) -> tuple[MediaObject, MediaObject | None, Page[FlowId]]:
    """An object, its init object if it needs one, and a page of the flows that refer to it.

    Raises:
        ObjectNotFound: when there is no such object, or it is only allocated.
    """
    with ports.metadata.read() as snapshot:
        found = _existing(snapshot, object_id)
        init = None
        if found.init_object_id is not None:
            init = snapshot.objects([found.init_object_id]).get(found.init_object_id)
        flows = snapshot.flows(snapshot.flows_using(object_id))
    users = [flow_id for flow_id, flow in flows.items() if flow_tags(flow.tags)]
    return found, init, page_of(users, lambda flow_id: (0, flow_id, ""), listing)


def add_link(ports: Ports, object_id: ObjectId, link: Link) -> None:
    """Let an object be fetched from a URL that the store does not control.

    Raises:
        ObjectNotFound: when there is no such object, or it is only allocated.
        Invalid: when the label is that of a storage backend, or of another URL of the object.
    """
    labels = backend_labels(ports.media.backends.values())

    def decide(snapshot: Snapshot) -> tuple[Changes, None]:
        known = _existing(snapshot, object_id)
        linked = with_link(known, link, labels)
        changed = () if linked == known else (linked,)
        return Changes(replace=changed, relinked=frozenset({object_id})), None

    ports.metadata.transact(decide)


def request_copy(ports: Ports, object_id: ObjectId, storage_id: StorageId) -> Job:
    """Have an object copied to a storage backend; the job that follows the copy.

    Raises:
        ObjectNotFound: when there is no such object, or it is only allocated.
        Invalid: when there is no such backend, or the object is there already.
    """
    if storage_id not in ports.media.backends:
        raise Invalid(f"storage backend {storage_id} does not exist", field="storage_id")
    now, job_id = ports.clock.now(), JobId(ports.ids.new())

    def decide(snapshot: Snapshot) -> tuple[Changes, Copy]:
        known = _existing(snapshot, object_id)
        if _in_storage(known, storage_id) is not None:
            raise Invalid(
                f"object {object_id} has an instance in storage backend {storage_id} already",
                field="storage_id",
            )
        for asked_for in snapshot.copies(object_id=object_id, storage_id=storage_id):
            return Changes(), asked_for
        # A key of its own: one that was there before may still be about to be deleted.
        key = f"{storage_key(_home(known), object_id, now)}.{job_id}"
        copy = Copy(object_id, Controlled(storage_id, key), job_id, now)
        return Changes(add=(copy,), claim=frozenset({object_id})), copy

    copy = ports.metadata.transact(decide)
    job = Job(
        copy.job_id,
        JobKind.COPY,
        JobState.CREATED,
        copy.created,
        now,
        total=1,
        result=f"/objects/{quote(object_id, safe='')}",
    )
    with suppress(Unavailable):  # it is on record; should this be lost, it is made a little later
        if ports.jobs.get(job.id) is None:
            ports.jobs.create(job)
        ports.queue.call(Work.COPY)
    return job


def outcome(ports: Ports, asked: Job, within_s: float) -> Job:
    """The job of a copy as it is when it ended, or after that time.

    Raises:
        Invalid: when it turned out that the copy cannot be made.
    """
    job = asked
    with suppress(Unavailable):  # it is on record, and will be made
        job = jobs.outcome(ports, asked, within_s)
    if job.fault is not None:
        raise Invalid(f"the object could not be copied: {job.fault.summary}")
    return job


def remove_instance(
    ports: Ports, object_id: ObjectId, storage_id: StorageId | None, label: str | None
) -> None:
    """Delete the instance of an object in a storage backend, or that of a label.

    Raises:
        ObjectNotFound: when there is no such object, or it is only allocated.
        NotFound: when it has no such instance.
        Invalid: when it has no other.
    """
    now, tried = ports.clock.now(), False

    def decide(snapshot: Snapshot) -> tuple[Changes, bool]:
        nonlocal tried
        known = _existing(snapshot, object_id)
        doomed = _instance(ports, known, storage_id, label)
        if doomed is None:
            if tried:  # an earlier attempt did commit
                return Changes(relinked=frozenset({object_id})), False
            raise NotFound(f"object {object_id} has no instance {storage_id or label}")
        tried = True
        if len(known.instances) == 1:
            raise Invalid(
                f"{storage_id or label} is the only instance of object {object_id}; an object "
                "goes with the last segment that refers to it"
            )
        kept = tuple(instance for instance in known.instances if instance != doomed)
        ours = isinstance(doomed, Controlled)
        orphans = (orphan(known, doomed, now),) if isinstance(doomed, Controlled) else ()
        without = replace(known, instances=kept)
        relinked = frozenset({object_id})
        return Changes(add=orphans, replace=(without,), relinked=relinked), ours

    if ports.metadata.transact(decide):
        with suppress(Unavailable):  # they are on record, and go a little later
            ports.queue.call(Work.COLLECT)


def make_copies(ports: Ports) -> None:
    """Make copies that were asked for; calls again when there are more."""
    ports.queue.begun(Work.COPY)
    with ports.metadata.read() as snapshot:
        waiting = sorted(snapshot.copies(), key=lambda copy: copy.created)
    for copy in waiting[:_COPIES_AT_ONCE]:
        try:
            if ports.jobs.cancelled([copy.job_id]):
                _settle(ports, copy, Fault.of(Cancelled(), ports.clock.now()))
            else:
                _make(ports, copy)
        except Unavailable as error:
            log.warning("copy of object %s put off: %s", copy.object_id, error)
            if ports.clock.now() - copy.created > _COPY_PATIENCE:
                _settle(ports, copy, Fault.of(error, ports.clock.now()))
    if len(waiting) > _COPIES_AT_ONCE:
        ports.queue.call(Work.COPY)


def expire(ports: Ports) -> None:
    """Let go of objects that were allocated and not registered in time."""
    now = ports.clock.now()
    oldest = now - timedelta(seconds=ports.limits.object_timeout_s) - _GRACE

    def decide(snapshot: Snapshot) -> tuple[Changes, int]:
        expired = snapshot.allocated_before(oldest, _AT_ONCE)
        orphans = [orphan for item in expired for orphan in orphans_of(item, now)]
        return Changes(add=tuple(orphans), remove=tuple(expired)), len(expired)

    while ports.metadata.transact(decide) == _AT_ONCE:
        pass


def collect(ports: Ports) -> None:
    """Delete bytes that nothing refers to; calls again when there are more."""
    ports.queue.begun(Work.COLLECT)

    def decide(snapshot: Snapshot) -> tuple[Changes, int]:
        found = snapshot.orphans(list(ports.media.backends), _AT_ONCE)
        _delete(ports, found)
        return Changes(remove=tuple(found)), len(found)

    if ports.metadata.transact(decide) == _AT_ONCE:
        ports.queue.call(Work.COLLECT)


def _existing(snapshot: Snapshot, object_id: ObjectId) -> MediaObject:
    found = snapshot.objects([object_id]).get(object_id)
    if found is None or found.role is Role.ALLOCATED:
        raise ObjectNotFound(f"object {object_id} does not exist")
    return found


def _instance(
    ports: Ports, item: MediaObject, storage_id: StorageId | None, label: str | None
) -> Instance | None:
    if storage_id is not None:
        return _in_storage(item, storage_id)
    for instance in item.instances:
        if isinstance(instance, Link):
            found = instance.label == label
        else:
            backend = ports.media.backends.get(instance.storage_id)
            found = backend is not None and label in backend_labels([backend])
        if found:
            return instance
    return None


def _in_storage(item: MediaObject, storage_id: StorageId) -> Controlled | None:
    for instance in item.instances:
        if isinstance(instance, Controlled) and instance.storage_id == storage_id:
            return instance
    return None


def _home(item: MediaObject) -> FlowId:
    """The flow whose name is in the keys of the object."""
    flow_id = item.allocated_for or item.first_flow
    assert flow_id is not None  # a registered object has one
    return flow_id


def _make(ports: Ports, copy: Copy) -> None:
    with ports.metadata.read() as snapshot:
        item = snapshot.objects([copy.object_id]).get(copy.object_id)
    if item is None:
        _settle(ports, copy, Fault.of(ObjectNotFound(), ports.clock.now()))
        return
    fault: Fault | None = None
    for instance in sorted(item.instances, key=lambda each: isinstance(each, Link)):
        try:
            if isinstance(instance, Link):
                ports.media.store_from_url(instance.url, copy.target, _type_of(item))
            else:
                ports.media.copy(instance, copy.target)
        except Invalid as error:
            log.warning("object %s cannot be copied from %s: %s", item.id, instance, error)
            fault = Fault.of(error, ports.clock.now())
        else:
            fault = None
            break
    _settle(ports, copy, fault)


def _type_of(item: MediaObject) -> str:
    return item.content_type or "application/octet-stream"


def _settle(ports: Ports, copy: Copy, fault: Fault | None) -> None:
    """Take a copy that was made into its object, or clean up after one that was not."""
    now = ports.clock.now()

    def decide(snapshot: Snapshot) -> tuple[Changes, None]:
        target = copy.target
        asked_for = snapshot.copies(object_id=copy.object_id, storage_id=target.storage_id)
        item = snapshot.objects([copy.object_id]).get(copy.object_id)
        if copy not in asked_for:  # an earlier attempt did commit
            return Changes(relinked=frozenset({copy.object_id})), None
        if fault is not None or item is None:
            return Changes(add=(Orphan(*_place(target), now),), remove=(copy,)), None
        grown = replace(item, instances=(*item.instances, target))
        relinked = frozenset({item.id})
        return Changes(replace=(grown,), remove=(copy,), relinked=relinked), None

    ports.metadata.transact(decide)
    ports.jobs.advance(copy.job_id, 0 if fault else 1, now)
    ports.jobs.end(copy.job_id, now, fault)


def _place(target: Controlled) -> tuple[StorageId, str]:
    return target.storage_id, target.key


def _delete(ports: Ports, orphans: Sequence[Orphan]) -> None:
    """Delete the bytes of `orphans`, other than what somebody has written anew meanwhile."""
    keys: dict[StorageId, list[str]] = defaultdict(list)
    for each in orphans:
        if each.ours or not _rewritten(ports, each):
            keys[each.storage_id].append(each.key)
    for storage_id, doomed in keys.items():
        ports.media.delete(storage_id, doomed)


def _rewritten(ports: Ports, each: Orphan) -> bool:
    found = ports.media.head(ports.media.backends[each.storage_id].bucket, each.key)
    if found is None:
        return False
    return found.modified > each.since if each.etag is None else found.etag != each.etag
