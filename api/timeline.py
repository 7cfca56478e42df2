"""`/flows/{flowId}/timeline`: what of a flow is there, and what is missing (extension)."""

from flask import Response

from api.blueprint import Blueprint
from api.context import ports
from api.paging import PAGING_HEADERS, paging_headers
from api.responses import json_response
from schemas.domain.coverage import CoverageQuery
from schemas.domain.identifiers import FlowId
from schemas.http.queries import TimelineQuerySchema
from schemas.http.timeline import TimelineSchema, timeline_json
from tasks import timeline

blueprint = Blueprint("Timelines", __name__, description="What of flows is there, and missing.")


@blueprint.route("/flows/<id:flow_id>/timeline")
@blueprint.arguments(TimelineQuerySchema, location="query")
@blueprint.response(200, TimelineSchema, headers=PAGING_HEADERS)
@blueprint.operation("GET_flows-flowId-timeline", 400, 404, 503)
def get_timeline(asked: tuple[str | None, CoverageQuery], flow_id: FlowId) -> Response:
    """Say what of a timerange the segments of a flow cover, and where the gaps are.

    The pages are of the gaps; counts and durations are of the whole timerange. Time without a
    segment at the edge of the timerange is a gap; without a timerange it begins with the first
    segment and ends with the last.
    """
    page_key, query = asked
    flow, coverage, page = timeline.get(ports(), flow_id, query, page_key)
    return json_response(timeline_json(flow, coverage), headers=paging_headers(page))
