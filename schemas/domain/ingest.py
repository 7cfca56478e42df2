"""What an object that appeared in a bucket means.

* Its flow comes from its user metadata (`tams-flow-id`), or else from the rule for its key.
* Its time is looked for in the ways the rule lists: its metadata (`tams-timerange`, and optionally
  `tams-object-timerange` and `tams-ts-offset`), its key, the media themselves, a playlist.
* Without a rule, metadata and media are asked, and media stand where their own timestamps are.
* What cannot be interpreted is a `Problem` with its reason; it is kept and listed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeVar, assert_never

from schemas.domain.errors import Invalid, TamsError
from schemas.domain.identifiers import FlowId, ObjectId, StorageId
from schemas.domain.ingest_rule import IngestRule, RuleId, Way
from schemas.domain.keys import Moment, since_epoch_ns
from schemas.domain.placing import Anchor, Bearing, Following, Listed, Running, Stated
from schemas.domain.playlist import Entry
from schemas.domain.query import Listing
from schemas.domain.rejection import Reason, Rejected, reason_of
from schemas.domain.segment import Dropped, Offer, Segment
from schemas.domain.timerange import TimeRange, format_timestamp, parse_timestamp

T = TypeVar("T")

# Stated and measured durations that differ by more than this part are not of the same media.
_ROUNDING: Final = 10

_CONTAINERS: Final[Mapping[str, str]] = {
    "video/mp2t": "mpegts",
    **dict.fromkeys(
        ("video/mp4", "audio/mp4", "application/mp4", "video/iso.segment", "video/quicktime"), "mov"
    ),
    **dict.fromkeys(("audio/wav", "audio/x-wav", "audio/vnd.wave", "audio/wave"), "wav"),
    **dict.fromkeys(
        ("video/x-matroska", "audio/x-matroska", "video/webm", "audio/webm"), "matroska"
    ),
    "application/mxf": "mxf",
}


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


class Shape(StrEnum):
    """What a file is in itself."""

    WHOLE = "whole"  # anything that can be read by itself, or is no media
    FRAGMENTED = "fragmented"  # MP4 in fragments, with what describes them
    FRAGMENT = "fragment"  # fragments of MP4 alone
    INIT = "init"  # what describes fragments, and none of them


class Ticking(StrEnum):
    """What the timestamps of media count from."""

    WRAPPING = "wrapping"  # MPEG-TS: 33 bits of 90 kHz
    COUNTING = "counting"  # the beginning of the encoder's run
    NOTHING = "nothing"  # each object begins anew


@dataclass(frozen=True, slots=True)
class Measured:
    """What the media itself says of its time; nanoseconds on the object's own timeline.

    `sample_count` counts video frames or audio samples; `last_duration_ns` is that of the
    last of them; `key_frame_count` is 0 for audio. `container` is libav's word for the format,
    `essence` is `video` or `audio`, of which the latter has a `sample_rate`. `stated` is when it
    starts by the wall clock, if it says so.
    """

    start_ns: int
    end_ns: int
    last_duration_ns: int
    sample_count: int
    key_frame_count: int
    ticking: Ticking = Ticking.COUNTING
    container: str | None = None
    essence: str | None = None
    sample_rate: int | None = None
    stated: Moment | None = None

    @property
    def timerange(self) -> TimeRange:
        """From the first sample up to the end of the last."""
        return TimeRange.half_open(self.start_ns, self.end_ns)


@dataclass(frozen=True, slots=True)
class Timing:
    """When an object plays, as far as one of the ways to find the time says it.

    A `timerange` is complete. Otherwise the object stands where its media are put by
    `ts_offset_ns`, or where a `bearing` leads; it plays for `duration_ns`, or as long as measured.
    """

    timerange: TimeRange | None = None
    object_timerange: TimeRange | None = None
    ts_offset_ns: int | None = None
    bearing: Bearing | None = None
    duration_ns: int | None = None

    @property
    def needs_media(self) -> bool:
        """Whether it is incomplete without the media."""
        return self.timerange is None and (self.bearing is None or self.duration_ns is None)


@dataclass(frozen=True, slots=True)
class Problem:
    """An object in a bucket that did not become a segment, and why."""

    bucket: str
    key: str
    etag: str
    reason: str
    seen: datetime
    code: Reason = Reason.REFUSED


@dataclass(frozen=True, slots=True)
class ProblemQuery:
    """Which problems to list; a filter that is None lets everything through."""

    listing: Listing
    bucket: str | None = None
    prefix: str = ""
    code: Reason | None = None
    since: datetime | None = None

    def wants(self, problem: Problem) -> bool:
        """Whether every filter lets `problem` through."""
        return (
            self.bucket in {None, problem.bucket}
            and problem.key.startswith(self.prefix)
            and self.code in {None, problem.code}
            and (self.since is None or problem.seen >= self.since)
        )


@dataclass(frozen=True, slots=True)
class Trial:
    """One way to find the time, and what it found or why it did not."""

    way: Way
    found: str | None = None
    error: Rejected | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would become of an object: the segment it would be, or the error, or neither.

    A flow that does not exist yet is to be created; its segment is not known before.
    """

    exists: bool
    rule_id: RuleId | None
    flow_id: FlowId | None
    creates_flow: bool
    tried: Sequence[Trial]
    segment: Segment | None
    error: TamsError | None
    note: str


