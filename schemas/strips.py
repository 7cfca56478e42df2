"""The JSON of a page of segments (schema `flow-segment`), from strips of them.

* What is shown of a segment is its JSON with no URLs; each text ends with a comma.
* URLs are made for each request: of the instances of its object, and of its init object. They, and
  the object's own timerange, are the source of the rest: `[instances, timerange, init object]`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import orjson

from schemas.domain.strip import Shown

Instances = Sequence[Mapping[str, str]]
WriteUrls = Callable[[Instances], bytes]

# How a text ends, with the place for its URLs before it.
_END: Final = b"]},"


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


def _init(name: str, urls: bytes = b"") -> bytes:
    """How a text begins when there is an init object."""
    return b'{"init_object":{"object_id":%s,"get_urls":[%s]},' % (orjson.dumps(name), urls)


def _no_urls(_: Instances) -> bytes:
    return b""
