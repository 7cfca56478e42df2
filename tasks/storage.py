"""Allocating storage for new objects (TAMS 8.2, POST /flows/{flowId}/storage).

* The key of an object is made here, once; its URLs are made whenever somebody asks.
* They are presigned if the client does not say, and its backend can be used that way.
* Only an init segment may be of another type than the flow's container.
* Ids chosen by the client must be new to the store; they are claimed by name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schemas.domain.changes import Changes
from schemas.domain.errors import Invalid
from schemas.domain.flow import Flow
from schemas.domain.identifiers import FlowId, ObjectId, StorageId
from schemas.domain.media_object import Controlled, MediaObject, Role
from schemas.domain.storage import StorageBackend, storage_key
from tasks.flows import existing
from tasks.ports import Ports, Snapshot


@dataclass(frozen=True, slots=True)
class Allocation:
    """An object to be uploaded, and the URL to do so with that content type."""

    object_id: ObjectId
    put_url: str
    content_type: str
    presigned: bool


def allocate(
    ports: Ports,
    flow_id: FlowId,
    *,
    limit: int,
    object_ids: Sequence[ObjectId] | None,
    storage_id: StorageId | None,
    content_type: str | None,
    presigned: bool | None = None,
) -> list[Allocation]:
    """Places for `object_ids`, or for `limit` objects with new ids.

    Raises:
        FlowNotFound, ReadOnly: when the flow does not exist or refuses changes.
        Invalid: when it has no container, an id is taken or given twice, the backend is unknown
            or has no such URLs, or the content type is not one the flow can have.
    """
    backend = _backend(ports, storage_id)
    signed = _signed(backend, presigned)
    if object_ids and len(set(object_ids)) != len(object_ids):
        raise Invalid("object_ids names an object more than once", field="object_ids")
    now = ports.clock.now()

    def decide(snapshot: Snapshot) -> tuple[Changes, Sequence[MediaObject]]:
        flow = existing(snapshot, flow_id)
        flow.require_writable()
        upload_type = _upload_type(flow, content_type)
        # New ids for every attempt: should an earlier one have committed, its ids go unused.
        ids = object_ids or [ObjectId(ports.ids.new()) for _ in range(limit)]
        known = snapshot.objects(ids) if object_ids else {}
        if known and all(item.created == now for item in known.values()):
            return Changes(), [known[object_id] for object_id in ids]  # an attempt did commit
        if known:
            raise Invalid(f"objects exist already: {', '.join(sorted(known))}", field="object_ids")
        keys = {object_id: storage_key(flow_id, object_id, now) for object_id in ids}
        if object_ids:
            keys = _free(snapshot, keys, ports.ids.new())
        new = tuple(
            MediaObject(
                object_id,
                Role.ALLOCATED,
                now,
                (Controlled(backend.id, key),),
                content_type=upload_type,
                allocated_for=flow_id,
            )
            for object_id, key in keys.items()
        )
        return Changes(add=new, claim=frozenset(object_ids or ())), new

    return [_allocation(ports, item, signed=signed) for item in ports.metadata.transact(decide)]


def _free(snapshot: Snapshot, keys: Mapping[ObjectId, str], unique: str) -> dict[ObjectId, str]:
    """`keys`, other than those whose earlier bytes are about to be deleted."""
    doomed = snapshot.orphaned(keys.values())
    return {name: f"{key}.{unique}" if key in doomed else key for name, key in keys.items()}


def _allocation(ports: Ports, item: MediaObject, *, signed: bool) -> Allocation:
    (place,) = item.instances
    assert isinstance(place, Controlled)  # as it was just allocated
    assert item.content_type is not None
    url = ports.media.put_url(place.storage_id, place.key, item.content_type, presigned=signed)
    return Allocation(item.id, url, item.content_type, signed)


def _upload_type(flow: Flow, asked: str | None) -> str:
    """What is to be uploaded for `flow`."""
    container = flow.require_container()
    if asked not in {None, container} and not flow.init_segments:
        raise Invalid(
            f"content_type {asked} differs from the container {container} of flow {flow.id}, "
            "which does not have init_segments set",
            field="content_type",
        )
    return asked or container


def _signed(backend: StorageBackend, asked: bool | None) -> bool:
    """Whether the URLs to upload with are presigned."""
    if asked is None:
        return backend.advertises(presigned=True)
    if not backend.advertises(presigned=asked):
        kind = "presigned" if asked else "plain"
        raise Invalid(f"storage backend {backend.id} has no {kind} URLs", field="presigned")
    return asked


def _backend(ports: Ports, storage_id: StorageId | None) -> StorageBackend:
    backends = ports.media.backends
    if storage_id is None:
        for backend in backends.values():
            if backend.default:
                return backend
        raise Invalid("storage_id is required: no backend is the default", field="storage_id")
    if storage_id not in backends:
        raise Invalid(f"storage backend {storage_id} does not exist", field="storage_id")
    return backends[storage_id]
