"""`/flows/{flowId}/storage`: places to upload new objects to."""

from typing import Any

from flask import Response

from api.blueprint import Blueprint
from api.context import ports
from api.responses import json_response
from schemas.domain.identifiers import FlowId
from schemas.http.objects import (
    DEFAULT_ALLOCATION,
    MAX_ALLOCATION,
    StoragePostSchema,
    StorageSchema,
)
from tasks import storage

blueprint = Blueprint("MediaStorage", __name__, description="Places to upload objects to.")


@blueprint.route("/flows/<id:flow_id>/storage", methods=["POST"])
@blueprint.arguments(StoragePostSchema, required=False)
@blueprint.response(201, StorageSchema, description="Where to upload to.")
@blueprint.operation("POST_flows-flowId-storage", 400, 403, 404, 503)
def post_storage(wanted: dict[str, Any], flow_id: FlowId) -> Response:
    """Allocate storage for new objects of a flow."""
    allocated = storage.allocate(
        ports(),
        flow_id,
        limit=min(wanted.get("limit", DEFAULT_ALLOCATION), MAX_ALLOCATION),
        object_ids=wanted.get("object_ids"),
        storage_id=wanted.get("storage_id"),
        content_type=wanted.get("content_type"),
        presigned=wanted.get("presigned"),
    )
    items = [
        {
            "object_id": item.object_id,
            "put_url": {"url": item.put_url, "content-type": item.content_type},
            "presigned": item.presigned,
        }
        for item in allocated
    ]
    return json_response({"media_objects": items}, 201)
