"""JSON of sources (schema `source`)."""

from typing import Any

from marshmallow import Schema, fields

from schemas.domain.collections import Collections
from schemas.domain.source import Source
from schemas.http.fields import time_text


class SourceItemSchema(Schema):
    """A source that is collected."""

    id = fields.String(required=True)
    role = fields.String()


class SourceSchema(Schema):
    """A source; documents what `source_json` writes."""

    id = fields.String(required=True)
    format = fields.String(required=True)
    label = fields.String()
    description = fields.String()
    created_by = fields.String()
    updated_by = fields.String()
    created = fields.DateTime()
    updated = fields.DateTime()
    tags = fields.Dict()
    source_collection = fields.List(fields.Nested(SourceItemSchema))
    collected_by = fields.List(fields.String())


def source_json(source: Source, collections: Collections) -> dict[str, Any]:
    """The JSON of a source."""
    payload: dict[str, Any] = {
        "id": source.id,
        "format": source.format,
        "label": source.label,
        "description": source.description,
        "created_by": source.created_by,
        "updated_by": source.updated_by,
        "created": time_text(source.created),
        "updated": time_text(source.updated),
        "tags": source.tags,
        "source_collection": [
            {"id": member.id} if member.role is None else {"id": member.id, "role": member.role}
            for member in collections.source_collections.get(source.id, ())
        ]
        or None,
        "collected_by": list(collections.sources_collected_by.get(source.id, ())) or None,
    }
    return {name: value for name, value in payload.items() if value is not None}
