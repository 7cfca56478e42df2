"""Joining the segments of flows into one file, without re-encoding.

* Samples keep their places on the timeline, so a gap stays a gap.
* Video starts at the last key frame at or before what was asked for, since nothing earlier
  can be left out without re-encoding, and stops after the last frame asked for (and those
  it refers to). Sound accompanies the video actually taken.
* What was taken is reported, not assumed; a file appears only when it is complete.
* A segment may use part of its object; only that part is taken.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

import av
from av.container import OutputContainer
from av.stream import Stream

from infra.media.codecs import Kind
from infra.media.errors import CannotCarry, UnreadableMedia
from infra.media.opening import opened
from infra.media.sampling import floor_ns
from infra.media.scan import Track, essence_streams, scan
from infra.media.timing import leading
from schemas.domain.timerange import NS_PER_S, TimeRange

if TYPE_CHECKING:  # its generic form exists only there
    from av.packet import Packet

_SAME_PLACE_NS: Final = 25_000  # two ticks of 90 kHz, and a little
_WITHOUT_TIMESTAMPS: Final = {"wav", "adts", "mp3", "mp2", "ac3", "eac3", "flac", "h264", "hevc"}
_VIDEO_CLOCK: Final = 90_000


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A segment's object as a file, and where the segment puts it on the timeline."""

    path: Path
    timerange: TimeRange
    ts_offset_ns: int


@dataclass(frozen=True, slots=True)
class Part:
    """The packets of one object to take: `first` up to `stop`; its clock starts `zero` s in."""

    segment: Downloaded
    track: Track
    zero: Fraction
    first: int
    stop: int

    def start(self, i: int) -> Fraction:
        """When packet `i` plays, in seconds of the timeline."""
        return self.zero + self.track.sampling.start(i)


@dataclass(frozen=True, slots=True)
class Selection:
    """What to take of one flow: `timerange` is what it plays, `gaps` where it plays nothing."""

    kind: Kind
    parts: Sequence[Part]
    timerange: TimeRange
    gaps: Sequence[TimeRange]

    @property
    def frame_count(self) -> int:
        """How many video frames or coded audio frames it has."""
        return sum(p.stop - p.first for p in self.parts)


def select(segments: Sequence[Downloaded], wanted: TimeRange) -> Selection | None:
    """What to take of a flow's `segments`, in timeline order, to play `wanted`.

    `None` when no sample of them plays in it.

    Raises:
        UnreadableMedia: when an object cannot be interpreted.
    """
    parts: list[Part] = []
    for segment in segments:
        part = _part(segment, wanted, opens=not parts)
        if part is not None:
            parts.append(part)
    if not parts:
        return None
    spans = [_played(p) for p in parts]
    gaps = [
        TimeRange.half_open(a.end_ns, b.start_ns)
        for a, b in pairwise(spans)
        if b.start_ns - a.end_ns > _SAME_PLACE_NS
    ]
    return Selection(parts[0].track.kind, parts, TimeRange.hull(spans), gaps)


def starts_decodable(segment: Downloaded, wanted: TimeRange) -> bool:
    """Whether what `wanted` asks of `segment` can be decoded without the segment before it."""
    track, zero = _track(segment)
    keys = [i for i in range(len(track.pts)) if track.key[i]]
    asked = max(wanted.start_ns, segment.timerange.start_ns)
    return any(floor_ns(zero + track.sampling.start(i)) <= asked + _SAME_PLACE_NS for i in keys)