def by_metadata(appeared: Appeared) -> Timing:
    """The time that the metadata of `appeared` give.

    Raises:
        Rejected: when there is none, or it cannot be read.
    """
    metadata = appeared.metadata
    timing = Timing(
        timerange=_read(metadata, "tams-timerange", TimeRange.parse),
        object_timerange=_read(metadata, "tams-object-timerange", TimeRange.parse),
        ts_offset_ns=_read(metadata, "tams-ts-offset", parse_timestamp),
    )
    if timing.timerange is None and timing.ts_offset_ns is None:
        raise Rejected(
            Reason.NO_TIME, "no timerange: there is no tams-timerange or tams-ts-offset metadata"
        )
    return timing


def by_key(rule: IngestRule, found: Mapping[str, str], appeared: Appeared) -> Timing:
    """The time that the key gives, in which `found` was found.

    Raises:
        Rejected: when it gives none, or one that cannot be.
    """
    if rule.key is not None and "sequence" in found:
        duration = rule.sequence_duration_ns
        assert duration is not None  # or the rule could not be
        at = int(found["sequence"]) * duration
        return Timing(bearing=_running(rule, at, appeared, wraps=False), duration_ns=duration)
    try:
        moments = {
            name: rule.key.moment(found, name) if rule.key is not None else None
            for name in ("start", "end", "duration")
        }
    except Invalid as error:
        raise Rejected(Reason.NO_TIME, f"the key: {error}") from error
    start, end, length = moments["start"], moments["end"], moments["duration"]
    if start is None:
        raise Rejected(Reason.NO_TIME, "the key template says no time")
    require_plausible(rule, start.ns, appeared, "the key")
    bearing = Stated(start.ns, start.precision_ns)
    if end is not None:
        length = Moment(end.ns - start.ns, end.precision_ns)
    if length is None:
        return Timing(bearing=bearing)
    if length.ns <= 0:
        raise Rejected(Reason.IMPLAUSIBLE_TIME, "the key gives an end that is not after its start")
    return Timing(bearing=bearing, duration_ns=length.ns)


def by_media(rule: IngestRule | None, measured: Measured, appeared: Appeared) -> Timing:
    """The time that the timestamps in the media give.

    Raises:
        Rejected: when it cannot be.
    """
    if rule is None:
        return Timing(ts_offset_ns=0)
    if measured.stated is not None:
        require_plausible(rule, measured.stated.ns, appeared, "the media")
        return Timing(bearing=Stated(measured.stated.ns, measured.stated.precision_ns))
    if measured.ticking is Ticking.NOTHING:
        return Timing(bearing=Following(anchor_of(rule, 0, appeared), measured.sample_rate))
    wraps = measured.ticking is Ticking.WRAPPING
    return Timing(bearing=_running(rule, measured.start_ns, appeared, wraps=wraps))


def by_playlist(rule: IngestRule, entry: Entry, appeared: Appeared) -> Timing:
    """The time that an entry of a playlist gives.

    Raises:
        Rejected: when it cannot be, or names a part of a file.
    """
    if entry.byte_range:
        raise Rejected(
            Reason.NO_TIME,
            "the playlist names parts of files (EXT-X-BYTERANGE), which this store does not place: "
            "have the encoder write a file per segment",
        )
    stated = None
    if entry.date is not None:
        require_plausible(rule, entry.date.ns, appeared, "the playlist")
        stated = Stated(entry.date.ns, entry.date.precision_ns)
    anchor = anchor_of(rule, entry.offset_ns, appeared)
    bearing = Listed(entry.offset_ns, entry.near, anchor, stated)
    return Timing(bearing=bearing, duration_ns=entry.duration_ns)


def anchor_of(rule: IngestRule, at_ns: int, appeared: Appeared) -> Anchor:
    """Where `appeared` stands if it is the first, and the encoder's clock shows `at_ns`."""
    if rule.origin_ns is not None:
        return Anchor(rule.origin_ns + at_ns)
    return Anchor(since_epoch_ns(appeared.modified), arrived=True)


