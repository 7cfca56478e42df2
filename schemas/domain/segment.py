"""A flow segment: part of a media object placed on a flow's timeline (schema `flow-segment`).

* A segment takes up a bounded stretch of time that begins on its first sample.
* It can be stored only between 1823 and 2116, what a 64-bit count of half-nanoseconds spans.
* `segment time = object time + ts_offset`.
* Flow, timerange and object name a segment: offering the same again is the same registration.
"""

from dataclasses import dataclass, fields, replace
from typing import Final

from schemas.domain.errors import Invalid
from schemas.domain.identifiers import FlowId, ObjectId, StorageId
from schemas.domain.placing import Bearing, Place
from schemas.domain.timerange import TimeRange
from schemas.domain.value import value

_INT64: Final = 1 << 63


@value()
class Segment:
    """One segment of one flow; times in nanoseconds on the timelines their names say.

    Raises:
        Invalid: from the constructor, when the timing cannot be that of a segment.
    """

    flow_id: FlowId
    object_id: ObjectId
    timerange: TimeRange
    ts_offset_ns: int = 0
    last_duration_ns: int | None = None
    sample_offset: int | None = None
    sample_count: int | None = None

    def __post_init__(self) -> None:
        _require_storable(self.timerange, "timerange")
        if self.timerange.start % 2:
            raise Invalid(
                f"timerange {self.timerange} of a segment must include its start", field="timerange"
            )
        if self.ts_offset_ns:
            if not -_INT64 <= self.ts_offset_ns < _INT64:
                raise Invalid("ts_offset is out of range", field="ts_offset")
            _require_storable(self.object_part, "timerange less ts_offset", "ts_offset")
        if self.last_duration_ns is not None and not 0 <= self.last_duration_ns < _INT64:
            raise Invalid("last_duration must not be negative or huge", field="last_duration")

    @property
    def object_part(self) -> TimeRange:
        """The part of the object it uses, on the object's own timeline."""
        return self.timerange.shifted(-self.ts_offset_ns) if self.ts_offset_ns else self.timerange

    def difference(self, other: "Segment") -> str | None:
        """The first field in which `other` is not the same registration; None if it is."""
        for item in fields(self):
            if getattr(self, item.name) != getattr(other, item.name):
                return item.name.removesuffix("_ns")
        return None


@dataclass(frozen=True, slots=True)
class Dropped:
    """An object that somebody put into a bucket without asking for storage.

    It stands under `key`, or under `moved_to` if it was copied there to be kept. `clock_ns` is what
    the encoder's clock showed when it begins; `container` and `essence` are what it was found to
    hold when it was read, in the words of `Measured`.
    """

    storage_id: StorageId
    bucket: str
    key: str
    etag: str
    content_type: str | None
    size: int = 0
    moved_to: str | None = None
    clock_ns: int | None = None
    container: str | None = None
    essence: str | None = None

    @property
    def stands_at(self) -> str:
        """The key it is kept under."""
        return self.key if self.moved_to is None else self.moved_to


@value()
class Link:
    """An uncontrolled place an object can be fetched from (`get_urls` of an offer)."""

    label: str
    url: str


@value()
class Offer:
    """A segment someone asks to register, and what they say of its object.

    With a `bearing` the segment is as long as it says, and stands where the bearing leads when it
    is registered. `init` is the init object, if it was dropped too.
    """

    segment: Segment
    object_timerange: TimeRange | None = None
    init_object_id: ObjectId | None = None
    key_frame_count: int | None = None
    links: tuple[Link, ...] = ()
    dropped: Dropped | None = None
    bearing: Bearing | None = None
    init: Dropped | None = None

    def __post_init__(self) -> None:
        if self.object_timerange is not None:
            _require_storable(self.object_timerange, "object_timerange")


def at(offer: Offer, place: Place) -> Offer:
    """`offer` where its bearing led."""
    within, start = offer.object_timerange, offer.segment.timerange.start_ns
    offset = place.timerange.start_ns - start if within is not None else 0
    segment = replace(offer.segment, timerange=place.timerange, ts_offset_ns=offset)
    return replace(
        offer,
        segment=segment,
        # A wrap of the clock may round the last nanosecond the other way.
        object_timerange=within and TimeRange.hull([within, segment.object_part]),
        dropped=offer.dropped and replace(offer.dropped, clock_ns=place.clock_ns),
        bearing=None,
    )


def _require_storable(timerange: TimeRange, name: str, field: str | None = None) -> None:
    if -_INT64 <= timerange.start < timerange.end < _INT64:
        return
    if not timerange or not timerange.bounded:
        raise Invalid(f"{name} {timerange} must have a start and an end", field=field or name)
    raise Invalid(f"{name} {timerange} is out of range: 1823 to 2116", field=field or name)
