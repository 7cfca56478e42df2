"""`/objects`: the media that segments refer to."""

from typing import Any

from flask import Response

from api.blueprint import Blueprint
from api.context import ports
from api.paging import PAGING_HEADERS, paging_headers
from api.responses import json_response
from api.urls import get_urls, init_urls
from schemas.domain.identifiers import ObjectId
from schemas.domain.query import Listing, TagFilter
from schemas.domain.storage import UrlFilter
from schemas.http.objects import ObjectSchema, object_json
from schemas.http.queries import ObjectQuerySchema
from tasks import objects

blueprint = Blueprint("Objects", __name__, description="The media that segments refer to.")

_HEADERS: dict[str, Any] = {
    name: PAGING_HEADERS[name] for name in ("Link", "X-Paging-Limit", "X-Paging-NextKey")
}


@blueprint.route("/objects/<path:object_id>")
@blueprint.arguments(ObjectQuerySchema, location="query")
@blueprint.response(200, ObjectSchema, headers=_HEADERS)
def get_object(asked: tuple[Listing, TagFilter, UrlFilter], object_id: ObjectId) -> Response:
    """Describe one object and the flows that refer to it."""
    listing, flow_tags, urls = asked
    item, init, users = objects.get(ports(), object_id, listing, flow_tags)
    payload = object_json(
        item,
        users.items,
        get_urls(ports(), item, urls),
        init_urls(ports(), item.init_object_id, init, urls),
    )
    return json_response(payload, headers=paging_headers(users))
