"""`/` and `/service`: what this service is and where it keeps media."""

from importlib.metadata import version
from typing import Any, Final

from flask import Response

from api.blueprint import Blueprint
from api.context import ports
from api.links import absolute
from api.paging import ORDERED_PAGING_HEADERS, paging_headers
from api.responses import json_response
from schemas.domain.query import Listing, TagFilter, page_of, position
from schemas.domain.service import ServiceInfo
from schemas.domain.timerange import NS_PER_S, format_timestamp
from schemas.http.queries import BackendQuerySchema
from schemas.http.service import (
    BackendSchema,
    ServicePostSchema,
    ServiceSchema,
    listed_backend_json,
)
from tasks import service

API_VERSION: Final = "8.2"
_PATHS: Final = ["service", "flows", "sources", "flow-delete-requests"]

blueprint = Blueprint("Service", __name__, description="This service and its storage.")


@blueprint.route("/")
@blueprint.response(200, {"type": "array", "items": {"type": "string"}}, example=_PATHS)
@blueprint.operation("GET_root")
def root() -> Response:
    """List the paths of this API."""
    return json_response(_PATHS)


@blueprint.route("/service")
@blueprint.response(200, ServiceSchema)
@blueprint.operation("GET_service", 503)
def get_service() -> Response:
    """Describe this service."""
    return json_response(_service_json(service.get(ports())))


@blueprint.route("/service", methods=["POST"])
@blueprint.arguments(ServicePostSchema)
@blueprint.response(200, ServiceSchema, description="The service as it is described now.")
@blueprint.operation("POST_service", 400, 403, 503)
def post_service(said: dict[str, str]) -> Response:
    """Name and describe this service.

    What is not given stays as it is.
    """
    return json_response(_service_json(service.update(ports(), said)))


@blueprint.route("/service/storage-backends")
@blueprint.arguments(BackendQuerySchema, location="query")
@blueprint.response(200, BackendSchema(many=True), headers=ORDERED_PAGING_HEADERS)
@blueprint.operation("GET_storage-backends", 400)
def storage_backends(query: tuple[Listing, TagFilter]) -> Response:
    """List the storage backends, by label; those that have none come after them, by id."""
    listing, tags = query
    found = [backend for backend in ports().media.backends.values() if tags(backend.tags)]
    page = page_of(found, lambda each: position(each.label or None, each.id), listing)
    return json_response(
        [listed_backend_json(backend) for backend in page.items],
        headers=paging_headers(page, reverse_order=listing.reverse_order),
    )


def _service_json(info: ServiceInfo) -> dict[str, Any]:
    limits = ports().limits
    said = {"name": info.name, "description": info.description}
    return {
        **{name: text for name, text in said.items() if text is not None},
        "type": "urn:x-tams:service.tams-server",
        "api_version": API_VERSION,
        "service_version": f"tams-server {version('tams-server')}",
        "event_stream_mechanisms": _mechanisms(),
        "min_object_timeout": format_timestamp(limits.object_timeout_s * NS_PER_S),
        "min_presigned_url_timeout": format_timestamp(limits.presigned_url_timeout_s * NS_PER_S),
    }


def _mechanisms() -> list[dict[str, Any]]:
    """How events can be had of this service (schema `event-stream-common`)."""
    docs = absolute("api-docs.openapi_swagger_ui")
    return [
        {"name": "webhooks", "docs": f"{docs}#/Webhooks/POST_webhooks"},
        {
            "name": "tams-server.server-sent-events",
            "docs": f"{docs}#/Events/GET_events",
            "config": {"url": absolute("Events.follow_events")},
        },
    ]
