"""A source: what one or more flows are encodings of (schema `source`).

* A source comes into being with its first flow, and takes its format, label and description.
* Which sources collect which follows from the flow collections; see `collections`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

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
