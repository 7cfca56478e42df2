"""Query strings: what the list endpoints are asked.

* A parameter nobody knows is refused, since ignoring a filter would answer another question.
* `tag.{name}` and its kin are collected by their prefix.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from marshmallow import (
    INCLUDE,
    Schema,
    ValidationError,
    fields,
    post_load,
    validate,
    validates_schema,
)

from schemas.domain.coverage import CoverageQuery
from schemas.domain.identifiers import UUID_PATTERN, FlowId, ObjectId
from schemas.domain.query import FlowQuery, Listing, ProfileQuery, SegmentQuery, SourceQuery
from schemas.domain.stall import IngestState
from schemas.domain.storage import UrlFilter
from schemas.domain.timerange import ETERNITY
from schemas.http.fields import (
    FORMAT,
    MIME_TYPE,
    UUID,
    CommaList,
    QueryBoolean,
    TimeRangeField,
    TimestampField,
    tag_filter,
)

DEFAULT_LIMIT = 100
MAX_LIMIT = 1_000

STATUSES = ("awaiting_content", "ingesting", "replication_in_progress", "closed_complete")


class QuerySchema(Schema):
    """A query string; `tag_prefixes` names the families of tag filters it may hold."""

    class Meta:
        """Unknown parameters are collected, then sorted out."""

        unknown = INCLUDE

    tag_prefixes: Sequence[str] = ()

    # Authentication may ride in the query string (TAMS 8.2, `url_token_auth`).
    access_token = fields.String(metadata={"description": "Ignored until authentication exists."})

    @post_load(pass_collection=False)
    def sort_out(self, data: dict[str, Any], **_: Any) -> Any:
        """Collect the tag filters; refuse what is left over."""
        known = {name: data.pop(name) for name in list(data) if name in self.fields}
        for prefix in self.tag_prefixes:
            known[prefix] = tag_filter(data, prefix)
        for name in data:
            family = name.partition(".")[0].removesuffix("_exists")
            if "." not in name or family not in self.tag_prefixes:
                raise ValidationError({name: ["There is no such parameter here."]})
        return self.build(known)

    def build(self, known: dict[str, Any]) -> Any:
        """The query value."""
        return known


class PagedSchema(QuerySchema):
    """Paging, which every list has; a higher limit than the service's own is lowered to it."""

    page = fields.String(metadata={"description": "Where to go on: `X-Paging-NextKey`."})
    limit = fields.Integer(
        load_default=DEFAULT_LIMIT,
        validate=validate.Range(min=1),
        metadata={"description": f"Items per page; at most {MAX_LIMIT}."},
    )


def listing(known: dict[str, Any]) -> Listing:
    """Page and order."""
    return Listing(
        min(known.pop("limit"), MAX_LIMIT),
        known.pop("page", None),
        known.pop("sort_by", "created"),
        known.pop("reverse_order", False),
    )


class SourceQuerySchema(PagedSchema):
    """GET /sources."""

    tag_prefixes = ("tag",)

    label = fields.String()
    format = fields.String(validate=FORMAT)
    collected_by_ids = CommaList(UUID_PATTERN)
    sort_by = fields.String(validate=validate.OneOf(["created", "updated", "label"]))
    reverse_order = QueryBoolean()

    def build(self, known: dict[str, Any]) -> SourceQuery:
        """The query value."""
        return SourceQuery(
            listing(known),
            label=known.get("label"),
            format=known.get("format"),
            tags=known["tag"],
            collected_by=known.get("collected_by_ids"),
        )


class FlowQuerySchema(PagedSchema):
    """GET /flows."""

    tag_prefixes = ("tag",)

    source_id = fields.String(validate=UUID)
    timerange = TimeRangeField()
    format = fields.String(validate=FORMAT)
    codec = fields.String(validate=MIME_TYPE)
    profile_id = fields.String(validate=UUID)
    label = fields.String()
    status = fields.String(validate=validate.OneOf(STATUSES))
    frame_width = fields.Integer()
    frame_height = fields.Integer()
    init_segments = QueryBoolean()
    collected_by_ids = CommaList(UUID_PATTERN)
    sort_by = fields.String(validate=validate.OneOf(["created", "metadata_updated", "label"]))
    reverse_order = QueryBoolean()

    def build(self, known: dict[str, Any]) -> FlowQuery:
        """The query value."""
        order, tags = listing(known), known.pop("tag")
        timerange = known.pop("timerange", None)
        collected_by = known.pop("collected_by_ids", None)
        known.pop("access_token", None)
        return FlowQuery(
            order,
            equal=known,
            timerange=None if timerange == ETERNITY else timerange,
            tags=tags,
            collected_by=collected_by,
        )


class FlowDetailSchema(QuerySchema):
    """GET /flows/{flowId}."""

    include_timerange = QueryBoolean(load_default=False)
    timerange = TimeRangeField(load_default=ETERNITY)


class UrlQuerySchema(PagedSchema):
    """The parameters that choose among the URLs of objects."""

    tag_prefixes: Sequence[str] = ("storage_backend_tag",)

    verbose_storage = QueryBoolean(load_default=False)
    accept_get_urls = CommaList()
    accept_storage_ids = CommaList(UUID_PATTERN)
    presigned = QueryBoolean()

    @staticmethod
    def urls(known: dict[str, Any]) -> UrlFilter:
        """The URLs wanted."""
        return UrlFilter(
            labels=known.get("accept_get_urls"),
            storage_ids=known.get("accept_storage_ids"),
            presigned=known.get("presigned"),
            backend_tags=known["storage_backend_tag"],
            verbose=known["verbose_storage"],
        )


