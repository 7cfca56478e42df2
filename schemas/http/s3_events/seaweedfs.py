"""Events of SeaweedFS's filer, as its webhook sends them.

* The filer tells of every change to its tree: directories, parts of multipart uploads and its
  own system files too. Only files of a bucket matter.
* Moving a file within the filer is one event: a file went and another came.
"""

from base64 import b64decode
from typing import Final

from schemas.domain.ingest import BucketEvent, Notification
from schemas.http.s3_events.part import Part, checked_key, time_of_ns

_BUCKETS: Final = "/buckets/"
_COMES: Final = frozenset({"create", "update", "rename"})
_GOES: Final = frozenset({"delete", "rename"})
_NS_PER_S: Final = 1_000_000_000


def from_filer(event: Part) -> list[Notification]:
    """The files of a bucket that `event` tells of: none, one, or the two of a move."""
    kind, path, change = event.text("event_type"), event.text("key"), event.within("message")
    old, new = change.within("old_entry"), change.within("new_entry")
    found = []
    if kind in _GOES and old.fields:
        found.append(_notification(path, old, BucketEvent.REMOVED))
    if kind in _COMES and new.fields:
        found.append(_notification(_moved(kind, path, change, new), new, BucketEvent.CREATED))
    return [notification for notification in found if notification is not None]


def _moved(kind: str, path: str, change: Part, new: Part) -> str:
    """Where the file is now: after a rename that is the new parent and the new name."""
    parent, name = change.maybe_text("new_parent_path"), new.maybe_text("name")
    return f"{parent}/{name}" if kind == "rename" and parent and name else path


def _notification(path: str, entry: Part, event: BucketEvent) -> Notification | None:
    """What happened to the file at `path`; None if it is none of a bucket."""
    if entry.fields.get("is_directory") or not path.startswith(_BUCKETS):
        return None
    bucket, _, key = path[len(_BUCKETS) :].partition("/")
    if not key or any(part.startswith(".") for part in (bucket, *key.split("/")[:1])):
        return None
    attributes = entry.within("attributes")
    changed_ns = (attributes.count("mtime") or 0) * _NS_PER_S + (attributes.count("mtime_ns") or 0)
    chunks_ns = [chunk.count("modified_ts_ns") or 0 for chunk in entry.several("chunks")]
    return Notification(
        bucket,
        checked_key(key),
        "seaweedfs",
        event,
        size=attributes.count("file_size"),
        etag=_etag(entry),
        time=time_of_ns(max(changed_ns, *chunks_ns, 0)),
    )


def _etag(entry: Part) -> str | None:
    """The etag that the gateway to S3 gave the file; None if it came another way."""
    extended = entry.within("extended")
    text = extended.maybe_text("Seaweed-X-Amz-ETag")
    if text is None:
        return None
    try:
        return b64decode(text, validate=True).decode("ascii")
    except ValueError as error:
        raise extended.fault("Seaweed-X-Amz-ETag", "is not text in base64") from error
