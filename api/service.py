"""`/` and `/service`: what this service is and where it keeps media."""

from importlib.metadata import version
from typing import Final

from flask import Response

from api.blueprint import Blueprint
from api.context import ports
from api.paging import ORDERED_PAGING_HEADERS, paging_headers
from api.responses import json_response
from schemas.domain.query import Listing, TagFilter, page_of
from schemas.domain.timerange import NS_PER_S, format_timestamp
from schemas.http.queries import BackendQuerySchema
from schemas.http.service import BackendSchema, ServiceSchema, listed_backend_json

API_VERSION: Final = "8.2"

blueprint = Blueprint("Service", __name__, description="This service and its storage.")


@blueprint.route("/")
@blueprint.response(
    200, {"type": "array", "items": {"type": "string"}}, example=["service", "flows", "sources"]
)
@blueprint.operation("GET_root")
def root() -> Response:
    """List the paths of this API."""
    return json_response(["service", "flows", "sources"])


@blueprint.route("/service")
@blueprint.response(200, ServiceSchema)
@blueprint.operation("GET_service")
def service() -> Response:
    """Describe this service."""
    limits = ports().limits
    return json_response(
        {
            "type": "urn:x-tams:service.tams-server",
            "api_version": API_VERSION,
            "service_version": f"tams-server {version('tams-server')}",
            "min_object_timeout": format_timestamp(limits.object_timeout_s * NS_PER_S),
            "min_presigned_url_timeout": format_timestamp(
                limits.presigned_url_timeout_s * NS_PER_S
            ),
        }
    )


@blueprint.route("/service/storage-backends")
@blueprint.arguments(BackendQuerySchema, location="query")
@blueprint.response(200, BackendSchema(many=True), headers=ORDERED_PAGING_HEADERS)
@blueprint.operation("GET_storage-backends", 400)
def storage_backends(query: tuple[Listing, TagFilter]) -> Response:
    """List the storage backends, by label."""
    listing, tags = query
    found = [backend for backend in ports().media.backends.values() if tags(backend.tags)]
    page = page_of(found, lambda backend: (0, backend.label, backend.id), listing)
    return json_response(
        [listed_backend_json(backend) for backend in page.items],
        headers=paging_headers(page, reverse_order=listing.reverse_order),
    )
