"""`/flows/{flowId}/segments`: what is on the timeline of a flow."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from flask import Response

from api.blueprint import Blueprint, examples_of, json_body
from api.context import PRINCIPAL, ports
from api.deletion import GOES_ON, deleted
from api.paging import SEGMENT_PAGING_HEADERS, paging_headers
from api.preferences import ASYNC_HEADERS, goes_on, preferences
from api.responses import empty_response, json_response
from schemas.domain.identifiers import FlowId
from schemas.domain.job import Failure
from schemas.domain.query import SegmentQuery
from schemas.domain.storage import UrlFilter
from schemas.http.errors import error_json
from schemas.http.examples import EXAMPLES
from schemas.http.jobs import JobSchema
from schemas.http.queries import SegmentDeletionSchema, SegmentQuerySchema
from schemas.http.segments import (
    FailedSegmentsSchema,
    SegmentPostSchema,
    SegmentSchema,
    failure_json,
    offers_from,
)
from schemas.strips import page_json
from tasks import deletion, jobs, listing, segments
from tasks.urls import UrlWriter

blueprint = Blueprint("FlowSegments", __name__, description="What is on the timelines of flows.")

# What the sum of errors of one segment means for a request that offered only that one.
_STATUS_OF = {"FlowNotFound": 404, "ReadOnly": 403, "PutAside": 500}


@blueprint.route("/flows/<id:flow_id>/segments")
@blueprint.arguments(SegmentQuerySchema, location="query")
@blueprint.response(200, SegmentSchema(many=True), headers=SEGMENT_PAGING_HEADERS)
@blueprint.operation("GET_flows-flowId-segments", 400, 404, 503)
def list_segments(
    asked: tuple[str | None, SegmentQuery, UrlFilter, bool], flow_id: FlowId
) -> Response:
    """List the segments of a flow in order of time.

    A flow that does not exist has none.
    """
    page_key, query, urls, with_object_timerange = asked
    query = replace(query, after=listing.after(page_key))
    page = ports().timelines.page(flow_id, query)
    write = None if urls.lets_none else UrlWriter(ports(), urls)
    body = page_json(page.items, write, with_object_timerange=with_object_timerange)
    headers = paging_headers(page, reverse_order=query.reverse_order)
    headers["X-Paging-Timerange"] = str(page.items.hull)
    return Response(body, headers=headers, content_type="application/json")


@blueprint.route("/flows/<id:flow_id>/segments", methods=["POST"])
@blueprint.doc(
    requestBody={
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "oneOf": [
                        SegmentPostSchema,
                        {"type": "array", "items": SegmentPostSchema},
                    ]
                },
                "examples": examples_of(SegmentPostSchema)
                | examples_of(SegmentPostSchema(many=True)),
            }
        },
    },
)
@blueprint.response(201, description="Every segment has been registered.")
@blueprint.alt_response(200, schema=FailedSegmentsSchema, description="Some have not.")
@blueprint.alt_response(
    202,
    schema=JobSchema,
    description="Nothing is decided yet.",
    headers=ASYNC_HEADERS,
    example=EXAMPLES[JobSchema]["waiting"],
)
@blueprint.preferring
@blueprint.operation("POST_flows-flowId-segments", 400, 403, 404, 503)
def post_segments(flow_id: FlowId) -> Response:
    """Register one segment, or a list of them.

    One that is refused is 400; of a list, the others are registered, and the answer is 200 with
    those refused. With `Prefer: respond-async` it is 202 with the `Location` of a job to follow; so
    it is with `Prefer: wait=N` when that time is over.
    """
    body, preferred = json_body(), preferences()
    offers = offers_from(flow_id, body)
    job = segments.submit(ports(), flow_id, offers, followed=bool(preferred))
    patience_s = preferred.patience_s(ports().limits.reply_timeout_s)
    job = segments.outcome(ports(), job, flow_id, patience_s)
    if not job.ended:
        if preferred:
            return goes_on(job, preferred)
        raise jobs.unfinished(job, patience_s)
    failures = job.failures
    if not failures:
        return empty_response(201)
    if not isinstance(body, list) or _by_the_flow(failures, len(offers)):
        return _refused(failures[0])
    return json_response({"failed_segments": [failure_json(failure) for failure in failures]})


@blueprint.route("/flows/<id:flow_id>/segments", methods=["DELETE"])
@blueprint.arguments(SegmentDeletionSchema, location="query")
@blueprint.response(204, description="The segments are deleted.")
@blueprint.alt_response(202, **GOES_ON)
@blueprint.preferring
@blueprint.operation("DELETE_flows-flowId-segments", 400, 403, 404, 503)
def delete_segments(asked: dict[str, Any], flow_id: FlowId) -> Response:
    """Delete the segments of a flow that are wholly in a timerange.

    Objects go with the last segment that refers to them.
    """
    timerange, object_id = asked["timerange"], asked.get("object_id")
    return deleted(deletion.request_segments(ports(), flow_id, timerange, object_id, by=PRINCIPAL))


def _by_the_flow(failures: Sequence[Failure], offered: int) -> bool:
    """Whether everything offered was refused since the flow takes no segments any more."""
    types = {failure.type for failure in failures}
    return len(failures) == offered and types in ({"FlowNotFound"}, {"ReadOnly"})


def _refused(failure: Failure) -> Response:
    """The answer to a request that was refused as a whole."""
    body = error_json(failure.type, failure.summary, failure.time, failure.field)
    return json_response(body, _STATUS_OF.get(failure.type, 400))
