"""A profile: technical fields that flows have in common, written down once (schema `profile`).

* A profile never changes, and is never deleted: what was copied from it stays true.
* A flow that links to a profile has all of its technical fields, and none of its own.
* What else stands in `flow_metadata` stays in the profile.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from schemas.domain.errors import Invalid
from schemas.domain.identifiers import ProfileId

# The fields of a flow that a profile decides (schemas `flow-technical` and `flow-video` etc.).
TECHNICAL: Final = (
    "format",
    "codec",
    "container",
    "avg_bit_rate",
    "segment_duration",
    "container_mapping",
    "essence_parameters",
)

_MANAGED: Final = frozenset({"id", "created", "created_by"})


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile; `document` is its JSON without the fields the store manages."""

    id: ProfileId
    document: Mapping[str, Any]
    created: datetime
    created_by: str

    @property
    def label(self) -> str | None:
        """Its short name for people."""
        return self.document.get("label")

    @property
    def technical(self) -> Mapping[str, Any]:
        """The fields it gives to flows."""
        return technical(self.document["flow_metadata"])


def technical(document: Mapping[str, Any]) -> dict[str, Any]:
    """Those fields of a flow's JSON that a profile could decide."""
    return {name: document[name] for name in TECHNICAL if name in document}


def create(
    profile_id: ProfileId, document: Mapping[str, Any], *, by: str, now: datetime
) -> Profile:
    """The profile that `document` describes.

    Raises:
        Invalid: when the document names another profile.
    """
    if document["id"] != profile_id:
        raise Invalid(
            f"id {document['id']} is not the profile of the path, {profile_id}", field="id"
        )
    kept = {name: value for name, value in document.items() if name not in _MANAGED}
    return Profile(profile_id, kept, now, document.get("created_by") or by)
