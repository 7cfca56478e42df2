"""A media object: the bytes that segments refer to (schemas `object`, `flow-segment-post`).

* An object is allocated for a flow, then registered as media or as an init segment by the first
  segment that uses it; it never changes from one of these two roles to the other.
* An object allocated in our storage is registered first by the flow it was allocated for;
  after that any flow may reuse it.
* A file dropped into a bucket is an object called by its key; a file in another bucket must not
  be taken for it.
* What is said of an object at its first registration holds: a reuse may repeat it, not change it.
* Either all media of a flow have an init segment, or none has (`init_segments`).
* An object that was dropped into a bucket is what it was when it was registered: bytes written
  over it later are never taken for it.
* Where an object can be fetched from is a set of instances; URLs are made from them on read.
* An object counts the segments that refer to it, an init object the media objects that need it:
  whoever adds or takes away the last one changes the object too, so that two who do so at once
  are noticed.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from schemas.domain.errors import Invalid
from schemas.domain.flow import Flow
from schemas.domain.identifiers import FlowId, JobId, ObjectId, StorageId
from schemas.domain.rejection import Reason, Rejected
from schemas.domain.segment import Dropped, Link, Offer
from schemas.domain.timerange import TimeRange
from schemas.domain.value import value


class Role(StrEnum):
    """What an object is used as."""

    ALLOCATED = "allocated"
    MEDIA = "media"
    INIT = "init"


@value()
class Controlled:
    """An instance in a storage backend of this store; `key` was made once and never changes."""

    storage_id: StorageId
    key: str


Instance = Controlled | Link


@dataclass(frozen=True, slots=True)
class Copy:
    """A further controlled instance of an object, still to be made; `job_id` follows it."""

    object_id: ObjectId
    target: Controlled
    job_id: JobId
    created: datetime


@dataclass(frozen=True, slots=True)
class Orphan:
    """Bytes in our storage that nothing refers to any more, still to be deleted.

    `ours` says that the store made the key, and so that nobody else will write it again; otherwise
    only what was not written since is deleted, or what still has the `etag`, if one is given.
    """

    storage_id: StorageId
    key: str
    since: datetime
    ours: bool = True
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Drop:
    """How an object was dropped into a bucket: under which key, and what it was then.

    `clock_ns` is what the encoder's clock showed when it begins, counted through its wraps; of
    audio without a clock it is how many samples were before it.
    """

    key: str
    etag: str
    size: int
    clock_ns: int | None = None


@value()
class MediaObject:
    """One object; `timerange` is on its own timeline and known once it is registered as media.

    `first_start` is the cut at which the first segment that referred to it began, in `first_flow`;
    objects of earlier versions do not know it.
    """

    id: ObjectId
    role: Role
    created: datetime
    instances: tuple[Instance, ...]
    content_type: str | None = None
    allocated_for: FlowId | None = None
    first_flow: FlowId | None = None
    timerange: TimeRange | None = None
    init_object_id: ObjectId | None = None
    key_frame_count: int | None = None
    references: int = 0
    drop: Drop | None = None
    first_start: int | None = None

    def referred(self) -> "MediaObject":
        """With one more reference to it."""
        return _with_references(self, self.references + 1)

    def released(self, count: int) -> "MediaObject":
        """With `count` fewer references to it."""
        return _with_references(self, self.references - count)

    @property
    def key(self) -> str | None:
        """Its key in our storage, if it stands there."""
        for instance in self.instances:
            if isinstance(instance, Controlled):
                return instance.key
        return None


def orphans_of(item: MediaObject, now: datetime) -> list[Orphan]:
    """The bytes that nothing refers to once `item` is gone."""
    return [
        orphan(item, instance, now)
        for instance in item.instances
        if isinstance(instance, Controlled)
    ]


def orphan(item: MediaObject, instance: Controlled, now: datetime) -> Orphan:
    """The bytes of one instance of `item` once it is not one any more."""
    return Orphan(instance.storage_id, instance.key, now, ours=item.allocated_for is not None)


def as_media(
    known: MediaObject | None, offer: Offer, flow: Flow, labels: Collection[str], now: datetime
) -> MediaObject:
    """The object of `offer` once the offered segment uses it.

    `labels` are those of the storage backends, which links must not take.

    Raises:
        Invalid: when the segment may not use the object, or contradicts what is known of it.
    """
    segment = offer.segment
    _check_links(offer.links, labels)
    if known is None:
        known = _first_seen(offer, now)
    elif offer.dropped is not None:
        if _place(offer.dropped) not in known.instances:
            raise Invalid(
                f"object {known.id} is another file, not in this bucket", field="object_id"
            )
        require_not_rewritten(known, offer.dropped.etag)
    if known.role is Role.INIT:
        raise Invalid(
            f"object {known.id} is an init segment and cannot be used as media", field="object_id"
        )
    if known.role is Role.ALLOCATED:
        known = _registered(known, offer, flow)
    else:
        _check_reuse(known, offer)
    _check_init_fits(known, flow)
    assert known.timerange is not None  # registered media always has one
    if not known.timerange.contains(segment.object_part):
        raise Invalid(
            f"timerange {segment.timerange} less ts_offset is {segment.object_part}, which is not "
            f"within the timerange {known.timerange} of object {known.id}",
            field="timerange",
        )
    instances = _with_links(known, offer.links, "get_urls")
    return known if instances == known.instances else replace(known, instances=instances)


def require_not_rewritten(known: MediaObject, etag: str) -> None:
    """Raises Rejected when `known` was dropped with another etag: its bytes are others now."""
    if known.drop is not None and known.drop.etag != etag:
        raise Rejected(
            Reason.REWRITTEN,
            f"{known.drop.key} was registered with etag {known.drop.etag}, and has been written "
            f"over with {etag}: delete its segments first, or have the rule move objects",
        )


def with_link(known: MediaObject, link: Link, labels: Collection[str]) -> MediaObject:
    """`known` once it can be fetched from `link` too.

    Raises:
        Invalid: when the label is one of `labels`, those of the storage backends, or is that of
            another URL of the object.
    """
    _check_label(link.label, labels, "label")
    return replace(known, instances=_with_links(known, (link,), "label"))


def as_init(
    known: MediaObject | None,
    object_id: ObjectId,
    flow: Flow,
    item: Dropped | None = None,
    now: datetime | None = None,
) -> MediaObject:
    """The object `object_id` once some media object of `flow` needs it to be decoded.

    `item` is how it was dropped, if it was, at `now`.

    Raises:
        Invalid: when there is no such object, or it is media, or belongs to another flow.
    """
    if known is None and item is not None and now is not None:
        known = _as_dropped(object_id, item, now)
    if known is None:
        raise Invalid(f"init object {object_id} does not exist", field="init_object_id")
    if known.role is Role.MEDIA:
        raise Invalid(
            f"object {object_id} is media and cannot be used as init segment",
            field="init_object_id",
        )
    if known.role is Role.INIT:
        return known
    _check_allocated_for(known, flow, "init_object_id")
    return replace(known, role=Role.INIT, first_flow=flow.id)


def _with_references(item: MediaObject, references: int) -> MediaObject:
    """`item` with as many references; spelt out, since `replace` takes over twice as long."""
    return MediaObject(
        item.id,
        item.role,
        item.created,
        item.instances,
        item.content_type,
        item.allocated_for,
        item.first_flow,
        item.timerange,
        item.init_object_id,
        item.key_frame_count,
        references,
        item.drop,
        item.first_start,
    )


def _first_seen(offer: Offer, now: datetime) -> MediaObject:
    """An object the store did not allocate: dropped into a bucket, or held elsewhere."""
    object_id = offer.segment.object_id
    if offer.dropped:
        return _as_dropped(object_id, offer.dropped, now)
    if not offer.links:
        raise Invalid(
            f"object {object_id} does not exist: ask for storage first, or give get_urls",
            field="object_id",
        )
    return MediaObject(object_id, Role.ALLOCATED, now, offer.links)


def _as_dropped(object_id: ObjectId, item: Dropped, now: datetime) -> MediaObject:
    return MediaObject(
        object_id,
        Role.ALLOCATED,
        now,
        (_place(item),),
        content_type=item.content_type,
        drop=Drop(item.key, item.etag, item.size, item.clock_ns),
    )


def _place(dropped: Dropped) -> Controlled:
    return Controlled(dropped.storage_id, dropped.stands_at)


def _registered(known: MediaObject, offer: Offer, flow: Flow) -> MediaObject:
    _check_allocated_for(known, flow, "object_id")
    if known.allocated_for is not None and known.content_type != flow.container:
        raise Invalid(
            f"object {known.id} was allocated to hold {known.content_type}, and media of flow "
            f"{flow.id} is {flow.container}",
            field="object_id",
        )
    return MediaObject(
        known.id,
        Role.MEDIA,
        known.created,
        known.instances,
        known.content_type,
        known.allocated_for,
        first_flow=flow.id,
        timerange=offer.object_timerange or offer.segment.object_part,
        init_object_id=offer.init_object_id,
        key_frame_count=offer.key_frame_count,
        references=known.references,
        drop=known.drop,
        first_start=offer.segment.timerange.start,
    )


def _check_allocated_for(known: MediaObject, flow: Flow, field: str) -> None:
    if known.allocated_for not in {None, flow.id}:
        raise Invalid(
            f"object {known.id} was allocated for flow {known.allocated_for}, not {flow.id}",
            field=field,
        )


def _check_reuse(known: MediaObject, offer: Offer) -> None:
    for field, offered, stored in (
        ("object_timerange", offer.object_timerange, known.timerange),
        ("init_object_id", offer.init_object_id, known.init_object_id),
        ("key_frame_count", offer.key_frame_count, known.key_frame_count),
    ):
        if offered is not None and offered != stored:
            raise Invalid(
                f"object {known.id} is registered with {field} {stored}, not {offered}",
                field=field,
            )


def _check_init_fits(known: MediaObject, flow: Flow) -> None:
    if flow.init_segments and known.init_object_id is None:
        raise Invalid(
            f"flow {flow.id} has init_segments set, so object {known.id} needs an init_object_id",
            field="init_object_id",
        )
    if known.init_object_id is not None and not flow.init_segments:
        raise Invalid(
            f"flow {flow.id} does not have init_segments set, so object {known.id} cannot have an "
            "init_object_id in it",
            field="init_object_id",
        )


def _check_links(links: tuple[Link, ...], labels: Collection[str]) -> None:
    offered = [link.label for link in links]
    for label in offered:
        _check_label(label, labels, "get_urls")
        if offered.count(label) > 1:
            raise Invalid(f"label {label!r} is given more than once", field="get_urls")


def _check_label(label: str, labels: Collection[str], field: str) -> None:
    if label in labels:
        raise Invalid(f"label {label!r} belongs to a storage backend", field=field)


def _with_links(known: MediaObject, links: tuple[Link, ...], field: str) -> tuple[Instance, ...]:
    new = tuple(link for link in links if link not in known.instances)
    if not new:
        return known.instances
    taken = {each.label for each in known.instances if isinstance(each, Link)}
    for link in new:
        if link.label in taken:
            raise Invalid(
                f"object {known.id} has another URL with label {link.label!r}", field=field
            )
    return known.instances + new
