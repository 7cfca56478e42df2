"""`/flows`: encodings of sources."""

from typing import Any

from flask import Response

from api.blueprint import Blueprint
from api.context import PRINCIPAL, ports
from api.deletion import GOES_ON, deleted
from api.paging import ORDERED_PAGING_HEADERS, paging_headers
from api.properties import OF_FLOWS, Owner, add_properties
from api.responses import empty_response, json_response
from schemas.domain.collections import NO_COLLECTIONS
from schemas.domain.identifiers import FlowId
from schemas.domain.query import FlowQuery
from schemas.http.flows import FlowGetSchema, FlowSchema, flow_json
from schemas.http.queries import FlowDetailSchema, FlowQuerySchema
from tasks import deletion, flows

blueprint = Blueprint("Flows", __name__, description="Encodings of sources.")


@blueprint.route("/flows")
@blueprint.arguments(FlowQuerySchema, location="query")
@blueprint.response(200, FlowGetSchema(many=True), headers=ORDERED_PAGING_HEADERS)
@blueprint.operation("GET_flows", 400, 503)
def list_flows(query: FlowQuery) -> Response:
    """List flows."""
    page, collections = flows.listing(ports(), query)
    return json_response(
        [flow_json(flow, collections) for flow in page.items],
        headers=paging_headers(page, reverse_order=query.listing.reverse_order),
    )


@blueprint.route("/flows/<id:flow_id>")
@blueprint.arguments(FlowDetailSchema, location="query")
@blueprint.response(200, FlowGetSchema)
@blueprint.operation("GET_flows-flowId", 400, 404, 503)
def get_flow(query: dict[str, Any], flow_id: FlowId) -> Response:
    """Describe one flow."""
    flow, hull, collections = flows.get(ports(), flow_id, query["timerange"])
    return json_response(flow_json(flow, collections, hull if query["include_timerange"] else None))


@blueprint.route("/flows/<id:flow_id>", methods=["PUT"])
@blueprint.arguments(FlowSchema)
@blueprint.response(201, FlowGetSchema, description="The flow has been created.")
@blueprint.alt_response(204, description="The flow has been replaced.")
@blueprint.operation("PUT_flows-flowId", 400, 403, 404, 503)
def put_flow(document: dict[str, Any], flow_id: FlowId) -> Response:
    """Create or replace a flow.

    Its first flow brings a source into being. What the store manages itself is ignored here: times,
    `timerange` and `collected_by`. With a `profile_id` the technical fields are those of the
    profile, and none may be given; an empty one ends that, and the flow keeps the fields it has
    unless others are given.
    """
    flow, created = flows.put(ports(), flow_id, document, by=PRINCIPAL)
    if not created:
        return empty_response(204)
    # Only a flow that is there can be collected.
    return json_response(flow_json(flow, NO_COLLECTIONS), 201)


@blueprint.route("/flows/<id:flow_id>", methods=["DELETE"])
@blueprint.response(204, description="The flow and its segments are deleted.")
@blueprint.alt_response(202, **GOES_ON)
@blueprint.preferring
@blueprint.operation("DELETE_flows-flowId", 403, 404, 503)
def delete_flow(flow_id: FlowId) -> Response:
    """Delete a flow with its segments.

    It is gone from all lists at once. Objects go with the last segment that refers to them.
    """
    return deleted(deletion.request_flow(ports(), flow_id, by=PRINCIPAL))


add_properties(blueprint, Owner("flow", flows.find, flows.change), OF_FLOWS)
