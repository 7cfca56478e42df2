"""Cutting a media file into segments, one stream each, without re-encoding.

* MPEG-TS segments continue one clock: an object's timestamps are the file's own timeline,
  counted from its first frame, plus `TS_LEAD_S`, which leaves room for decoding times before
  the first frame. The clock wraps after 26.5 hours, as MPEG-TS does.
* WAV has no clock: each object starts at 0.
* `ts_offset` is exact for the first sample of a segment; the others differ from it by no
  more than the rounding of the 90 kHz clock.
* Every video segment starts with a key frame and the parameter sets needed to decode it.
* Segments are handed out one by one as they are finished, so whoever takes them decides how
  many exist on disk at a time.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

import av
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer, OutputContainer
from av.stream import Stream

from infra.media.codecs import MPEG_TS
from infra.media.opening import opened
from infra.media.parameter_sets import annex_b_sets, is_out_of_band, with_sets
from infra.media.plan import Piece, Plan, StreamPlan
from infra.media.sampling import floor_ns
from infra.media.scan import MPEG_TS_WRAP_TICKS
from schemas.domain.timerange import TimeRange

if TYPE_CHECKING:  # its generic form exists only there
    from av.packet import Packet

TS_LEAD_S: Final = 10
_TICK: Final = Fraction(1, 90_000)
# The muxer neither moves timestamps, nor refuses to let clocks run 0.7 s behind them.
_MPEG_TS_OPTIONS: Final = {
    "mpegts_copyts": "1",
    "avoid_negative_ts": "disabled",
    "max_delay": "700000",
}
_TO_ANNEX_B: Final = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}

Wanted = Callable[[StreamPlan, Piece], bool]


@dataclass(frozen=True, slots=True)
class CutSegment:
    """A finished segment: the file at `path`, and what TAMS wants to know of it.

    `timerange` is its place on the flow's timeline; `object_timerange` the same by the
    object's clock; `ts_offset_ns` leads from the second to the first.
    """

    stream: StreamPlan
    piece: Piece
    path: Path
    timerange: TimeRange
    object_timerange: TimeRange
    ts_offset_ns: int

    @property
    def last_duration_ns(self) -> int:
        """How long its last sample plays, in nanoseconds."""
        return floor_ns(self.piece.last_duration)


def cut(
    path: Path, plan: Plan, directory: Path, *, origin_ns: int = 0, wanted: Wanted | None = None
) -> Iterator[CutSegment]:
    """Cut the file at `path` as planned, into files in `directory`.

    Args:
        path: the file that `plan` was made of, unchanged since.
        plan: where to cut.
        directory: where to write; whoever takes a segment may delete its file.
        origin_ns: where the file starts on the flow's timeline.
        wanted: which pieces to make; by default all.

    Raises:
        UnreadableMedia: when the file cannot be read to its end.
    """
    with opened(path) as container:
        cutters = {
            s.essence.index: _Cutter(container, s, plan.zero, directory, origin_ns, wanted)
            for s in plan.streams
        }
        streams = [container.streams[i] for i in cutters]
        for packet in container.demux(*streams):
            if packet.size:
                yield from cutters[packet.stream.index].take(packet)
        for cutter in cutters.values():
            yield from cutter.finish()


class _Cutter:
    """Cuts one stream: is given its packets in order, gives back finished segments."""

    def __init__(
        self,
        container: InputContainer,
        stream: StreamPlan,
        zero: Fraction,
        directory: Path,
        origin_ns: int,
        wanted: Wanted | None,
    ) -> None:
        self._template = container.streams[stream.essence.index]
        self._stream = stream
        self._zero = zero
        self._directory = directory
        self._origin_ns = origin_ns
        self._wanted = wanted
        self._annex_b = _annex_b_filter(self._template, stream)
        self._sets = annex_b_sets(stream.essence.codec, self._template.codec_context.extradata)
        self._next_packet = 0
        self._next_piece = 0
        self._output: OutputContainer | None = None
        self._path = directory
        self._last_dts = -MPEG_TS_WRAP_TICKS

    def take(self, packet: "Packet[Stream]") -> Iterator[CutSegment]:
        """Put `packet` where it belongs; yield the segment that ended before it, if any."""
        i = self._next_packet
        self._next_packet += 1
        pieces = self._stream.pieces
        if self._next_piece < len(pieces) and i == pieces[self._next_piece].first:
            yield from self.finish()
            self._begin(pieces[self._next_piece])
            self._next_piece += 1
            begins = True
        else:
            begins = False
        if self._output is not None:
            self._write(i, packet, begins)

    def finish(self) -> Iterator[CutSegment]:
        """Complete the segment being written, if there is one."""
        if self._output is None:
            return
        self._output.close()
        self._output = None
        piece = self._stream.pieces[self._next_piece - 1]
        timerange = piece.timerange(self._origin_ns)
        offset_ns = timerange.start_ns - self._object_start_ns(piece)
        yield CutSegment(
            stream=self._stream,
            piece=piece,
            path=self._path,
            timerange=timerange,
            object_timerange=timerange.shifted(-offset_ns),
            ts_offset_ns=offset_ns,
        )

    def _begin(self, piece: Piece) -> None:
        if self._wanted is not None and not self._wanted(self._stream, piece):
            return
        carrier = self._stream.carrier
        name = f"{self._stream.essence.index}-{self._next_piece:06d}{carrier.suffix}"
        self._path = self._directory / name
        options = _MPEG_TS_OPTIONS if carrier is MPEG_TS else {}
        self._output = av.open(f"file:{self._path}", "w", format=carrier.format, options=options)
        self._output.add_stream_from_template(self._template)

    def _write(self, i: int, packet: "Packet[Stream]", begins: bool) -> None:
        assert self._output is not None
        for whole in self._annex_b.filter(packet) if self._annex_b else [packet]:
            written = self._with_sets(whole) if begins and self._sets else whole
            if self._stream.carrier is MPEG_TS:
                self._stamp(i, written)
            written.stream = self._output.streams[0]
            self._output.mux(written)

    def _with_sets(self, packet: "Packet[Stream]") -> "Packet[Stream]":
        data = bytes(packet)
        complete = with_sets(self._stream.essence.codec, data, self._sets)
        if complete == data:
            return packet
        copy: Packet[Stream] = av.Packet(complete)
        copy.is_keyframe = packet.is_keyframe
        return copy

    def _stamp(self, i: int, packet: "Packet[Stream]") -> None:
        """Give packet `i` its times on the clock of the objects."""
        track = self._stream.track
        start = track.sampling.start(i) - self._zero
        pts = _lead_ticks(start)
        delay = (track.pts[i] - track.dts[i]) * track.time_base
        dts = max(min(pts, _lead_ticks(start - delay)), self._last_dts + 1)
        self._last_dts = dts
        packet.time_base = _TICK
        packet.pts, packet.dts = max(pts, dts), dts
        packet.duration = round(track.sampling.spans[i] * track.sampling.unit / _TICK)

    def _object_start_ns(self, piece: Piece) -> int:
        if self._stream.carrier is not MPEG_TS:
            return 0
        return floor_ns(_lead_ticks(piece.start) % MPEG_TS_WRAP_TICKS * _TICK)


def _lead_ticks(seconds: Fraction) -> int:
    """The 90 kHz timestamp of a moment of the file, before any wrap."""
    return round((seconds + TS_LEAD_S) / _TICK)


def _annex_b_filter(stream: Stream, plan: StreamPlan) -> BitStreamFilterContext | None:
    """What turns MP4's form of H.264 or H.265 into that of MPEG-TS, where it is needed."""
    name = _TO_ANNEX_B.get(plan.essence.codec)
    if name is None or not is_out_of_band(stream.codec_context.extradata):
        return None
    return BitStreamFilterContext(name, in_stream=stream)
