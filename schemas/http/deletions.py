"""JSON of flow delete requests (schema `deletion-request`)."""

from typing import Any

from marshmallow import Schema, fields

from schemas.domain.deletion import Deletion
from schemas.http.errors import ErrorSchema, error_json
from schemas.http.fields import time_text


class DeletionSchema(Schema):
    """A flow delete request; documents what `deletion_json` writes."""

    id = fields.String(required=True)
    flow_id = fields.String(required=True)
    timerange_to_delete = fields.String(required=True)
    timerange_remaining = fields.String(required=True)
    delete_flow = fields.Boolean(required=True)
    created = fields.DateTime(required=True)
    created_by = fields.String(required=True)
    updated = fields.DateTime(required=True)
    expiry = fields.DateTime(metadata={"description": "When an ended request is forgotten."})
    status = fields.String(
        required=True, metadata={"enum": ["created", "started", "done", "error"]}
    )
    error = fields.Nested(ErrorSchema)


def deletion_json(deletion: Deletion) -> dict[str, Any]:
    """The JSON of a flow delete request."""
    payload: dict[str, Any] = {
        "id": deletion.id,
        "flow_id": deletion.flow_id,
        "timerange_to_delete": str(deletion.timerange),
        "timerange_remaining": str(deletion.remaining),
        "delete_flow": deletion.delete_flow,
        "created": time_text(deletion.created),
        "created_by": deletion.created_by,
        "updated": time_text(deletion.updated),
        "status": deletion.state.value,
    }
    if deletion.expiry is not None:
        payload["expiry"] = time_text(deletion.expiry)
    if deletion.fault is not None:
        fault = deletion.fault
        payload["error"] = error_json(fault.type, fault.summary, fault.time)
    return payload
