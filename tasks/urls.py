"""`get_urls` of objects: made on read, and only those the request asked for."""

from typing import Any

from schemas.domain.identifiers import ObjectId
from schemas.domain.media_object import Controlled, Instance, MediaObject
from schemas.domain.storage import Advertised, UrlFilter, wanted
from schemas.http.objects import backend_json
from tasks.ports import Ports


def get_urls(ports: Ports, item: MediaObject | None, urls: UrlFilter) -> list[dict[str, Any]]:
    """The JSON of the URLs `urls` lets through; only these are presigned."""
    if item is None:
        return []
    backends = ports.media.backends
    return [
        _url(ports, instance, kind, verbose=urls.verbose)
        for instance in item.instances
        for kind in wanted(instance, backends, urls)
    ]


def init_urls(
    ports: Ports, init_id: ObjectId | None, init: MediaObject | None, urls: UrlFilter
) -> tuple[str, list[dict[str, Any]]] | None:
    """The id and URLs of an init object; None when there is none."""
    return None if init_id is None else (init_id, get_urls(ports, init, urls))


def _url(ports: Ports, instance: Instance, kind: Advertised, *, verbose: bool) -> dict[str, Any]:
    payload: dict[str, Any] = {"label": kind.label} if kind.label else {}
    payload["presigned"] = kind.presigned
    if not isinstance(instance, Controlled):
        payload["url"] = instance.url
        return {**payload, "controlled": False} if verbose else payload
    payload["url"] = ports.media.get_url(
        instance.storage_id, instance.key, presigned=kind.presigned
    )
    if verbose:
        backend = ports.media.backends[instance.storage_id]
        payload |= {"storage_id": backend.id, "controlled": True, **backend_json(backend)}
    return payload
