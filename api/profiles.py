"""`/service/profiles`: technical fields of flows, written down once."""

from typing import Any

from flask import Response

from api.blueprint import Blueprint
from api.context import PRINCIPAL, ports
from api.paging import PAGING_HEADERS, paging_headers
from api.responses import json_response
from schemas.domain.identifiers import ProfileId
from schemas.domain.query import ProfileQuery
from schemas.http.profiles import ProfilePostSchema, ProfileSchema, profile_json
from schemas.http.queries import ProfileQuerySchema
from tasks import profiles

blueprint = Blueprint("Profiles", __name__, description="Technical fields that flows share.")


@blueprint.route("/service/profiles")
@blueprint.arguments(ProfileQuerySchema, location="query")
@blueprint.response(200, ProfileSchema(many=True), headers=PAGING_HEADERS)
@blueprint.operation("GET_profiles", 400, 503)
def list_profiles(query: ProfileQuery) -> Response:
    """List profiles, the latest first."""
    page = profiles.listing(ports(), query)
    return json_response([profile_json(each) for each in page.items], headers=paging_headers(page))


@blueprint.route("/service/profiles/<id:profile_id>")
@blueprint.response(200, ProfileSchema)
@blueprint.operation("GET_profiles-profileId", 404, 503)
def get_profile(profile_id: ProfileId) -> Response:
    """Describe one profile."""
    return json_response(profile_json(profiles.get(ports(), profile_id)))


@blueprint.route("/service/profiles/<id:profile_id>", methods=["POST"])
@blueprint.arguments(ProfilePostSchema)
@blueprint.response(201, ProfileSchema, description="The profile has been created.")
@blueprint.operation("POST_profiles-profileId", 400, 404, 503)
def post_profile(document: dict[str, Any], profile_id: ProfileId) -> Response:
    """Create a profile.

    A profile never changes: one that exists is 400. What another needs is another profile.
    """
    profile = profiles.create(ports(), profile_id, document, by=PRINCIPAL)
    return json_response(profile_json(profile), 201)
