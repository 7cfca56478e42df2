"""Offers as they wait in the inbox: compact JSON between two processes of the same version.

* One entry carries offers of one request to one flow, in the order given.
* `encode_offers` and `decode_offers` are inverse to each other.
"""

from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

import orjson

from schemas.domain.identifiers import FlowId, ObjectId
from schemas.domain.placing import Anchor, Bearing, Following, Listed, Restart, Running, Stated
from schemas.domain.segment import Dropped, Link, Offer, Segment
from schemas.domain.timerange import TimeRange


def encode_offers(offers: Sequence[Offer]) -> bytes:
    """JSON of `offers`, all of one flow, without the flow's id."""
    return orjson.dumps([_fields(offer) for offer in offers])


def decode_offers(flow_id: FlowId, text: bytes) -> list[Offer]:
    """The offers `encode_offers` made `text` of."""
    return [_offer(flow_id, *fields) for fields in orjson.loads(text)]


def _fields(offer: Offer) -> list[object]:
    segment, within, dropped = offer.segment, offer.object_timerange, offer.dropped
    return [
        segment.object_id,
        [segment.timerange.start, segment.timerange.end],
        segment.ts_offset_ns,
        segment.last_duration_ns,
        segment.sample_offset,
        segment.sample_count,
        [within.start, within.end] if within else None,
        offer.init_object_id,
        offer.key_frame_count,
        [[link.label, link.url] for link in offer.links],
        astuple(dropped) if dropped else None,
        astuple(offer.init) if offer.init else None,
        [type(offer.bearing).__name__, astuple(offer.bearing)] if offer.bearing else None,
    ]


def _offer(
    flow_id: FlowId,
    object_id: str,
    timerange: tuple[int, int],
    ts_offset_ns: int,
    last_duration_ns: int | None,
    sample_offset: int | None,
    sample_count: int | None,
    object_timerange: tuple[int, int] | None,
    init_object_id: str | None,
    key_frame_count: int | None,
    links: list[tuple[str, str]],
    dropped: list[Any] | None,
    init: list[Any] | None,
    bearing: tuple[str, list[Any]] | None,
) -> Offer:
    return Offer(
        Segment(
            flow_id,
            ObjectId(object_id),
            TimeRange(*timerange),
            ts_offset_ns,
            last_duration_ns,
            sample_offset,
            sample_count,
        ),
        object_timerange=TimeRange(*object_timerange) if object_timerange else None,
        init_object_id=None if init_object_id is None else ObjectId(init_object_id),
        key_frame_count=key_frame_count,
        links=tuple([Link(label, url) for label, url in links]),
        dropped=Dropped(*dropped) if dropped else None,
        bearing=_bearing(*bearing) if bearing else None,
        init=Dropped(*init) if init else None,
    )


def _bearing(kind: str, values: list[Any]) -> Bearing:
    match kind:
        case "Stated":
            return Stated(*values)
        case "Running":
            at_ns, wraps, anchor, restart, tolerance_ns = values
            return Running(at_ns, wraps, Anchor(*anchor), Restart(restart), tolerance_ns)
        case "Listed":
            offset_ns, near, anchor, stated = values
            return Listed(
                offset_ns,
                tuple((key, offset) for key, offset in near),
                Anchor(*anchor),
                Stated(*stated) if stated else None,
            )
        case _:
            anchor, rate = values
            return Following(Anchor(*anchor), rate)
