"""`/flow-delete-requests`: how far the deletion of flows and segments has come.

* A deletion is answered with 204 when it is done within a short time, else with 202 and the address
  to follow it at; so it is at once when the client prefers not to wait.
"""

from typing import Any, Final

from flask import Response

from api.blueprint import Blueprint
from api.context import ports
from api.links import absolute
from api.paging import ORDERED_PAGING_HEADERS, paging_headers
from api.preferences import ASYNC_HEADERS, RETRY_AFTER, preferences
from api.responses import empty_response, json_response
from schemas.domain.deletion import Deletion, DeletionState
from schemas.domain.identifiers import DeletionId
from schemas.domain.query import Listing
from schemas.http.deletions import DeletionSchema, deletion_json
from schemas.http.queries import DeletionQuerySchema
from tasks import deletion as deletions

blueprint = Blueprint(
    "FlowDeleteRequests", __name__, description="How far the deletion of flows has come."
)


@blueprint.route("/flow-delete-requests")
@blueprint.arguments(DeletionQuerySchema, location="query")
@blueprint.response(200, DeletionSchema(many=True), headers=ORDERED_PAGING_HEADERS)
@blueprint.operation("GET_flow-delete-requests", 400, 503)
def list_requests(listing: Listing) -> Response:
    """List flow delete requests.

    Those that ended are listed too, until they expire.
    """
    page = deletions.listing(ports(), listing)
    return json_response(
        [deletion_json(each) for each in page.items],
        headers=paging_headers(page, reverse_order=listing.reverse_order),
    )


@blueprint.route("/flow-delete-requests/<id:request_id>")
@blueprint.response(200, DeletionSchema)
@blueprint.operation("GET_flow-delete-requests-request-id", 404, 503)
def get_request(request_id: DeletionId) -> Response:
    """Say how far a deletion has come.

    The job of the same id, at `/jobs`, counts the segments deleted.
    """
    return json_response(deletion_json(deletions.get(ports(), request_id)))


def deleted(requested: Deletion) -> Response:
    """The answer to a request to delete something."""
    preferred = preferences()
    patience_s = preferred.patience_s(ports().limits.async_after_s)
    seen = deletions.outcome(ports(), requested, patience_s) if patience_s else requested
    if seen.state is DeletionState.DONE:
        return empty_response(204)
    here = absolute("FlowDeleteRequests.get_request", request_id=seen.id)
    headers = {"Location": here, "Retry-After": RETRY_AFTER, **preferred.applied()}
    return json_response(deletion_json(seen), 202, headers)


# How the OpenAPI document describes a deletion that goes on.
GOES_ON: Final[dict[str, Any]] = {
    "schema": DeletionSchema,
    "description": "It is not done yet, and goes on.",
    "headers": {
        **ASYNC_HEADERS,
        "Location": ASYNC_HEADERS["Location"]
        | {"description": "The flow delete request to follow, as an absolute URL."},
    },
}
