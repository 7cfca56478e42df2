"""What an object that appeared in a bucket means.

* Flow and time come from its user metadata (`tams-flow-id`, `tams-timerange`, and optionally
  `tams-object-timerange` and `tams-ts-offset`), or else from the key template of its place.
* A time that neither gives comes from the media itself.
* What cannot be interpreted is a `Problem` with its reason; it is kept and listed.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Final, TypeVar

from schemas.domain.errors import Invalid
from schemas.domain.identifiers import FlowId, ObjectId, StorageId, parse_uuid
from schemas.domain.segment import Dropped, Offer, Segment
from schemas.domain.timerange import TimeRange, parse_timestamp

T = TypeVar("T")

UNITS: Final[Mapping[str, int]] = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}


class BucketEvent(StrEnum):
    """What happened to an object, as far as it matters here."""

    CREATED = "created"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Notification:
    """Something happened to an object, in the form every dialect of notification is brought to.

    `key` is as the sender wrote it, unless its dialect says how keys are encoded; if it does not
    and `key` can be read as encoded, `decoded_key` is what it would be then. `etag` tells
    versions apart and is no checksum. `sequencer` orders the events of one key, in hexadecimal.
    """

    bucket: str
    key: str
    origin: str
    event: BucketEvent = BucketEvent.CREATED
    size: int | None = None
    etag: str | None = None
    version_id: str | None = None
    sequencer: str | None = None
    time: datetime | None = None
    decoded_key: str | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys the object may have, the likeliest first."""
        return (self.key,) if self.decoded_key is None else (self.key, self.decoded_key)

    @property
    def identity(self) -> str | None:
        """What repeated deliveries have in common; None if they cannot be told apart from news.

        The version where there is one, else the etag and the sequencer, or in its place the time.
        """
        if self.version_id is not None:
            return f"{self.event} {self.version_id}"
        if self.sequencer is not None:
            return f"{self.event} {self.etag} {self.sequencer}"
        if self.time is not None:
            return f"{self.event} {self.etag} {self.time.isoformat()}"
        return None


@dataclass(frozen=True, slots=True)
class Handled:
    """What is remembered of the last notification that was acted upon, for one key."""

    origin: str
    identity: str | None
    sequencer: str | None

    def covers(self, notification: Notification) -> bool:
        """Whether `notification` is this one again, or of something that happened before it."""
        if self.identity is not None and notification.identity == self.identity:
            return True
        if self.origin != notification.origin or not (self.sequencer and notification.sequencer):
            return False
        width = max(len(self.sequencer), len(notification.sequencer))
        return notification.sequencer.rjust(width, "0") < self.sequencer.rjust(width, "0")

    @classmethod
    def after(cls, notification: Notification) -> "Handled":
        """What to remember once `notification` was acted upon."""
        return cls(notification.origin, notification.identity, notification.sequencer)


@dataclass(frozen=True, slots=True)
class Appeared:
    """What the object store says of an object that appeared; metadata names in lower case."""

    storage_id: StorageId
    bucket: str
    key: str
    etag: str
    size: int
    content_type: str | None
    metadata: Mapping[str, str]
    modified: datetime


@dataclass(frozen=True, slots=True)
class KeyTemplate:
    """How keys below `prefix` of `bucket` name a flow and a time.

    `pattern` matches the whole key after the prefix. Its named groups are `flow` (a UUID) and,
    as decimal numbers counted in `unit`, `start` and either `end` or `duration`.

    Raises:
        ValueError: from the constructor, when pattern or unit cannot be used.
    """

    bucket: str
    prefix: str
    pattern: str
    unit: str = "s"

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"unit {self.unit!r} is not one of {', '.join(UNITS)}")
        try:
            groups = re.compile(self.pattern).groupindex
        except re.error as error:
            raise ValueError(f"pattern {self.pattern!r}: {error}") from error
        if "flow" not in groups:
            raise ValueError(f"pattern {self.pattern!r} has no group named flow")
        if unknown := set(groups) - {"flow", "start", "end", "duration"}:
            raise ValueError(f"pattern {self.pattern!r} has unknown groups {sorted(unknown)}")

    def match(self, appeared: Appeared) -> Mapping[str, str] | None:
        """The groups found in the key of `appeared`; None if it is not one of these keys."""
        if appeared.bucket != self.bucket or not appeared.key.startswith(self.prefix):
            return None
        found = re.fullmatch(self.pattern, appeared.key[len(self.prefix) :])
        if found is None:
            return None
        return {name: text for name, text in found.groupdict().items() if text is not None}


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an object belongs, as far as its metadata and key say it.

    A `timerange` is complete; without one the media must be measured, and is placed to begin at
    `start_ns`, or where `ts_offset_ns` puts it, or where its own timestamps are.
    """

    flow_id: FlowId
    timerange: TimeRange | None = None
    start_ns: int | None = None
    object_timerange: TimeRange | None = None
    ts_offset_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What the media itself says of its time; nanoseconds on the object's own timeline.

    `sample_count` counts video frames or audio samples; `last_duration_ns` is that of the
    last of them; `key_frame_count` is 0 for audio.
    """

    start_ns: int
    end_ns: int
    last_duration_ns: int
    sample_count: int
    key_frame_count: int

    @property
    def timerange(self) -> TimeRange:
        """From the first sample up to the end of the last."""
        return TimeRange.half_open(self.start_ns, self.end_ns)


