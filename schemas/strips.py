"""Segments of a flow <-> strips of their JSON (schema `flow-segment`).

* What is shown of a segment is its JSON with no URLs; each text ends with a comma.
* URLs are made for each request: of the instances of its object, and of its init object. They, and
  the object's own timerange, are the source of the rest: `[instances, timerange, init object]`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from schemas.domain.identifiers import ObjectId
from schemas.domain.media_object import MediaObject
from schemas.domain.segment import Segment
from schemas.domain.strip import Shown, Strip
from schemas.http.segments import segment_json
from schemas.tables.rows import instances_json

Instances = Sequence[Mapping[str, str]]
WriteUrls = Callable[[Instances], bytes]

# How a text ends, with the place for its URLs before it.
_END: Final = b"]},"


def strip_of(segments: Sequence[Segment], objects: Mapping[ObjectId, MediaObject]) -> Strip:
    """Segments in order of time, of which `objects` are theirs and the init objects of these."""
    items = [objects.get(segment.object_id) for segment in segments]
    return Strip.of(
        [segment.timerange for segment in segments],
        [_shown(segment, item) for segment, item in zip(segments, items, strict=True)],
        [_source(item, objects) for item in items],
    )


def page_json(shown: Shown, write_urls: WriteUrls | None, *, with_object_timerange: bool) -> bytes:
    """The JSON of a list of segments; `write_urls` writes those of some instances."""
    if write_urls is None and not with_object_timerange:
        texts: Iterator[bytes] = shown.texts()
    else:
        texts = _filled(shown, write_urls or _no_urls, with_object_timerange=with_object_timerange)
    return b"[%s]" % b"".join(texts)[:-1]


def _filled(shown: Shown, write_urls: WriteUrls, *, with_object_timerange: bool) -> Iterator[bytes]:
    inits: dict[str, tuple[int, bytes]] = {}
    for text, (instances, timerange, init) in zip(
        shown.each(), orjson.loads(b"[%s]" % b",".join(shown.sources())), strict=True
    ):
        skipped, head = 1, b"{"
        if init is not None:
            name, init_instances = init
            if name not in inits:
                inits[name] = len(_init(name)), _init(name, write_urls(init_instances))
            skipped, head = inits[name]
        if with_object_timerange and timerange is not None:
            own = b'"object_timerange":"%s",' % timerange.encode()
            head = b"{" + own + head[1:]
        yield head + text[skipped : -len(_END)] + write_urls(instances) + _END


def _shown(segment: Segment, item: MediaObject | None) -> bytes:
    init = None if item is None or item.init_object_id is None else (item.init_object_id, ())
    payload = segment_json(segment, item, (), init, with_object_timerange=False)
    return orjson.dumps(payload) + b","


def _source(item: MediaObject | None, objects: Mapping[ObjectId, MediaObject]) -> bytes:
    if item is None:
        return b"[[],null,null]"
    init: tuple[str, Any] | None = None
    if item.init_object_id is not None:
        found = objects.get(item.init_object_id)
        init = item.init_object_id, instances_json(found.instances) if found else []
    timerange = None if item.timerange is None else str(item.timerange)
    return orjson.dumps((instances_json(item.instances), timerange, init))


def _init(name: str, urls: bytes = b"") -> bytes:
    """How a text begins when there is an init object."""
    return b'{"init_object":{"object_id":%s,"get_urls":[%s]},' % (orjson.dumps(name), urls)


def _no_urls(_: Instances) -> bytes:
    return b""