class SegmentQuerySchema(UrlQuerySchema):
    """GET /flows/{flowId}/segments: (page key, query without it, URLs, with object timerange)."""

    object_id = fields.String()
    timerange = TimeRangeField(load_default=ETERNITY)
    reverse_order = QueryBoolean(load_default=False)
    include_object_timerange = QueryBoolean(load_default=False)

    def build(self, known: dict[str, Any]) -> tuple[str | None, SegmentQuery, UrlFilter, bool]:
        """The query value."""
        object_id = known.get("object_id")
        query = SegmentQuery(
            min(known["limit"], MAX_LIMIT),
            known["timerange"],
            None if object_id is None else ObjectId(object_id),
            known["reverse_order"],
        )
        return known.get("page"), query, self.urls(known), known["include_object_timerange"]


class ObjectQuerySchema(UrlQuerySchema):
    """GET /objects/{objectId}: (paging of its flows, filter on their tags, URLs)."""

    tag_prefixes = ("storage_backend_tag", "flow_tag")

    def build(self, known: dict[str, Any]) -> tuple[Listing, Any, UrlFilter]:
        """The query value."""
        urls = self.urls(known)
        return listing(known), known["flow_tag"], urls


class SegmentDeletionSchema(QuerySchema):
    """DELETE /flows/{flowId}/segments."""

    timerange = TimeRangeField(load_default=ETERNITY)
    object_id = fields.String()


class InstanceDeletionSchema(QuerySchema):
    """DELETE /objects/{objectId}/instances."""

    storage_id = fields.String(validate=UUID)
    label = fields.String()

    @validates_schema(skip_on_field_errors=True)
    def one_of_both(self, data: dict[str, Any], **_: Any) -> None:
        """An instance is named by its storage backend or by its label."""
        if ("storage_id" in data) == ("label" in data):
            raise ValidationError("One of storage_id and label must be given.", "storage_id")


class DeletionQuerySchema(PagedSchema):
    """GET /flow-delete-requests."""

    sort_by = fields.String(validate=validate.OneOf(["created", "expiry"]))
    reverse_order = QueryBoolean()

    def build(self, known: dict[str, Any]) -> Listing:
        """The query value."""
        return listing(known)


class BackendQuerySchema(PagedSchema):
    """GET /service/storage-backends: (paging, filter on tags)."""

    tag_prefixes = ("tag",)

    reverse_order = QueryBoolean()

    def build(self, known: dict[str, Any]) -> tuple[Listing, Any]:
        """The query value."""
        return listing(known), known["tag"]


class ProfileQuerySchema(PagedSchema):
    """GET /service/profiles."""

    format = fields.String(validate=FORMAT)
    codec = fields.String(validate=MIME_TYPE)
    label = fields.String()

    def build(self, known: dict[str, Any]) -> ProfileQuery:
        """The query value."""
        return ProfileQuery(
            listing(known), known.get("label"), known.get("format"), known.get("codec")
        )


class TimelineQuerySchema(PagedSchema):
    """GET /flows/{flowId}/timeline: (page key, what to look at)."""

    timerange = TimeRangeField(
        load_default=ETERNITY,
        metadata={"description": "Where to look; an open bound is that of the segments."},
    )
    tolerance = TimestampField(
        load_default=0,
        validate=validate.Range(min=0),
        metadata={"description": "The longest time without a segment that is no gap."},
    )

    def build(self, known: dict[str, Any]) -> tuple[str | None, CoverageQuery]:
        """The query value."""
        limit = min(known["limit"], MAX_LIMIT)
        query = CoverageQuery(known["timerange"], known["tolerance"], limit=limit)
        return known.get("page"), query


class IngestHealthQuerySchema(PagedSchema):
    """GET /health/ingest: (paging, flow, state)."""

    limit = fields.Integer(
        load_default=DEFAULT_LIMIT,
        validate=validate.Range(min=1),
        metadata={"description": f"Flows per page; at most {DEFAULT_LIMIT}."},
    )
    flow_id = fields.String(validate=UUID)
    state = fields.Enum(IngestState, by_value=True)
    reverse_order = QueryBoolean()

    def build(self, known: dict[str, Any]) -> tuple[Listing, FlowId | None, IngestState | None]:
        """The query value."""
        paging = listing(known)
        # Each flow of a page costs a look at its timeline.
        paging = replace(paging, limit=min(paging.limit, DEFAULT_LIMIT))
        return paging, known.get("flow_id"), known.get("state")


class StallQuerySchema(PagedSchema):
    """GET /health/ingest/stalls: (paging, flow)."""

    flow_id = fields.String(validate=UUID)
    reverse_order = QueryBoolean()

    def build(self, known: dict[str, Any]) -> tuple[Listing, FlowId | None]:
        """The query value."""
        return listing(known), known.get("flow_id")


class ScanQuerySchema(PagedSchema):
    """GET /ingest-scans."""

    reverse_order = QueryBoolean()

    def build(self, known: dict[str, Any]) -> Listing:
        """The query value."""
        return listing(known)


class ProblemQuerySchema(PagedSchema):
    """GET /ingest-problems."""

    reverse_order = QueryBoolean()

    def build(self, known: dict[str, Any]) -> Listing:
        """The query value."""
        return listing(known)
