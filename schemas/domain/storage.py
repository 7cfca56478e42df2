"""Storage backends, and which of an object's URLs a request asked for.

* A backend is one bucket of one object store; it never changes its id (TAMS 8.2, schema
  `storage-backends-list`).
* The key of an object is made once, at allocation; whoever reads the bucket can tell its day
  and flow from it. An object's id may be any text, a key may not: object stores refuse some and
  take others for paths, so the key of an unusual id ends in its digest.
* All filters on URLs apply together. A URL without a label, or without a backend, passes a
  filter on labels, or on backends, only when that filter is absent (GET segments, parameters
  `accept_get_urls`, `accept_storage_ids`, `presigned`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from schemas.domain.identifiers import FlowId, ObjectId, StorageId
from schemas.domain.media_object import Controlled, Instance
from schemas.domain.query import ANY_TAGS, TagFilter
from schemas.domain.segment import Dropped
from schemas.domain.source import Tags

KEY_PREFIX = "objects/"
# Dropped objects are copied below this, where that is to be kept and not what was dropped.
KEPT_PREFIX = f"{KEY_PREFIX}kept/"
_PLAIN = re.compile(r"\w[\w.-]{0,199}", re.ASCII)


@dataclass(frozen=True, slots=True)
class StorageBackend:
    """One bucket to keep objects in."""

    id: StorageId
    label: str
    bucket: str
    region: str
    provider: str
    product: str
    default: bool = True
    tags: Tags = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UrlFilter:
    """The URLs a request wants; `None` means that no filter was given."""

    labels: frozenset[str] | None = None
    storage_ids: frozenset[str] | None = None
    presigned: bool | None = None
    backend_tags: TagFilter = ANY_TAGS
    verbose: bool = False


def wanted(
    instance: Instance, backends: Mapping[StorageId, StorageBackend], urls: UrlFilter
) -> bool:
    """Whether `urls` lets the URL of `instance` through; ours are presigned, others are not."""
    backend = backends.get(instance.storage_id) if isinstance(instance, Controlled) else None
    if isinstance(instance, Controlled):
        label, presigned = backend.label if backend else None, True
    else:
        label, presigned = instance.label, False
    return (
        (urls.labels is None or label in urls.labels)
        and (not urls.storage_ids or (backend is not None and backend.id in urls.storage_ids))
        and urls.presigned in {None, presigned}
        and (not urls.backend_tags or (backend is not None and urls.backend_tags(backend.tags)))
    )


def kept_key(item: Dropped) -> str:
    """The key that a copy of a dropped object is kept under: the same for the same bytes."""
    name = sha256(f"{item.bucket}/{item.key}@{item.etag}".encode()).hexdigest()
    return f"{KEPT_PREFIX}{name[:2]}/{name}"


def storage_key(flow_id: FlowId, object_id: ObjectId, now: datetime) -> str:
    """The key a new object is to be stored under."""
    plain = _PLAIN.fullmatch(object_id) is not None
    name = object_id if plain else f"~{sha256(object_id.encode()).hexdigest()}"
    return f"{KEY_PREFIX}{now:%Y/%m/%d}/{flow_id}/{name}"
