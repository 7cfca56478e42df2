"""`get_urls` of objects: made on read, and only those the request asked for."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from schemas.domain.identifiers import StorageId
from schemas.domain.media_object import Controlled, MediaObject
from schemas.domain.segment import Link
from schemas.domain.storage import Advertised, StorageBackend, UrlFilter, wanted
from schemas.http.objects import backend_json
from schemas.tables.rows import instances_json
from tasks.ports import Ports

Write = Callable[[str], bytes]


class UrlWriter:
    """Writes the JSON of the URLs of some instances that `urls` lets through.

    What the URLs of one backend have in common is worked out once; only those let through are
    presigned. For one request only, since URLs count from when they were made.
    """

    def __init__(self, ports: Ports, urls: UrlFilter) -> None:
        self._ports = ports
        self._urls = urls
        self._backends: dict[str, list[Write]] = {}

    def __call__(self, instances: Sequence[Mapping[str, str]]) -> bytes:
        """The URLs, with commas between them."""
        written: list[bytes] = []
        for instance in instances:
            written += self._of(instance)
        return b",".join(written)

    def of(self, item: MediaObject | None) -> list[dict[str, Any]]:
        """The URLs of an object; none of one that is not there."""
        written = b"" if item is None else self(instances_json(item.instances))
        return list(orjson.loads(b"[%s]" % written))

    def _of(self, instance: Mapping[str, str]) -> Iterator[bytes] | list[bytes]:
        storage_id = instance.get("storage_id")
        if storage_id is None:
            return self._linked(Link(instance["label"], instance["url"]))
        if storage_id not in self._backends:
            self._backends[storage_id] = list(self._writers(StorageId(storage_id)))
        key = instance["key"]
        return [write(key) for write in self._backends[storage_id]]

    def _linked(self, link: Link) -> Iterator[bytes]:
        for kind in wanted(link, self._ports.media.backends, self._urls):
            payload: dict[str, Any] = {**_kind(kind), "url": link.url}
            yield orjson.dumps({**payload, "controlled": False} if self._urls.verbose else payload)

    def _writers(self, storage_id: StorageId) -> Iterator[Write]:
        """What writes the URLs of a key in a backend, one for each kind."""
        backends = self._ports.media.backends
        for kind in wanted(Controlled(storage_id, ""), backends, self._urls):
            make = self._ports.media.get_urls(storage_id, presigned=kind.presigned)
            about = _kind(kind) | (_details(backends[storage_id]) if self._urls.verbose else {})
            yield _writer(orjson.dumps(about)[:-1] + b',"url":', make)


def _writer(head: bytes, make: Callable[[str], str]) -> Write:
    return lambda key: head + orjson.dumps(make(key)) + b"}"


def _kind(kind: Advertised) -> dict[str, Any]:
    return {**({"label": kind.label} if kind.label else {}), "presigned": kind.presigned}


def _details(backend: StorageBackend) -> dict[str, Any]:
    return {"storage_id": backend.id, "controlled": True, **backend_json(backend)}
