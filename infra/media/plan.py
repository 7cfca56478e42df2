"""Where to cut a media file: which packets of each stream form each segment.

* Video is cut in front of key frames only, and only where no frame on one side is presented
  on the other. Of the places near the wanted one, one that begins a closed group of
  pictures is preferred: what follows it needs nothing from before it.
* Pictures before the first key frame of a file cannot be decoded and are left out.
* Audio of a file with video is cut at the same times, at the nearest frame boundary.
* Segments of a stream meet exactly; only where the stream itself has a gap does one end
  before the next starts.
* Times are seconds from the first video frame (or first audio sample) of the file, so audio
  that starts earlier has a negative time.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from infra.media.codecs import Carrier, Kind, carrier
from infra.media.errors import UnreadableMedia
from infra.media.essence import Essence
from infra.media.opening import MediaFile
from infra.media.probe import Probe, probe
from infra.media.sampling import floor_ns
from infra.media.scan import Track
from infra.media.timing import last_sample_duration, leading
from schemas.domain.timerange import TimeRange

_GAP_TICKS: Final = 2


@dataclass(frozen=True, slots=True)
class Piece:
    """One segment to be: packets `first` up to `stop` of a stream, playing `start` to `end`."""

    first: int
    stop: int
    start: Fraction
    end: Fraction
    last_duration: Fraction
    sample_count: int
    key_frame_count: int

    def timerange(self, origin_ns: int) -> TimeRange:
        """Its place on a timeline on which the file starts at `origin_ns`."""
        return TimeRange.half_open(
            origin_ns + floor_ns(self.start),
            origin_ns + floor_ns(self.end),
        )


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """How one stream is cut, and the container its segments are made in."""

    essence: Essence
    track: Track
    carrier: Carrier
    pieces: Sequence[Piece]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a file is cut; `zero` is the time of its first frame by its own clock, in seconds."""

    probe: Probe
    zero: Fraction
    streams: Sequence[StreamPlan]

    @property
    def piece_count(self) -> int:
        """How many segments there will be, of all streams together."""
        return sum(len(s.pieces) for s in self.streams)

    @property
    def left_out(self) -> tuple[str, ...]:
        """What of the file will be in no segment, one phrase each."""
        undecodable = tuple(
            f"{s.pieces[0].first} pictures of stream {s.essence.index} before its first key frame"
            for s in self.streams
            if s.pieces[0].first
        )
        return (*self.probe.left_out, *undecodable)


def plan(file: MediaFile, segment_duration: Fraction) -> Plan:
    """Read `file` once and decide where to cut it into segments of about `segment_duration` s.

    Raises:
        UnreadableMedia: when the file cannot be interpreted.
        CannotCarry: when a stream's codec fits no container segments are made in.
    """
    if segment_duration <= 0:
        raise ValueError("a segment must last some time")
    probed = probe(file)
    lead = leading(tuple(probed.tracks))
    starts = _starts(lead, segment_duration)
    zero, _, _ = _presented(lead, starts[0], len(lead.pts))
    times = [lead.sampling.start(i) for i in starts]
    streams = []
    for essence, track in zip(probed.streams, probed.tracks, strict=True):
        own = track.kind is Kind.VIDEO or lead.kind is Kind.AUDIO
        chosen = _starts(track, segment_duration) if own else _nearest(track, times)
        pieces = _pieces(track, chosen, zero)
        streams.append(StreamPlan(essence, track, carrier(essence.codec), pieces))
    return Plan(probed, zero, tuple(streams))


def _starts(track: Track, duration: Fraction) -> list[int]:
    """The packets that segments of `track` start with."""
    usable = _video_cuts(track) if track.kind is Kind.VIDEO else dict.fromkeys(_all(track), True)
    if not usable:
        raise UnreadableMedia(f"video stream {track.index} has no key frame to start from")
    chosen = [min(usable)]
    candidates = [i for i in usable if i > chosen[0]]
    times = [_start(track, i) for i in candidates]
    end = track.sampling.end(track.sampling.last())
    position = 0
    while True:
        wanted = _start(track, chosen[-1]) + duration
        if end - wanted < duration / 2:  # a short rest stays with the last segment
            return chosen
        reach = bisect_left(times, wanted + duration, position)
        within = range(position, max(reach, min(position + 1, len(times))))
        if not within:
            return chosen
        closed = [n for n in within if usable[candidates[n]]] or list(within)
        best = min(closed, key=lambda n: abs(times[n] - wanted))
        chosen.append(candidates[best])
        position = best + 1


def _all(track: Track) -> range:
    return range(len(track.pts))


def _start(track: Track, i: int) -> Fraction:
    return track.sampling.start(i)


def _video_cuts(track: Track) -> dict[int, bool]:
    """The packets a video segment can start with, and whether a closed group starts there.

    What comes before the first key frame of a file cannot be decoded, and is in no segment.
    """
    earliest_after = _running_min_from_the_end(track.pts)
    cuts: dict[int, bool] = {}
    latest_before: int | None = None
    for i, pts in enumerate(track.pts):
        if track.key[i] and (latest_before is None or latest_before < earliest_after[i]):
            cuts[i] = pts == earliest_after[i]
        if cuts:
            latest_before = pts if latest_before is None else max(latest_before, pts)
    return cuts


def _running_min_from_the_end(values: Sequence[int]) -> list[int]:
    least, result = values[-1], [0] * len(values)
    for i in range(len(values) - 1, -1, -1):
        least = min(least, values[i])
        result[i] = least
    return result


def _nearest(track: Track, times: Sequence[Fraction]) -> list[int]:
    """The audio frames that start nearest to `times`, the first frame always among them."""
    chosen = [0]
    for time in times[1:]:
        i = bisect_left(_all(track), time, chosen[-1], key=track.sampling.start)
        if 0 < i < len(track.pts):
            before, after = time - _start(track, i - 1), _start(track, i) - time
            i -= before < after
        if chosen[-1] < i < len(track.pts):
            chosen.append(i)
    return chosen


def _pieces(track: Track, starts: Sequence[int], zero: Fraction) -> tuple[Piece, ...]:
    stops = [*starts[1:], len(track.pts)]
    bounds = [_presented(track, a, b) for a, b in zip(starts, stops, strict=True)]
    pieces = []
    for n, (first, stop) in enumerate(zip(starts, stops, strict=True)):
        start, end, last = bounds[n]
        if n + 1 < len(bounds):
            following = bounds[n + 1][0]
            end = following if following - end <= _GAP_TICKS * track.time_base else end
        video = track.kind is Kind.VIDEO
        pieces.append(
            Piece(
                first=first,
                stop=stop,
                start=start - zero,
                end=end - zero,
                last_duration=last_sample_duration(track, last),
                sample_count=stop - first if video else sum(track.sampling.spans[first:stop]),
                key_frame_count=sum(track.key[first:stop]) if video else 0,
            )
        )
    return tuple(pieces)


def _presented(track: Track, first: int, stop: int) -> tuple[Fraction, Fraction, int]:
    """When packets `first` up to `stop` start and end to play, and which plays last."""
    packets, counts = range(first, stop), track.sampling.counts
    last = max(packets, key=counts.__getitem__)
    return min(map(track.sampling.start, packets)), track.sampling.end(last), last