def join(selections: Sequence[Selection], output: Path) -> None:
    """Write `selections` together into `output`, whose suffix says the container.

    The output's clock starts with the first of `selections`, so video comes first.

    Raises:
        CannotCarry: when the container cannot hold a codec, or a gap.
        UnreadableMedia: when an object cannot be read.
    """
    opening = selections[0].parts[0]
    zero = min(map(opening.start, range(opening.first, opening.stop)))
    unfinished = output.with_name(f".unfinished-{output.name}")
    try:
        with av.open(f"file:{unfinished}", "w") as container:
            _check_gaps(container, selections)
            streams = [_add_stream(container, s) for s in selections]
            packets = [_stamped(s, o, zero) for s, o in zip(selections, streams, strict=True)]
            for _, _, packet in heapq.merge(*packets, key=lambda item: item[:2]):
                container.mux(packet)
        unfinished.replace(output)
    except (av.FFmpegError, ValueError) as error:
        raise CannotCarry(f"{output.name} cannot hold this media: {error}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _track(segment: Downloaded) -> tuple[Track, Fraction]:
    """The essence in an object, and the offset of its clock from the timeline, in seconds."""
    with opened(segment.path) as container:
        track = leading(scan(container))
    return track, Fraction(segment.ts_offset_ns, NS_PER_S)


def _part(segment: Downloaded, wanted: TimeRange, *, opens: bool) -> Part | None:
    track, zero = _track(segment)
    asked = wanted.intersection(segment.timerange)
    sampling = track.sampling
    inside = [
        i
        for i in range(len(track.pts))
        if floor_ns(zero + sampling.end(i)) > asked.start_ns + _SAME_PLACE_NS
        and floor_ns(zero + sampling.start(i)) < asked.end_ns - _SAME_PLACE_NS
    ]
    if not inside or not asked:
        return None
    first = _decodable_start(track, inside, opens) if track.kind is Kind.VIDEO else inside[0]
    return None if first is None else Part(segment, track, zero, first, inside[-1] + 1)


def _decodable_start(track: Track, inside: Sequence[int], opens: bool) -> int | None:
    """Where to start so that the frames `inside` can be decoded, as many as possible.

    The first part of all (`opens`) may start earlier; the others must not repeat frames, but
    when they use their object from its beginning they build on the part before.
    """
    if not opens and inside[0] == 0:
        return 0
    if opens:
        earliest = min(track.pts[i] for i in inside)
        for i in range(inside[0], -1, -1):
            if track.key[i] and track.pts[i] <= earliest:
                return i
    return next((i for i in inside if track.key[i]), None)


def _played(part: Part) -> TimeRange:
    packets, sampling = range(part.first, part.stop), part.track.sampling
    return TimeRange.half_open(
        floor_ns(min(map(part.start, packets))),
        floor_ns(part.zero + max(map(sampling.end, packets))),
    )


def _check_gaps(container: OutputContainer, selections: Sequence[Selection]) -> None:
    if container.format.name in _WITHOUT_TIMESTAMPS and any(s.gaps for s in selections):
        gaps = ", ".join(str(g) for s in selections for g in s.gaps)
        raise CannotCarry(
            f"{container.format.name} has no timestamps and cannot hold the gaps at {gaps}: "
            "write to .ts, .mp4 or .mkv"
        )


def _add_stream(container: OutputContainer, selection: Selection) -> Stream:
    part = selection.parts[0]
    with opened(part.segment.path) as source:
        stream = container.add_stream_from_template(source.streams[part.track.index])
        stream.time_base = _clock(part.track)
        return stream


def _clock(track: Track) -> Fraction:
    """A clock that gives every sample of `track` a whole number, in seconds per tick."""
    unit = track.sampling.unit
    if track.kind is Kind.AUDIO:
        return unit
    if track.sampling.rate is None:
        return Fraction(1, _VIDEO_CLOCK)
    return Fraction(1, unit.denominator * max(1, _VIDEO_CLOCK // unit.denominator))


def _stamped(
    selection: Selection, output: Stream, zero: Fraction
) -> Iterator[tuple[Fraction, int, "Packet[Stream]"]]:
    """The packets of `selection` in decoding order, stamped for the output, behind their time."""
    clock = _clock(selection.parts[0].track)
    last_dts: int | None = None
    for part in selection.parts:
        track, i = part.track, -1
        with opened(part.segment.path) as source:
            stream = next(s for s in essence_streams(source) if s.index == track.index)
            for packet in source.demux(stream):
                if packet.size == 0:
                    continue
                i += 1
                if not part.first <= i < part.stop:
                    continue
                start = part.start(i) - zero
                dts = _ticks(start - (track.pts[i] - track.dts[i]) * track.time_base, clock)
                if last_dts is not None:
                    dts = max(dts, last_dts + 1)
                last_dts = dts
                packet.time_base = clock
                packet.dts, packet.pts = dts, max(dts, _ticks(start, clock))
                packet.duration = _ticks(track.sampling.spans[i] * track.sampling.unit, clock)
                packet.stream = output
                yield dts * clock, output.index, packet
        if i + 1 < part.stop:
            raise UnreadableMedia(f"{part.segment.path.name} changed while it was read")


def _ticks(seconds: Fraction, clock: Fraction) -> int:
    return round(seconds / clock)
