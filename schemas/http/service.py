"""JSON of the service itself (schemas `service` and `storage-backends-list`)."""

from typing import Any

from marshmallow import EXCLUDE, Schema, fields

from schemas.domain.storage import StorageBackend
from schemas.http.objects import backend_json


class MechanismSchema(Schema):
    """A way to have events of this service."""

    name = fields.String(required=True)
    docs = fields.String()
    config = fields.Dict()


class ServiceSchema(Schema):
    """What this service is."""

    name = fields.String()
    description = fields.String()
    type = fields.String(required=True)
    api_version = fields.String(required=True)
    service_version = fields.String()
    event_stream_mechanisms = fields.List(fields.Nested(MechanismSchema))
    min_object_timeout = fields.String(required=True)
    min_presigned_url_timeout = fields.String()


class ServicePostSchema(Schema):
    """What can be said of this service."""

    class Meta:
        """Fields it does not know say nothing."""

        unknown = EXCLUDE

    name = fields.String()
    description = fields.String()


class BackendSchema(Schema):
    """A storage backend."""

    id = fields.String(required=True)
    label = fields.String()
    store_type = fields.String(required=True)
    provider = fields.String(required=True)
    region = fields.String()
    availability_zone = fields.String()
    store_product = fields.String(required=True)
    default_storage = fields.Boolean()
    tags = fields.Dict()


def listed_backend_json(backend: StorageBackend) -> dict[str, Any]:
    """The JSON of a backend in the list of them."""
    label = {"label": backend.label} if backend.label else {}
    return {
        "id": backend.id,
        **label,
        "default_storage": backend.default,
        **backend_json(backend),
    }
