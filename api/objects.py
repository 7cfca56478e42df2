"""`/objects`: the media that segments refer to."""

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


@blueprint.route("/objects/<object_id:object_id>")
@blueprint.arguments(ObjectQuerySchema, location="query")
@blueprint.response(200, ObjectSchema, headers=PAGING_HEADERS)
@blueprint.operation("GET_objects", 400, 404, 503)
def get_object(asked: tuple[Listing, TagFilter, UrlFilter], object_id: ObjectId) -> Response:
    """Describe one object and the flows that refer to it.

    The pages are of those flows. An object that is allocated but not registered does not exist yet.
    """
    listing, flow_tags, urls = asked
    item, init, users = objects.get(ports(), object_id, listing, flow_tags)
    payload = object_json(
        item,
        users.items,
        get_urls(ports(), item, urls),
        init_urls(ports(), item.init_object_id, init, urls),
    )
    return json_response(payload, headers=paging_headers(users))
