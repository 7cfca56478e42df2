"""Events of AWS S3 by way of EventBridge: keys are not encoded, names are lower-case."""

from typing import Final

from schemas.domain.ingest import BucketEvent, Notification
from schemas.http.s3_events.part import Part, checked_key

# They are the same events, whichever way they come: one that comes both ways is one.
_ORIGIN: Final = "aws:s3"
_EVENTS: Final = {
    "Object Created": BucketEvent.CREATED,
    "Object Deleted": BucketEvent.REMOVED,
}


def from_eventbridge(message: Part) -> list[Notification]:
    """The object `message` tells of, if one came or went."""
    event = _EVENTS.get(message.text("detail-type"))
    if event is None:
        return []
    detail = message.within("detail")
    found = detail.within("object")
    return [
        Notification(
            detail.within("bucket").text("name"),
            checked_key(found.text("key")),
            _ORIGIN,
            event,
            size=found.count("size"),
            etag=found.maybe_text("etag"),
            version_id=found.version("version-id"),
            sequencer=found.maybe_text("sequencer"),
            time=message.time("time"),
        )
    ]
