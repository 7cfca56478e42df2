"""`/service/profiles`: technical fields of flows, written down once."""

from typing import Any, Final

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

_GIVEN: Final = {
    "id": "7c1d0a52-3f0e-4b53-9c5d-0e8f6a1b2c3d",
    "label": "Interview audio",
    "description": "48 kHz stereo, for the archive",
    "tags": {"department": ["news", "archive"]},
    "flow_metadata": {
        "format": "urn:x-nmos:format:audio",
        "codec": "audio/aac",
        "container": "video/mp2t",
        "avg_bit_rate": 128,
        "segment_duration": {"numerator": 4},
        "essence_parameters": {"sample_rate": 48000, "channels": 2},
    },
}
_KEPT: Final = {**_GIVEN, "created_by": "anonymous", "created": "2026-02-03T10:20:30.405060Z"}


@blueprint.route("/service/profiles")
@blueprint.arguments(ProfileQuerySchema, location="query")
@blueprint.response(200, ProfileSchema(many=True), headers=PAGING_HEADERS, example=[_KEPT])
@blueprint.operation("GET_profiles", 400, 503)
def list_profiles(query: ProfileQuery) -> Response:
    """List profiles, the latest first."""
    page = profiles.listing(ports(), query)
    return json_response([profile_json(each) for each in page.items], headers=paging_headers(page))


@blueprint.route("/service/profiles/<id:profile_id>")
@blueprint.response(200, ProfileSchema, example=_KEPT)
@blueprint.operation("GET_profiles-profileId", 404, 503)
def get_profile(profile_id: ProfileId) -> Response:
    """Describe one profile."""
    return json_response(profile_json(profiles.get(ports(), profile_id)))


@blueprint.route("/service/profiles/<id:profile_id>", methods=["POST"])
@blueprint.arguments(ProfilePostSchema, example=_GIVEN)
@blueprint.response(201, ProfileSchema, description="The profile has been created.", example=_KEPT)
@blueprint.operation("POST_profiles-profileId", 400, 404, 503)
def post_profile(document: dict[str, Any], profile_id: ProfileId) -> Response:
    """Create a profile.

    A profile never changes: one that exists is 400. What another needs is another profile.
    """
    profile = profiles.create(ports(), profile_id, document, by=PRINCIPAL)
    return json_response(profile_json(profile), 201)
