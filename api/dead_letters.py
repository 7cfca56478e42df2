"""`/admin/dead-letters`: work that was put aside because it could not be done (an extension)."""

from flask import Response

from api.blueprint import Blueprint
from api.context import ports
from api.paging import ORDERED_PAGING_HEADERS, paging_headers
from api.responses import empty_response, json_response
from schemas.domain.query import Listing
from schemas.http.dead_letters import DeadLetterSchema, dead_letter_json
from schemas.http.queries import DeadLetterQuerySchema
from tasks import dead_letters

blueprint = Blueprint("Admin", __name__, description="What the people who run a store look after.")


@blueprint.route("/admin/dead-letters")
@blueprint.arguments(DeadLetterQuerySchema, location="query")
@blueprint.response(200, DeadLetterSchema(many=True), headers=ORDERED_PAGING_HEADERS)
@blueprint.operation("GET_admin-dead-letters", 400, 503)
def list_letters(listing: Listing) -> Response:
    """List work that was put aside, latest first.

    These are offered segments whose deciding brought workers down, and messages of object stores
    that could not be read.
    """
    page = dead_letters.listing(ports(), listing)
    return json_response(
        [dead_letter_json(letter) for letter in page.items],
        headers=paging_headers(page, reverse_order=listing.reverse_order),
    )


@blueprint.route("/admin/dead-letters/<letter_id>")
@blueprint.response(200, DeadLetterSchema)
@blueprint.operation("GET_admin-dead-letters-letterId", 404, 503)
def get_letter(letter_id: str) -> Response:
    """Show one dead letter."""
    return json_response(dead_letter_json(dead_letters.get(ports(), letter_id)))


@blueprint.route("/admin/dead-letters/<letter_id>", methods=["DELETE"])
@blueprint.response(204, description="It is thrown away.")
@blueprint.operation("DELETE_admin-dead-letters-letterId", 404, 503)
def delete_letter(letter_id: str) -> Response:
    """Throw a dead letter away."""
    dead_letters.discard(ports(), letter_id)
    return empty_response(204)


@blueprint.route("/admin/dead-letters/<letter_id>/replay", methods=["POST"])
@blueprint.response(204, description="It is on its way again.")
@blueprint.operation("POST_admin-dead-letters-letterId-replay", 400, 404, 503)
def replay_letter(letter_id: str) -> Response:
    """Try a dead letter again, as if it had just come.

    A message that still cannot be read is 400, and stays.
    """
    dead_letters.replay(ports(), letter_id)
    return empty_response(204)
