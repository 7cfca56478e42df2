"""`/ingest-rules`: what dropped objects mean (an extension)."""

from typing import Any

from flask import Response, url_for

from api.blueprint import Blueprint
from api.context import ports
from api.paging import PAGING_HEADERS, paging_headers
from api.responses import empty_response, json_response
from schemas.domain.ingest_rule import RuleId
from schemas.domain.query import Listing
from schemas.http.queries import RuleQuerySchema
from schemas.http.rules import (
    ForecastSchema,
    RulePostSchema,
    RuleSchema,
    RuleTestSchema,
    forecast_json,
    rule_json,
)
from tasks import ingest_rules

blueprint = Blueprint("IngestRules", __name__, description="What files dropped into a bucket mean.")

_LOCATION = {"description": "The rule.", "required": True, "schema": {"type": "string"}}


@blueprint.route("/ingest-rules")
@blueprint.arguments(RuleQuerySchema, location="query")
@blueprint.response(200, RuleSchema(many=True), headers=PAGING_HEADERS)
@blueprint.operation("GET_ingest-rules", 400, 503)
def list_rules(listing: Listing) -> Response:
    """List the ingest rules, in the order they are tried."""
    page = ingest_rules.listing(ports(), listing)
    return json_response([rule_json(rule) for rule in page.items], headers=paging_headers(page))


@blueprint.route("/ingest-rules", methods=["POST"])
@blueprint.arguments(RulePostSchema)
@blueprint.response(
    201, RuleSchema, description="The rule has been created.", headers={"Location": _LOCATION}
)
@blueprint.operation("POST_ingest-rules", 400, 503)
def post_rule(document: dict[str, Any]) -> Response:
    """Create an ingest rule.

    It holds for objects that appear from now on.
    """
    rule = ingest_rules.create(ports(), document)
    location = url_for("IngestRules.get_rule", rule_id=rule.id, _external=True)
    return json_response(rule_json(rule), 201, {"Location": location})


@blueprint.route("/ingest-rules/test", methods=["POST"])
@blueprint.arguments(RuleTestSchema)
@blueprint.response(200, ForecastSchema)
@blueprint.operation("POST_ingest-rules-test", 400, 503)
def post_test(wanted: dict[str, Any]) -> Response:
    """Say what would become of an object, without doing it.

    That is which rule applies, what each way to find the time finds or why not, and the segment.
    """
    forecast = ingest_rules.try_out(
        ports(), wanted["bucket"], wanted["key"], wanted.get("metadata", {})
    )
    return json_response(forecast_json(forecast))


@blueprint.route("/ingest-rules/<id:rule_id>")
@blueprint.response(200, RuleSchema)
@blueprint.operation("GET_ingest-rules-ruleId", 404, 503)
def get_rule(rule_id: RuleId) -> Response:
    """Describe one ingest rule."""
    return json_response(rule_json(ingest_rules.get(ports(), rule_id)))


@blueprint.route("/ingest-rules/<id:rule_id>", methods=["PUT"])
@blueprint.arguments(RulePostSchema)
@blueprint.response(200, RuleSchema, description="The rule has been replaced.")
@blueprint.operation("PUT_ingest-rules-ruleId", 400, 404, 503)
def put_rule(document: dict[str, Any], rule_id: RuleId) -> Response:
    """Replace an ingest rule."""
    return json_response(rule_json(ingest_rules.change(ports(), rule_id, document)))


@blueprint.route("/ingest-rules/<id:rule_id>", methods=["DELETE"])
@blueprint.response(204, description="The rule is deleted; the segments it made stay.")
@blueprint.operation("DELETE_ingest-rules-ruleId", 404, 503)
def delete_rule(rule_id: RuleId) -> Response:
    """Delete an ingest rule."""
    ingest_rules.delete(ports(), rule_id)
    return empty_response(204)
