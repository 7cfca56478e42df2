"""A source: what one or more flows are encodings of (schema `source`).

* A source comes into being with its first flow, and takes its format, label and description.
* Which sources collect which follows from the flow collections; see `collections`.
* Flows of a source that come at once need not wait for each other. So the name of a source has
  parts: who brings it into being, or has a flow leave it, claims the name; a flow that joins
  claims one part; who ends it claims the name and all parts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from zlib import crc32

from schemas.domain.identifiers import FlowId, SourceId

_PARTS: Final = 16

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


def name_of(source_id: SourceId) -> str:
    """What to claim to bring a source into being, or to have a flow leave it."""
    return f"source/{source_id}"


def part_for(flow_id: FlowId, source_id: SourceId) -> str:
    """What to claim to have a flow join a source that is there."""
    return _part(source_id, crc32(flow_id.encode()) % _PARTS)


def parts_of(source_id: SourceId) -> frozenset[str]:
    """What to claim besides the name to end a source, so that no flow joins it meanwhile."""
    return frozenset(_part(source_id, number) for number in range(_PARTS))


def _part(source_id: SourceId, number: int) -> str:
    return f"{name_of(source_id)}/{number}"
