"""JSON of dead letters (an extension to TAMS)."""

from typing import Any

from marshmallow import Schema, fields

from schemas.domain.dead_letter import DeadLetter
from schemas.http.fields import time_text


class DeadLetterSchema(Schema):
    """Work that was put aside; documents what `dead_letter_json` writes."""

    id = fields.String(required=True)
    kind = fields.String(required=True, metadata={"enum": ["segments", "notification"]})
    reason = fields.String(required=True)
    time = fields.DateTime(required=True)
    about = fields.Dict(
        required=True, metadata={"description": "The flow and job, or where a message came from."}
    )
    content = fields.String(
        required=True, metadata={"description": "The offered segments as queued, or the message."}
    )


def dead_letter_json(letter: DeadLetter) -> dict[str, Any]:
    """The JSON of a dead letter."""
    return {
        "id": letter.id,
        "kind": letter.kind,
        "reason": letter.reason,
        "time": time_text(letter.time),
        "about": dict(letter.about),
        "content": letter.content,
    }
