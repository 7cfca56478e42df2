"""JSON of objects and of what is needed to store one (schemas `object`, `flow-storage`)."""

from collections.abc import Sequence
from typing import Any

from marshmallow import INCLUDE, Schema, ValidationError, fields, validate, validates_schema

from schemas.domain.identifiers import FlowId
from schemas.domain.media_object import MediaObject
from schemas.domain.storage import StorageBackend
from schemas.http.fields import MIME_TYPE, UUID, WEB_URL, StrictBoolean, StrictInteger
from schemas.http.segments import GetUrlSchema

MAX_ALLOCATION = 1_000
DEFAULT_ALLOCATION = 10


class StoragePostSchema(Schema):
    """A request for storage."""

    class Meta:
        """Unknown fields are ignored."""

        unknown = INCLUDE

    body_optional = True

    limit = StrictInteger(validate=validate.Range(min=1))
    object_ids = fields.List(
        fields.String(validate=validate.Length(min=1)),
        validate=validate.Length(min=1, max=MAX_ALLOCATION),
    )
    storage_id = fields.String(validate=UUID)
    content_type = fields.String(validate=MIME_TYPE)
    presigned = StrictBoolean()

    @validates_schema(skip_on_field_errors=True)
    def one_way(self, data: dict[str, Any], **_: Any) -> None:
        """Either a number of objects or their ids."""
        if "limit" in data and "object_ids" in data:
            raise ValidationError("Must not be given together with object_ids.", "limit")


class InstanceSchema(Schema):
    """A further instance of an object: a copy in a storage backend, or a URL held elsewhere."""

    class Meta:
        """Unknown fields are ignored."""

        unknown = INCLUDE

    storage_id = fields.String(validate=UUID)
    url = fields.String(validate=WEB_URL)
    label = fields.String(validate=validate.Length(min=1))

    @validates_schema(skip_on_field_errors=True)
    def one_kind(self, data: dict[str, Any], **_: Any) -> None:
        """Either a storage backend, or a URL with its label."""
        if "storage_id" in data:
            for name in ("url", "label"):
                if name in data:
                    raise ValidationError("Must not be given together with storage_id.", name)
            return
        for name in ("url", "label"):
            if name not in data:
                raise ValidationError("Must be set unless storage_id is.", name)


class PutUrlSchema(Schema):
    """A request to make in order to upload (schema `http-request`)."""

    url = fields.String(required=True)
    content_type = fields.String(data_key="content-type")


class StorageItemSchema(Schema):
    """One object to upload."""

    object_id = fields.String(required=True)
    put_url = fields.Nested(PutUrlSchema, required=True)
    presigned = fields.Boolean()


class StorageSchema(Schema):
    """Objects to upload."""

    media_objects = fields.List(fields.Nested(StorageItemSchema))


class ObjectInitSchema(Schema):
    """The init segment an object needs to be decoded."""

    id = fields.String(required=True)
    get_urls = fields.List(fields.Nested(GetUrlSchema))


class ObjectSchema(Schema):
    """An object; documents what `object_json` writes."""

    id = fields.String(required=True)
    referenced_by_flows = fields.List(fields.String(), required=True)
    first_referenced_by_flow = fields.String()
    timerange = fields.String()
    key_frame_count = fields.Integer()
    init_object = fields.Nested(ObjectInitSchema)
    get_urls = fields.List(fields.Nested(GetUrlSchema))


def object_json(
    item: MediaObject,
    users: Sequence[FlowId],
    urls: Sequence[dict[str, Any]],
    init: tuple[str, Sequence[dict[str, Any]]] | None,
) -> dict[str, Any]:
    """The JSON of an object that `users` refer to."""
    payload: dict[str, Any] = {"id": item.id, "referenced_by_flows": users, "get_urls": urls}
    if item.first_flow is not None:
        payload["first_referenced_by_flow"] = item.first_flow
    if item.timerange is not None:
        payload["timerange"] = str(item.timerange)
    if item.key_frame_count is not None:
        payload["key_frame_count"] = item.key_frame_count
    if init is not None:
        payload["init_object"] = {"id": init[0], "get_urls": init[1]}
    return payload


def backend_json(backend: StorageBackend) -> dict[str, Any]:
    """What the schemas `storage-backends-list` and `storage-backend` say of a backend."""
    payload: dict[str, Any] = {
        "store_type": "http_object_store",
        "provider": backend.provider,
        "region": backend.region,
        "store_product": backend.product,
    }
    if backend.availability_zone is not None:
        payload["availability_zone"] = backend.availability_zone
    if backend.tags:
        payload["tags"] = dict(backend.tags)
    return payload
