"""A source: what one or more flows are encodings of (schema `source`).

* A source comes into being with its first flow, and takes its format, label and description.
* Which sources collect which follows from the flow collections; see `collections`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from schemas.domain.identifiers import SourceId

Tags = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True, slots=True)
class Source:
    """One source."""

    id: SourceId
    format: str
    created: datetime
    created_by: str
    updated: datetime
    updated_by: str
    label: str | None = None
    description: str | None = None
    tags: Tags | None = None

    def field(self, name: str) -> Any:  # noqa: ANN401 - JSON
        """The value of a field; None when it is not set."""
        return getattr(self, name)

    def with_field(self, name: str, value: Any) -> "Source":  # noqa: ANN401
        """This source with another value of a field; None takes the field away."""
        if value is None and self.field(name) is None:
            return self
        return replace(self, **{name: value})
