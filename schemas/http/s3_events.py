"""Bucket notifications of each dialect -> the normal form.

* SeaweedFS's filer tells of every change to its tree: directories, parts of multipart uploads
  and its own system files too. Only files of a bucket that came to be, or changed, matter.
"""

from collections.abc import Mapping
from typing import Any, Final

from schemas.domain.errors import Invalid
from schemas.domain.ingest import Notification

_BUCKETS: Final = "/buckets/"
_CAME_TO_BE: Final = frozenset({"create", "update", "rename"})


def from_seaweedfs(event: object) -> list[Notification]:
    """The objects a filer webhook event tells of: one or none.

    Raises:
        Invalid: when `event` is not of the form SeaweedFS sends.
    """
    if not isinstance(event, Mapping) or not isinstance(event.get("key"), str):
        raise Invalid("not a SeaweedFS filer event: it has no key", field="key")
    entry = (event.get("message") or {}).get("new_entry")
    if event.get("event_type") not in _CAME_TO_BE or not entry or entry.get("is_directory"):
        return []
    path = _path(event, entry)
    if not path.startswith(_BUCKETS):
        return []
    bucket, _, key = path[len(_BUCKETS) :].partition("/")
    if not key or any(part.startswith(".") for part in (bucket, *key.split("/")[:1])):
        return []
    return [Notification(bucket, key, "seaweedfs")]


def _path(event: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    """Where the file is now; after a rename that is the new parent and the new name."""
    parent = event["message"].get("new_parent_path")
    if event["event_type"] == "rename" and parent and entry.get("name"):
        return f"{parent}/{entry['name']}"
    return str(event["key"])