@dataclass(frozen=True, slots=True)
class Problem:
    """An object in a bucket that did not become a segment, and why."""

    bucket: str
    key: str
    etag: str
    reason: str
    seen: datetime


def place(appeared: Appeared, templates: Iterable[KeyTemplate]) -> Placement:
    """Where `appeared` belongs.

    Raises:
        Invalid: with the reason it cannot be told.
    """
    metadata = appeared.metadata
    matches = ((template, template.match(appeared)) for template in templates)
    template, groups = next(((t, g) for t, g in matches if g is not None), (None, {}))
    flow_id = metadata.get("tams-flow-id") or groups.get("flow")
    if flow_id is None:
        raise Invalid(
            "no flow: the object has no tams-flow-id metadata and its key matches no template"
        )
    placement = Placement(
        FlowId(parse_uuid(flow_id.lower(), field="tams-flow-id")),
        timerange=_read(metadata, "tams-timerange", TimeRange.parse),
        object_timerange=_read(metadata, "tams-object-timerange", TimeRange.parse),
        ts_offset_ns=_read(metadata, "tams-ts-offset", parse_timestamp),
    )
    if placement.timerange is None and template is not None:
        return _with_time_of_key(placement, groups, UNITS[template.unit])
    return placement


def offer(appeared: Appeared, placement: Placement, measured: Measured | None) -> Offer:
    """The segment that `appeared` is, `measured` if its placement lacks a timerange.

    Raises:
        Invalid: when the times contradict each other.
    """
    timerange, offset = placement.timerange, placement.ts_offset_ns or 0
    object_timerange, last_duration, key_frames = placement.object_timerange, None, None
    if measured is not None:
        object_timerange = object_timerange or measured.timerange
        last_duration, key_frames = measured.last_duration_ns, measured.key_frame_count
        if timerange is None:
            if placement.start_ns is not None:
                offset = placement.start_ns - object_timerange.start_ns
            timerange = object_timerange.shifted(offset)
    if timerange is None:
        raise Invalid("no timerange: neither metadata nor key gives one")
    dropped = Dropped(
        appeared.storage_id, appeared.bucket, appeared.key, appeared.etag, appeared.content_type
    )
    segment = Segment(
        placement.flow_id,
        ObjectId(appeared.key),
        timerange,
        ts_offset_ns=offset,
        last_duration_ns=last_duration,
    )
    return Offer(
        segment, object_timerange=object_timerange, key_frame_count=key_frames, dropped=dropped
    )


def _with_time_of_key(placement: Placement, groups: Mapping[str, str], unit: int) -> Placement:
    start, end, duration = (_count(groups, name, unit) for name in ("start", "end", "duration"))
    if start is None:
        return placement
    if end is None and duration is not None:
        end = start + duration
    if end is None:
        return replace(placement, start_ns=start)
    if end <= start:
        raise Invalid(f"the key gives an end {end} ns that is not after its start {start} ns")
    return replace(placement, timerange=TimeRange.half_open(start, end))


def _count(groups: Mapping[str, str], name: str, unit: int) -> int | None:
    def parse(text: str) -> int:
        try:
            return int(Decimal(text) * unit)
        except (InvalidOperation, OverflowError, ValueError) as error:
            raise Invalid(f"{text!r} is not a number") from error

    return _read(groups, name, parse)


def _read(source: Mapping[str, str], name: str, parse: Callable[[str], T]) -> T | None:
    text = source.get(name)
    if text is None:
        return None
    try:
        return parse(text)
    except Invalid as error:
        raise Invalid(f"{name}: {error}", field=name) from error