def require_plausible(rule: IngestRule, ns: int, appeared: Appeared, who: str) -> None:
    """Raises Rejected when `ns`, a time of the wall clock, is none that `who` can mean."""
    latest = since_epoch_ns(appeared.modified) + rule.ahead_ns
    if not rule.not_before_ns <= ns <= latest:
        raise Rejected(
            Reason.IMPLAUSIBLE_TIME,
            f"{who} says {format_timestamp(ns)}, which is not between "
            f"{format_timestamp(rule.not_before_ns)} and {format_timestamp(latest)}: is the "
            "encoder's clock set?",
        )


def offer(appeared: Appeared, flow_id: FlowId, timing: Timing, measured: Measured | None) -> Offer:
    """The segment that `appeared` is, `measured` if its timing needs it.

    Raises:
        Invalid: when the times contradict each other.
    """
    timerange, offset = timing.timerange, timing.ts_offset_ns or 0
    within, last_duration, key_frames = timing.object_timerange, None, None
    bearing = timing.bearing if timerange is None else None
    if measured is not None:
        last_duration, key_frames = measured.last_duration_ns, measured.key_frame_count
        within = within or measured.timerange
        if timerange is None:
            timerange = _cut_short(timing, within).shifted(offset)
    elif timerange is None and bearing is not None and timing.duration_ns is not None:
        timerange = TimeRange.half_open(0, timing.duration_ns)
    if timerange is None:
        raise Rejected(Reason.NO_TIME, "no timerange: neither metadata nor key gives one")
    segment = Segment(
        flow_id,
        ObjectId(appeared.key),
        timerange,
        ts_offset_ns=offset,
        last_duration_ns=last_duration,
    )
    return Offer(
        segment,
        object_timerange=within,
        key_frame_count=key_frames,
        dropped=dropped(appeared, measured),
        bearing=bearing,
    )


def dropped(appeared: Appeared, measured: Measured | None = None) -> Dropped:
    """What is kept of an object that appeared."""
    return Dropped(
        appeared.storage_id,
        appeared.bucket,
        appeared.key,
        appeared.etag,
        appeared.content_type,
        appeared.size,
        container=measured.container if measured else None,
        essence=measured.essence if measured else None,
    )


def problem(item: Dropped, error: TamsError, now: datetime) -> Problem:
    """What is put on record of `item`, which did not become a segment because of `error`."""
    return Problem(item.bucket, item.key, item.etag, str(error), now, reason_of(error))


def require_fits(item: Dropped, container: str | None, content_format: str) -> None:
    """Raises Rejected when `item` was found to hold other things than its flow does."""
    expected = _CONTAINERS.get(container or "")
    if item.container and expected and item.container != expected:
        raise Rejected(
            Reason.WRONG_CONTAINER,
            f"{item.key} is {item.container}, and media of the flow are {container}",
        )
    if item.essence == "audio" and content_format == "urn:x-nmos:format:video":
        raise Rejected(
            Reason.WRONG_CONTAINER, f"{item.key} holds no video, and the flow is of video"
        )


def _running(rule: IngestRule, at_ns: int, appeared: Appeared, *, wraps: bool) -> Running:
    anchor = anchor_of(rule, at_ns, appeared)
    return Running(at_ns, wraps, anchor, rule.restart, rule.tolerance_ns)


def _cut_short(timing: Timing, measured: TimeRange) -> TimeRange:
    """The part of the measured media that plays: of numbered segments, no more than their duration.

    Raises:
        Rejected: when the media last longer or shorter than they should.
    """
    stated = timing.duration_ns
    if stated is None:
        return measured
    numbered = isinstance(timing.bearing, Running)
    excess = (measured.duration_ns - stated) * _ROUNDING
    if excess > stated or (excess < -stated and not numbered):
        raise Rejected(
            Reason.WRONG_DURATION,
            f"it should play for {format_timestamp(stated)} s, and its media play for "
            f"{format_timestamp(measured.duration_ns)} s: was it uploaded whole?",
        )
    if not numbered:
        return measured
    start = measured.start_ns
    return TimeRange.half_open(start, start + min(stated, measured.duration_ns))


def _read(source: Mapping[str, str], name: str, parse: Callable[[str], T]) -> T | None:
    text = source.get(name)
    if text is None:
        return None
    try:
        return parse(text)
    except Invalid as error:
        raise Rejected(Reason.NO_TIME, f"{name}: {error}") from error


def describe(bearing: Bearing) -> str:
    """What a bearing says, in words."""
    match bearing:
        case Stated():
            return f"start {format_timestamp(bearing.start_ns)}"
        case Running():
            return f"the encoder's clock shows {format_timestamp(bearing.at_ns)}"
        case Listed():
            dated = "" if bearing.stated is None else f", {describe(bearing.stated)}"
            return f"{format_timestamp(bearing.offset_ns)} after the start of its playlist{dated}"
        case Following():
            return "after the segment before it"
        case _:
            assert_never(bearing)
