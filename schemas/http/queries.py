"""Query strings: what the list endpoints are asked.

* A parameter nobody knows is refused, since ignoring a filter would answer another question.
* `tag.{name}` and its kin are collected by their prefix.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC
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
from schemas.domain.event import EventFilter, EventType
from schemas.domain.identifiers import UUID_PATTERN, FlowId, ObjectId
from schemas.domain.ingest import ProblemQuery
from schemas.domain.job import JobFilter, JobKind, JobState
from schemas.domain.query import (
    ANY_TAGS,
    FlowQuery,
    Listing,
    ProfileQuery,
    SegmentQuery,
    SourceQuery,
    WebhookQuery,
)
from schemas.domain.rejection import Reason
from schemas.domain.stall import IngestState
from schemas.domain.storage import UrlFilter
from schemas.domain.timerange import ETERNITY
from schemas.http.fields import (
    FORMAT,
    MIME_TYPE,
    UUID,
    CommaList,
    PageLimit,
    QueryBoolean,
    QueryInteger,
    TimeRangeField,
    TimestampField,
    tag_filter,
)

EVENT_ID = validate.Regexp(
    r"^[0-9]{1,18}-[0-9]{1,18}\Z", error="{input!r} is not an id this service gave out"
)

PLACE_PATTERN = "^[0-9]{1,18}$"
PLACE = validate.Regexp(r"^[0-9]{1,18}\Z", error="{input!r} is not an id this service gave out")

STATUSES = ("awaiting_content", "ingesting", "replication_in_progress", "closed_complete")

MOST_INGESTING = 100

_ALSO = "All filters on URLs apply together."


def says(text: str) -> dict[str, str]:
    """The metadata of a field that the OpenAPI document describes with `text`."""
    return {"description": text}


class QuerySchema(Schema):
    """A query string; `tag_prefixes` names the families of tag filters it may hold."""

    class Meta:
        """Unknown parameters are collected, then sorted out."""

        unknown = INCLUDE

    tag_prefixes: Sequence[str] = ()

    # Authentication may ride in the query string (TAMS 8.2, `url_token_auth`).
    access_token = fields.String(metadata=says("Ignored until authentication exists."))

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


class NoQuerySchema(QuerySchema):
    """The query string of an operation that has no parameters."""

    def build(self, known: dict[str, Any]) -> dict[str, Any]:
        """Nothing."""
        return {}


class PagedSchema(QuerySchema):
    """Paging, which every list has; `limit` is always there, put in force by `api.paging`."""

    page = fields.String(
        metadata=says(
            "Where to go on: the `X-Paging-NextKey` of the page before. It goes with the list and "
            "the order it was given out for; without it, the list begins."
        )
    )
    limit = PageLimit(validate=validate.Range(min=1, error="Must be at least 1."))


class OrderedSchema(PagedSchema):
    """Paging of a list that can be reversed."""

    reverse_order = QueryBoolean(
        load_default=False, metadata=says("Whether the list is in reverse order.")
    )


def listing(known: dict[str, Any]) -> Listing:
    """Page and order."""
    return Listing(
        known.pop("limit"),
        known.pop("page", None),
        known.pop("sort_by", "created"),
        known.pop("reverse_order", False),
    )


class SourceQuerySchema(OrderedSchema):
    """GET /sources."""

    tag_prefixes = ("tag",)

    label = fields.String(metadata=says("Only sources with this label."))
    format = fields.String(validate=FORMAT, metadata=says("Only sources of this format."))
    collected_by_ids = CommaList(
        UUID_PATTERN,
        metadata=says(
            "Only sources that one of these sources collects, by their ids with commas between; "
            "empty, only sources that none collects."
        ),
    )
    sort_by = fields.String(
        validate=validate.OneOf(["created", "updated", "label"]),
        metadata=says(
            "The order, `created` if not given: times with the latest first, labels by alphabet. "
            "Sources without the value come last, by id; reversed, they come first."
        ),
    )

    def build(self, known: dict[str, Any]) -> SourceQuery:
        """The query value."""
        return SourceQuery(
            listing(known),
            label=known.get("label"),
            format=known.get("format"),
            tags=known["tag"],
            collected_by=known.get("collected_by_ids"),
        )


class FlowQuerySchema(OrderedSchema):
    """GET /flows."""

    tag_prefixes = ("tag",)

    source_id = fields.String(validate=UUID, metadata=says("Only flows of this source."))
    timerange = TimeRangeField(
        metadata=says(
            "Only flows whose content overlaps this timerange; the empty one, `()`, finds the "
            "flows without content."
        )
    )
    format = fields.String(validate=FORMAT, metadata=says("Only flows of this format."))
    codec = fields.String(validate=MIME_TYPE, metadata=says("Only flows in this codec."))
    profile_id = fields.String(validate=UUID, metadata=says("Only flows linked to this profile."))
    label = fields.String(metadata=says("Only flows with this label."))
    status = fields.String(
        validate=validate.OneOf(STATUSES), metadata=says("Only flows with this status.")
    )
    frame_width = QueryInteger(metadata=says("Only flows with frames this wide, in pixels."))
    frame_height = QueryInteger(metadata=says("Only flows with frames this high, in pixels."))
    init_segments = QueryBoolean(
        metadata=says("Only flows whose media need an init segment, or only those that do not.")
    )
    collected_by_ids = CommaList(
        UUID_PATTERN,
        metadata=says(
            "Only flows that one of these flows collects, by their ids with commas between; empty, "
            "only flows that none collects."
        ),
    )
    sort_by = fields.String(
        validate=validate.OneOf(["created", "metadata_updated", "label"]),
        metadata=says(
            "The order, `created` if not given: times with the latest first, labels by alphabet. "
            "Flows without the value come last, by id; reversed, they come first."
        ),
    )

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

    include_timerange = QueryBoolean(
        load_default=False, metadata=says("Whether to tell the timerange of the flow's segments.")
    )
    timerange = TimeRangeField(
        load_default=ETERNITY,
        metadata=says("Count only the segments that overlap this timerange, as a whole each."),
    )


class UrlsSchema(QuerySchema):
    """The parameters that choose among the URLs of objects."""

    verbose_storage = QueryBoolean(
        load_default=False, metadata=says("Whether `get_urls` tell of the storage as well.")
    )
    accept_get_urls = CommaList(
        metadata=says(
            f"Only URLs with one of these labels, with commas between; empty, none at all. {_ALSO}"
        )
    )
    accept_storage_ids = CommaList(
        UUID_PATTERN,
        metadata=says(
            "Only URLs in one of these storage backends, by their ids with commas between; empty, "
            f"all. {_ALSO}"
        ),
    )
    presigned = QueryBoolean(
        metadata=says(f"Only presigned URLs if true, only others if false. {_ALSO}")
    )

    @staticmethod
    def urls(known: dict[str, Any]) -> UrlFilter:
        """The URLs wanted."""
        return UrlFilter(
            labels=known.get("accept_get_urls"),
            storage_ids=known.get("accept_storage_ids"),
            presigned=known.get("presigned"),
            backend_tags=known.get("storage_backend_tag", ANY_TAGS),
            verbose=known["verbose_storage"],
        )


class UrlQuerySchema(UrlsSchema, PagedSchema):
    """The same, in a list that can filter by tags of the storage as well."""

    tag_prefixes: Sequence[str] = ("storage_backend_tag",)


class SegmentQuerySchema(UrlQuerySchema, OrderedSchema):
    """GET /flows/{flowId}/segments: (page key, query without it, URLs, with object timerange)."""

    object_id = fields.String(metadata=says("Only segments of this object."))
    timerange = TimeRangeField(
        load_default=ETERNITY,
        metadata=says("Only segments that overlap this timerange, in part or as a whole."),
    )
    include_object_timerange = QueryBoolean(
        load_default=False, metadata=says("Whether to tell the timerange of each object, too.")
    )

    def build(self, known: dict[str, Any]) -> tuple[str | None, SegmentQuery, UrlFilter, bool]:
        """The query value."""
        object_id = known.get("object_id")
        query = SegmentQuery(
            known["limit"],
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

    timerange = TimeRangeField(
        load_default=ETERNITY, metadata=says("Only segments wholly inside this timerange.")
    )
    object_id = fields.String(metadata=says("Only segments of this object."))


class InstanceDeletionSchema(QuerySchema):
    """DELETE /objects/{objectId}/instances."""

    storage_id = fields.String(
        validate=UUID, metadata=says("The storage backend of the instance, if it is controlled.")
    )
    label = fields.String(metadata=says("The label of the instance; or `storage_id`, not both."))

    @validates_schema(skip_on_field_errors=True)
    def one_of_both(self, data: dict[str, Any], **_: Any) -> None:
        """An instance is named by its storage backend or by its label."""
        if ("storage_id" in data) == ("label" in data):
            raise ValidationError("One of storage_id and label must be given.", "storage_id")


class DeletionQuerySchema(OrderedSchema):
    """GET /flow-delete-requests."""

    sort_by = fields.String(
        validate=validate.OneOf(["created", "expiry"]),
        metadata=says(
            "The order, `created` if not given, with the latest first. Requests without the value "
            "come last, by id; reversed, they come first."
        ),
    )

    def build(self, known: dict[str, Any]) -> Listing:
        """The query value."""
        return listing(known)


class BackendQuerySchema(OrderedSchema):
    """GET /service/storage-backends: (paging, filter on tags)."""

    tag_prefixes = ("tag",)

    def build(self, known: dict[str, Any]) -> tuple[Listing, Any]:
        """The query value."""
        return listing(known), known["tag"]


class ProfileQuerySchema(PagedSchema):
    """GET /service/profiles."""

    format = fields.String(validate=FORMAT, metadata=says("Only profiles of this format."))
    codec = fields.String(validate=MIME_TYPE, metadata=says("Only profiles in this codec."))
    label = fields.String(metadata=says("Only profiles with this label."))

    def build(self, known: dict[str, Any]) -> ProfileQuery:
        """The query value."""
        return ProfileQuery(
            listing(known), known.get("label"), known.get("format"), known.get("codec")
        )


class WebhookQuerySchema(OrderedSchema):
    """GET /service/webhooks."""

    tag_prefixes = ("tag",)

    def build(self, known: dict[str, Any]) -> WebhookQuery:
        """The query value."""
        return WebhookQuery(listing(known), known["tag"])


class TimelineQuerySchema(PagedSchema):
    """GET /flows/{flowId}/timeline: (page key, what to look at)."""

    timerange = TimeRangeField(
        load_default=ETERNITY,
        metadata=says("Where to look; an open bound is that of the segments."),
    )
    tolerance = TimestampField(
        validate=validate.Range(min=0),
        metadata=says("The longest time without a segment that is no gap."),
    )

    def build(self, known: dict[str, Any]) -> tuple[str | None, CoverageQuery]:
        """The query value."""
        tolerance_ns = known.get("tolerance", 0)
        query = CoverageQuery(known["timerange"], tolerance_ns, limit=known["limit"])
        return known.get("page"), query


class IngestHealthQuerySchema(OrderedSchema):
    """GET /health/ingest: (paging, flow, state)."""

    flow_id = fields.String(validate=UUID, metadata=says("Only this flow."))
    state = fields.Enum(IngestState, by_value=True, metadata=says("Only flows in this state."))

    def build(self, known: dict[str, Any]) -> tuple[Listing, FlowId | None, IngestState | None]:
        """The query value."""
        paging = listing(known)
        # Each flow of a page costs a look at its timeline.
        paging = replace(paging, limit=min(paging.limit, MOST_INGESTING))
        return paging, known.get("flow_id"), known.get("state")


class StallQuerySchema(OrderedSchema):
    """GET /health/ingest/stalls: (paging, flow)."""

    flow_id = fields.String(validate=UUID, metadata=says("Only stalls of this flow."))

    def build(self, known: dict[str, Any]) -> tuple[Listing, FlowId | None]:
        """The query value."""
        return listing(known), known.get("flow_id")


class ScanQuerySchema(OrderedSchema):
    """GET /ingest-scans."""

    def build(self, known: dict[str, Any]) -> Listing:
        """The query value."""
        return listing(known)


class DeadLetterQuerySchema(OrderedSchema):
    """GET /admin/dead-letters."""

    def build(self, known: dict[str, Any]) -> Listing:
        """The query value."""
        return listing(known)


class ProblemQuerySchema(OrderedSchema):
    """GET /ingest-problems."""

    bucket = fields.String(metadata=says("Only of this bucket."))
    prefix = fields.String(metadata=says("Only where the key begins with this."))
    reason = fields.String(
        validate=validate.OneOf([each.value for each in Reason]),
        metadata=says("Only with this code."),
    )
    since = fields.AwareDateTime(
        default_timezone=UTC, metadata=says("Only what was seen then or later.")
    )

    def build(self, known: dict[str, Any]) -> ProblemQuery:
        """The query value."""
        return ProblemQuery(
            listing(known),
            known.get("bucket"),
            known.get("prefix", ""),
            known.get("reason"),
            known.get("since"),
        )


class RuleQuerySchema(PagedSchema):
    """GET /ingest-rules."""

    def build(self, known: dict[str, Any]) -> Listing:
        """The query value."""
        return listing(known)


class JobEventsSchema(QuerySchema):
    """GET /jobs/{jobId}/events: the id of the last event received."""

    last_event_id = fields.String(
        validate=EVENT_ID,
        metadata=says("As the header `Last-Event-ID`, for clients that cannot set it."),
    )

    def build(self, known: dict[str, Any]) -> Any:
        """The query value."""
        return known.get("last_event_id")


@dataclass(frozen=True, slots=True)
class EventsAsked:
    """Which events, from where on, and which URLs are in them."""

    last_event_id: str | None
    wanted: EventFilter
    urls: UrlFilter
    with_object_timerange: bool


class EventsSchema(UrlsSchema):
    """GET /events."""

    events = CommaList(
        f"({'|'.join(EventType)})",
        metadata=says("Only events of these types, with commas between."),
    )
    flow_ids = CommaList(
        UUID_PATTERN,
        metadata=says("Of events of flows, only those of these, by their ids with commas between."),
    )
    source_ids = CommaList(
        UUID_PATTERN,
        metadata=says("Only events of these sources and their flows, by the ids of the sources."),
    )
    flow_collected_by_ids = CommaList(
        UUID_PATTERN,
        metadata=says(
            "Of events of flows, only those of flows that one of these flows collects; empty, "
            "only of flows that none collects."
        ),
    )
    source_collected_by_ids = CommaList(
        UUID_PATTERN,
        metadata=says(
            "Only events of sources that one of these sources collects, and of their flows; empty, "
            "only of sources that none collects."
        ),
    )
    include_object_timerange = QueryBoolean(
        load_default=False, metadata=says("Whether to tell the timerange of each object, too.")
    )
    last_event_id = fields.String(
        validate=PLACE,
        metadata=says("As the header `Last-Event-ID`, for clients that cannot set it."),
    )

    def build(self, known: dict[str, Any]) -> EventsAsked:
        """The query value."""
        types = known.get("events")
        wanted = EventFilter(
            frozenset(EventType) if types is None else frozenset(map(EventType, types)),
            flow_ids=known.get("flow_ids"),
            source_ids=known.get("source_ids"),
            flow_collected_by=known.get("flow_collected_by_ids"),
            source_collected_by=known.get("source_collected_by_ids"),
        )
        return EventsAsked(
            known.get("last_event_id"),
            wanted,
            self.urls(known),
            known["include_object_timerange"],
        )


class JobsEventsSchema(JobEventsSchema):
    """GET /jobs/events: (last event id, filter)."""

    kind = fields.Enum(JobKind, by_value=True, metadata=says("Only jobs of this kind."))
    state = fields.Enum(JobState, by_value=True, metadata=says("Only jobs in this state."))
    flow_id = fields.String(validate=UUID, metadata=says("Only jobs on this flow."))

    def build(self, known: dict[str, Any]) -> tuple[str | None, JobFilter]:
        """The query value."""
        return known.get("last_event_id"), job_filter(known)


class JobQuerySchema(OrderedSchema):
    """GET /jobs: (paging, filter)."""

    kind = fields.Enum(JobKind, by_value=True, metadata=says("Only jobs of this kind."))
    state = fields.Enum(JobState, by_value=True, metadata=says("Only jobs in this state."))
    flow_id = fields.String(validate=UUID, metadata=says("Only jobs on this flow."))
    sort_by = fields.String(
        validate=validate.OneOf(["created"]), metadata=says("The order; there is only this one.")
    )

    def build(self, known: dict[str, Any]) -> tuple[Listing, JobFilter]:
        """The query value."""
        return listing(known), job_filter(known)


def job_filter(known: dict[str, Any]) -> JobFilter:
    """Which jobs."""
    return JobFilter(known.get("kind"), known.get("state"), known.get("flow_id"))
