"""JSON of segments (schemas `flow-segment-post`, `flow-segment`, `flow-segment-bulk-failure`)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from marshmallow import INCLUDE, Schema, ValidationError, fields, validate

from schemas.domain.errors import Invalid
from schemas.domain.identifiers import FlowId, ObjectId
from schemas.domain.job import Failure
from schemas.domain.media_object import MediaObject
from schemas.domain.segment import Link, Offer, Segment
from schemas.domain.timerange import TimeRange, format_timestamp
from schemas.http.errors import ErrorSchema, error_json
from schemas.http.fields import StrictInteger, TimeRangeField, TimestampField


class LinkSchema(Schema):
    """A URL of an object that the store does not control."""

    class Meta:
        """Other fields are ignored, so that `get_urls` of another store can be posted here."""

        unknown = INCLUDE

    url = fields.String(required=True)
    label = fields.String(required=True)


class SegmentPostSchema(Schema):
    """A segment as a client posts it."""

    class Meta:
        """Other fields are ignored, so that what another store gave can be posted here."""

        unknown = INCLUDE

    object_id = fields.String(required=True, validate=validate.Length(min=1))
    timerange = TimeRangeField(required=True)
    init_object_id = fields.String()
    ts_offset = TimestampField()
    object_timerange = TimeRangeField()
    last_duration = TimestampField()
    sample_offset = StrictInteger()
    sample_count = StrictInteger()
    key_frame_count = StrictInteger()
    get_urls = fields.List(fields.Nested(LinkSchema))


_ONE = SegmentPostSchema()
_USUAL: Final = {"object_id", "timerange", "get_urls"}


def offers_from(flow_id: FlowId, body: object) -> tuple[Offer, ...]:
    """The segments of a POST: one, or a list of them.

    Raises:
        ValidationError: naming the item and field at fault.
    """
    if not isinstance(body, list):
        return (_offer(flow_id, body),)
    offers, errors = [], {}
    for index, item in enumerate(body):
        try:
            offers.append(_offer(flow_id, item))
        except ValidationError as error:
            errors[index] = error.messages
    if errors:
        raise ValidationError(errors)
    if not offers:
        raise ValidationError("The list of segments is empty.")
    return tuple(offers)


def _offer(flow_id: FlowId, item: Any) -> Offer:
    return _plain_offer(flow_id, item) or _checked_offer(flow_id, item)


def _plain_offer(flow_id: FlowId, item: Any) -> Offer | None:
    """The offer of an item with the usual fields and nothing wrong; of any other, None.

    The schema takes three times as long, which counts with thousands of segments in a request.
    """
    if not isinstance(item, dict) or not item.keys() <= _USUAL:
        return None
    object_id, timerange = item.get("object_id"), item.get("timerange")
    if not (isinstance(object_id, str) and object_id and isinstance(timerange, str)):
        return None
    links = _plain_links(item.get("get_urls", ()))
    if links is None:
        return None
    try:
        segment = Segment(flow_id, ObjectId(object_id), TimeRange.parse(timerange))
    except Invalid:
        return None
    return Offer(segment, links=links)


def _plain_links(items: Any) -> tuple[Link, ...] | None:
    if not isinstance(items, list | tuple):
        return None
    links = []
    for item in items:
        if not isinstance(item, dict):
            return None
        label, url = item.get("label"), item.get("url")
        if not (isinstance(label, str) and isinstance(url, str)):
            return None
        links.append(Link(label, url))
    return tuple(links)


def _checked_offer(flow_id: FlowId, item: Any) -> Offer:
    data = _ONE.load(item)
    try:
        segment = Segment(
            flow_id,
            ObjectId(data["object_id"]),
            data["timerange"],
            data.get("ts_offset", 0),
            data.get("last_duration"),
            data.get("sample_offset"),
            data.get("sample_count"),
        )
        return Offer(
            segment,
            object_timerange=data.get("object_timerange"),
            init_object_id=data.get("init_object_id"),
            key_frame_count=data.get("key_frame_count"),
            links=tuple(Link(url["label"], url["url"]) for url in data.get("get_urls", ())),
        )
    except Invalid as error:
        raise ValidationError({error.field or "_schema": [str(error)]}) from error


class FailedSegmentSchema(Schema):
    """A segment that was not registered."""

    object_id = fields.String(required=True)
    timerange = fields.String()
    error = fields.Nested(ErrorSchema)


class FailedSegmentsSchema(Schema):
    """The segments of a request that were not registered; the others were."""

    failed_segments = fields.List(fields.Nested(FailedSegmentSchema), required=True)


class GetUrlSchema(Schema):
    """A place an object can be fetched from; the storage details only with `verbose_storage`."""

    url = fields.String(required=True)
    label = fields.String()
    presigned = fields.Boolean()
    controlled = fields.Boolean()
    storage_id = fields.String()
    store_type = fields.String()
    provider = fields.String()
    region = fields.String()
    availability_zone = fields.String()
    store_product = fields.String()
    tags = fields.Dict()


class InitObjectSchema(Schema):
    """The init segment an object needs to be decoded."""

    object_id = fields.String(required=True)
    get_urls = fields.List(fields.Nested(GetUrlSchema))


class SegmentSchema(Schema):
    """A segment; documents what `segment_json` writes."""

    object_id = fields.String(required=True)
    timerange = fields.String(required=True)
    ts_offset = fields.String()
    last_duration = fields.String()
    object_timerange = fields.String()
    sample_offset = fields.Integer()
    sample_count = fields.Integer()
    key_frame_count = fields.Integer()
    init_object = fields.Nested(InitObjectSchema)
    get_urls = fields.List(fields.Nested(GetUrlSchema))


def segment_json(
    segment: Segment,
    item: MediaObject | None,
    urls: Sequence[Mapping[str, Any]],
    init: tuple[str, Sequence[Mapping[str, Any]]] | None,
    *,
    with_object_timerange: bool,
) -> dict[str, Any]:
    """The JSON of a segment, with the URLs of its object, and of its init object if it has one.

    The latter is first and the former are last, so that both can be filled in (`schemas.strips`).
    """
    payload: dict[str, Any] = {}
    if init is not None:
        payload["init_object"] = {"object_id": init[0], "get_urls": init[1]}
    payload |= {"object_id": segment.object_id, "timerange": str(segment.timerange)}
    if segment.ts_offset_ns:
        payload["ts_offset"] = format_timestamp(segment.ts_offset_ns)
    if segment.last_duration_ns is not None:
        payload["last_duration"] = format_timestamp(segment.last_duration_ns)
    if segment.sample_offset is not None:
        payload["sample_offset"] = segment.sample_offset
    if segment.sample_count is not None:
        payload["sample_count"] = segment.sample_count
    if item is not None:
        if item.key_frame_count is not None:
            payload["key_frame_count"] = item.key_frame_count
        if with_object_timerange and item.timerange is not None:
            payload["object_timerange"] = str(item.timerange)
    payload["get_urls"] = urls
    return payload


def failure_json(failure: Failure) -> dict[str, Any]:
    """The JSON of a segment that was not registered."""
    error = error_json(failure.type, failure.summary, failure.time, failure.field)
    return {"object_id": failure.object_id, "timerange": failure.timerange, "error": error}
