"""Storage backends, and which of an object's URLs a request asked for.

* A backend is one bucket of one object store; it never changes its id (TAMS 8.2, schema
  `storage-backends-list`).
* A backend advertises presigned URLs, plain ones or both, each kind under a label. An object in
  a backend that is not configured any more has no URLs there.
* The key of an object is made once, at allocation; whoever reads the bucket can tell its day
  and flow from it. An object's id may be any text, a key may not: object stores refuse some and
  take others for paths, so the key of an unusual id ends in its digest.
* All filters on URLs apply together. A URL without a label, or without a backend, passes a
  filter on labels, or on backends, only when that filter is absent (GET segments, parameters
  `accept_get_urls`, `accept_storage_ids`, `presigned`).
"""

import re
from collections.abc import Iterable, Mapping
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
class Advertised:
    """A kind of URL, and the label it is given out under; empty when it has none."""

    presigned: bool
    label: str


@dataclass(frozen=True, slots=True)
class StorageBackend:
    """One bucket to keep objects in; `label` is empty when it has none.

    `urls` are the kinds of URL its objects have, the preferred one first.
    """

    id: StorageId
    label: str
    bucket: str
    region: str
    provider: str
    product: str
    urls: tuple[Advertised, ...]
    availability_zone: str | None = None
    default: bool = False
    tags: Tags = field(default_factory=dict)

    def advertises(self, *, presigned: bool) -> bool:
        """Whether its objects have URLs of that kind."""
        return any(kind.presigned == presigned for kind in self.urls)


@dataclass(frozen=True, slots=True)
class UrlFilter:
    """The URLs a request wants; `None` means that no filter was given."""

    labels: frozenset[str] | None = None
    storage_ids: frozenset[str] | None = None
    presigned: bool | None = None
    backend_tags: TagFilter = ANY_TAGS
    verbose: bool = False

    @property
    def lets_none(self) -> bool:
        """Whether no URL at all is wanted (GET segments, an empty `accept_get_urls`)."""
        return self.labels is not None and not self.labels


def wanted(
    instance: Instance, backends: Mapping[StorageId, StorageBackend], urls: UrlFilter
) -> list[Advertised]:
    """The URLs of `instance` that `urls` lets through."""
    backend = None
    if isinstance(instance, Controlled):
        backend = backends.get(instance.storage_id)
        kinds = backend.urls if backend else ()
    else:
        kinds = (Advertised(False, instance.label),)
    if urls.storage_ids and (backend is None or backend.id not in urls.storage_ids):
        return []
    if urls.backend_tags and (backend is None or not urls.backend_tags(backend.tags)):
        return []
    return [
        kind
        for kind in kinds
        if (urls.labels is None or kind.label in urls.labels)
        and urls.presigned in {None, kind.presigned}
    ]


def backend_labels(backends: Iterable[StorageBackend]) -> frozenset[str]:
    """The labels of `backends` and of their URLs, which no other URL may take."""
    labels = {label for each in backends for label in (each.label, *(u.label for u in each.urls))}
    return frozenset(labels - {""})


def kept_key(item: Dropped) -> str:
    """The key that a copy of a dropped object is kept under: the same for the same bytes."""
    name = sha256(f"{item.bucket}/{item.key}@{item.etag}".encode()).hexdigest()
    return f"{KEPT_PREFIX}{name[:2]}/{name}"


def storage_key(flow_id: FlowId, object_id: ObjectId, now: datetime) -> str:
    """The key a new object is to be stored under."""
    plain = _PLAIN.fullmatch(object_id) is not None
    name = object_id if plain else f"~{sha256(object_id.encode()).hexdigest()}"
    return f"{KEY_PREFIX}{now:%Y/%m/%d}/{flow_id}/{name}"
