"""JSON of profiles (schema `profile`).

* A profile is checked here and stored as given, fields nobody knows included.
"""

from typing import Any

from marshmallow import INCLUDE, Schema, fields, validate

from schemas.domain.profile import Profile
from schemas.http.fields import FORMATS, UUID, TagsField, time_text
from schemas.http.flows import MULTI, TechnicalSchema


class ProfileMetadataSchema(TechnicalSchema):
    """The technical fields of a profile, which are those of one essence."""

    format = fields.String(
        required=True,
        validate=validate.OneOf(
            [each for each in FORMATS if each != MULTI], error="{input!r} is not one of {choices}"
        ),
    )


class ProfilePostSchema(Schema):
    """A profile as a client creates it."""

    class Meta:
        """Unknown fields are kept."""

        unknown = INCLUDE

    id = fields.String(required=True, validate=UUID)
    label = fields.String()
    description = fields.String()
    created_by = fields.String()
    tags = TagsField()
    flow_metadata = fields.Nested(ProfileMetadataSchema, required=True)


class ProfileSchema(ProfilePostSchema):
    """A profile as the store gives it; documents what `profile_json` writes."""

    created = fields.DateTime()


def profile_json(profile: Profile) -> dict[str, Any]:
    """The JSON of a profile."""
    return {
        "id": profile.id,
        **profile.document,
        "created_by": profile.created_by,
        "created": time_text(profile.created),
    }
