"""Dropped objects that are no segments themselves, or not yet.

* An init segment is kept in mind for the media in its directory that need one.
* A playlist is kept in mind for the segments it names, which may come before it or after it.
* Media that wait for one of these are listed, and tried again when it comes.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """What was seen."""

    INIT = "init"
    PLAYLIST = "playlist"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Sighting:
    """One such object; `reason` says what it waits for, if it does."""

    bucket: str
    key: str
    etag: str
    kind: Kind
    directory: str
    rule_id: str
    modified: datetime
    seen: datetime
    reason: str | None = None


def directory_of(key: str) -> str:
    """The path of `key` up to its last slash."""
    return key.rpartition("/")[0]
