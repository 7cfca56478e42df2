"""`/objects`: the media that segments refer to."""

from typing import Any

from flask import Response

from api.blueprint import Blueprint
from api.context import ports
from api.paging import PAGING_HEADERS, paging_headers
from api.preferences import ASYNC_HEADERS, goes_on, preferences
from api.responses import empty_response, json_response
from schemas.domain.identifiers import ObjectId, StorageId
from schemas.domain.query import Listing, TagFilter
from schemas.domain.segment import Link
from schemas.domain.storage import UrlFilter
from schemas.http.jobs import JobSchema
from schemas.http.objects import InstanceSchema, ObjectSchema, object_json
from schemas.http.queries import InstanceDeletionSchema, ObjectQuerySchema
from tasks import objects
from tasks.urls import UrlWriter

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
    write, init_id = UrlWriter(ports(), urls), item.init_object_id
    init_urls = None if init_id is None else (init_id, write.of(init))
    payload = object_json(item, users.items, write.of(item), init_urls)
    return json_response(payload, headers=paging_headers(users))


@blueprint.route("/objects/<object_id:object_id>/instances", methods=["POST"])
@blueprint.arguments(InstanceSchema)
@blueprint.response(201, description="The instance is there, or will be once it is copied.")
@blueprint.alt_response(
    202, schema=JobSchema, description="It is being copied.", headers=ASYNC_HEADERS
)
@blueprint.preferring
@blueprint.operation("POST_objects-instances", 400, 403, 404, 503)
def post_instance(wanted: dict[str, str], object_id: ObjectId) -> Response:
    """Add an instance to an object: a copy in a storage backend, or a URL held elsewhere.

    A copy is made by a worker and shown once it is complete. With `Prefer: respond-async`, or
    `wait=N` when that time is over, the answer is 202 with the `Location` of a job to follow.
    Nothing is done to the init object.
    """
    if "storage_id" not in wanted:
        objects.add_link(ports(), object_id, Link(wanted["label"], wanted["url"]))
        return empty_response(201)
    preferred = preferences()
    job = objects.request_copy(ports(), object_id, StorageId(wanted["storage_id"]))
    job = objects.outcome(ports(), job, preferred.patience_s(ports().limits.async_after_s))
    return goes_on(job, preferred) if preferred and not job.ended else empty_response(201)


@blueprint.route("/objects/<object_id:object_id>/instances", methods=["DELETE"])
@blueprint.arguments(InstanceDeletionSchema, location="query")
@blueprint.response(204, description="The instance is deleted.")
@blueprint.operation("DELETE_objects-instances", 400, 403, 404, 503)
def delete_instance(asked: dict[str, Any], object_id: ObjectId) -> Response:
    """Delete an instance of an object, other than the last one.

    Nothing is done to the init object.
    """
    objects.remove_instance(ports(), object_id, asked.get("storage_id"), asked.get("label"))
    return empty_response(204)
