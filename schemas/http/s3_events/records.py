"""`Records`, the form of AWS S3 that many stores speak, each a little differently.

* `eventSource` says who speaks. AWS and MinIO encode keys like the fields of a form; of the
  others it is not known.
* Ceph writes its sequencer as the bytes of two numbers in the order of its machine.
* MinIO puts records into lists of a Redis as its access log.
"""

from datetime import datetime
from typing import Final

from schemas.domain.errors import Invalid
from schemas.domain.ingest import BucketEvent, Notification
from schemas.http.s3_events.part import Part, checked_key, decoded_key, parts

_ENCODES: Final = frozenset({"aws:s3", "minio:s3"})
_EVENTS: Final = {
    "ObjectCreated": BucketEvent.CREATED,
    "ObjectRemoved": BucketEvent.REMOVED,
    "LifecycleExpiration": BucketEvent.REMOVED,
}
_DAY_S: Final = 86_400


def from_records(message: Part) -> list[Notification]:
    """What the `Records` of `message` tell of."""
    return _notifications(message.several("Records"))


def from_access_log(entries: list[object]) -> list[Notification]:
    """What an entry of MinIO's access log tells of.

    That is `[time, [record, ...]]`, or `[{"EventTime": time, "Event": [record, ...]}, ...]`.
    """
    match entries:
        case [str(), list(records)]:
            return _notifications(parts(records, "[1]"))
        case [{"Event": _}, *_]:
            return [
                notification
                for entry in parts(entries, "")
                for notification in _notifications(entry.several("Event"))
            ]
    raise Invalid("the message is a list, but not one of MinIO's access log")


def _notifications(records: list[Part]) -> list[Notification]:
    found = (_notification(record) for record in records)
    return [notification for notification in found if notification is not None]


def _notification(record: Part) -> Notification | None:
    """What `record` tells of; None if an object neither came nor went."""
    kind, _, _ = record.text("eventName").removeprefix("s3:").partition(":")
    event = _EVENTS.get(kind)
    if event is None:
        return None
    origin = record.text("eventSource")
    time = record.time("eventTime")
    s3 = record.within("s3")
    found = s3.within("object")
    key, other = _keys(found.text("key"), encoded=origin in _ENCODES)
    sequencer = found.maybe_text("sequencer")
    return Notification(
        s3.within("bucket").text("name"),
        key,
        origin,
        event,
        size=found.count("size"),
        etag=found.maybe_text("eTag"),
        version_id=found.version("versionId"),
        sequencer=_of_ceph(sequencer, time) if origin == "ceph:s3" else sequencer,
        time=time,
        decoded_key=other,
    )


def _keys(text: str, *, encoded: bool) -> tuple[str, str | None]:
    """The key that `text` is, and what it may be instead."""
    if encoded:
        return decoded_key(text), None
    try:
        other = decoded_key(text)
    except Invalid:
        return checked_key(text), None  # it is not encoded, then
    return checked_key(text), other if other != text else None


def _of_ceph(sequencer: str | None, time: datetime | None) -> str | None:
    """A sequencer of Ceph that can be compared; None if it cannot be made one.

    It is the memory of two 32-bit numbers, seconds and nanoseconds. Which way round they stand
    shows in the seconds: they are about those of the event.
    """
    if sequencer is None or time is None:
        return None
    try:
        memory = bytes.fromhex(sequencer)
    except ValueError:
        return None
    for order in ("little", "big"):
        seconds = int.from_bytes(memory[:4], order)
        if len(memory) == 8 and abs(seconds - time.timestamp()) < _DAY_S:  # noqa: PLR2004 - two numbers of 4 bytes
            return f"{seconds:08X}{int.from_bytes(memory[4:], order):08X}"
    return None
