"""One pass over the packets of a media file, without decoding any.

* Every audio and video stream is read; cover pictures, subtitles and data are left aside.
* Timestamps are those in the file. MPEG-TS clocks wrap after 26.5 hours; libav unrolls a
  wrap inside a file, and the first timestamp here is always the one really written.
* Presentation timestamps are never made up: a packet without one makes a file unreadable.
  Decoding timestamps are rebuilt from them where they are missing or out of order.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from infra.media.codecs import Kind
from infra.media.errors import UnreadableMedia
from infra.media.sampling import Sampling, audio_sampling, video_sampling

if TYPE_CHECKING:  # its generic form exists only there
    from av.packet import Packet

MPEG_TS_WRAP_TICKS: Final = 1 << 33


@dataclass(frozen=True, slots=True)
class Track:
    """The packets of one stream in file order; times in ticks of `time_base` seconds."""

    index: int
    kind: Kind
    time_base: Fraction
    pts: Sequence[int]
    dts: Sequence[int]
    key: Sequence[int]
    size: Sequence[int]
    sampling: Sampling

    @property
    def key_frame_count(self) -> int:
        """How many packets decoding can start at; 0 for audio, which it always can."""
        return sum(self.key) if self.kind is Kind.VIDEO else 0

    @property
    def sample_count(self) -> int:
        """Video frames, or audio samples (of which a coded frame holds many)."""
        return len(self.pts) if self.kind is Kind.VIDEO else sum(self.sampling.spans)


@dataclass(slots=True)
class _Found:
    """What has been read of one stream so far."""

    stream: Stream
    pts: "array[int]" = field(default_factory=lambda: array("q"))
    dts: list[int | None] = field(default_factory=list)
    durations: "array[int]" = field(default_factory=lambda: array("q"))
    key: bytearray = field(default_factory=bytearray)
    size: "array[int]" = field(default_factory=lambda: array("q"))

    def add(self, packet: "Packet[Stream]") -> None:
        if packet.pts is None:
            raise UnreadableMedia(
                f"packet {len(self.pts)} of stream {self.stream.index} has no presentation "
                "timestamp"
            )
        self.pts.append(packet.pts)
        self.dts.append(packet.dts)
        self.durations.append(packet.duration or 0)
        self.key.append(packet.is_keyframe)
        self.size.append(packet.size)


def essence_streams(container: InputContainer) -> tuple[Stream, ...]:
    """The video and audio streams of `container`, in its order."""
    return tuple(s for s in container.streams if kind_of(s) is not None)


def kind_of(stream: Stream) -> Kind | None:
    """Whether a stream is video or audio; `None` for anything else, such as cover pictures."""
    if isinstance(stream, AudioStream):
        return Kind.AUDIO
    still = Disposition.attached_pic | Disposition.timed_thumbnails
    if isinstance(stream, VideoStream) and not stream.disposition & still:
        return Kind.VIDEO
    return None


def scan(container: InputContainer) -> tuple[Track, ...]:
    """The tracks of `container`, which must be at its beginning and is read to its end.

    Raises:
        UnreadableMedia: when there is no video or audio, a stream has no timestamps or they
            jump back, or the file breaks off.
    """
    streams = essence_streams(container)
    if not streams:
        raise UnreadableMedia("there is no video or audio stream")
    found = {s.index: _Found(s) for s in streams}
    whole = container.format.name == "mpegts"
    for packet in container.demux(*streams):
        if packet.size == 0:  # the end of a stream
            continue
        if packet.is_corrupt and not whole:
            raise UnreadableMedia("the file is truncated or damaged")
        found[packet.stream.index].add(packet)
    tracks = tuple(_track(f, whole) for f in found.values() if f.pts)
    if not tracks:
        raise UnreadableMedia("its streams hold no media")
    return tracks


def _track(found: _Found, mpeg_ts: bool) -> Track:
    kind = kind_of(found.stream)
    time_base = found.stream.time_base
    assert kind is not None
    if time_base is None:
        raise UnreadableMedia(f"stream {found.stream.index} has no time base")
    _check_order(found, kind)
    shift = MPEG_TS_WRAP_TICKS if mpeg_ts and min(found.pts) < 0 else 0
    pts = array("q", (t + shift for t in found.pts)) if shift else found.pts
    dts = [None if t is None else t + shift for t in found.dts]
    return Track(
        index=found.stream.index,
        kind=kind,
        time_base=time_base,
        pts=pts,
        dts=_decoding_times(pts, dts),
        key=found.key,
        size=found.size,
        sampling=_sampling(found, pts, time_base),
    )


def _check_order(found: _Found, kind: Kind) -> None:
    if kind is Kind.AUDIO:
        ordered = all(a < b for a, b in pairwise(found.pts))
    else:
        ordered = len(set(found.pts)) == len(found.pts)
    if not ordered:
        raise UnreadableMedia(f"the timestamps of stream {found.stream.index} jump back or repeat")


def _sampling(found: _Found, pts: "array[int]", time_base: Fraction) -> Sampling:
    match found.stream:
        case AudioStream() as audio:
            context = audio.codec_context
            if not context.sample_rate:
                raise UnreadableMedia(f"the sample rate of stream {audio.index} is unknown")
            return audio_sampling(
                pts, found.durations, time_base, context.sample_rate, context.frame_size
            )
        case stream:
            rates = (stream.guessed_rate, stream.average_rate, stream.base_rate)
            return video_sampling(pts, found.durations, time_base, [r for r in rates if r])


def _decoding_times(pts: Sequence[int], dts: Sequence[int | None]) -> "array[int]":
    """`dts` if they are complete, increasing and before `pts`; else rebuilt from `pts`.

    Decoding order is file order, so the sorted presentation times, moved early enough, serve.
    """
    known = array("q", (t for t in dts if t is not None))
    if (
        len(known) == len(pts)
        and all(a < b for a, b in pairwise(known))
        and all(d <= p for d, p in zip(known, pts, strict=True))
    ):
        return known
    ordered = sorted(pts)
    delay = max(o - p for o, p in zip(ordered, pts, strict=True))
    return array("q", (t - delay for t in ordered))
