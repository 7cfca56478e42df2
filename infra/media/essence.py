"""The technical description of one stream, and its TAMS flow fields.

* Only what the file states is stated: what is unknown is `None` here and absent there.
* `frame_rate` and `vfr` come from all the timestamps, not from what a header claims.
* TAMS 8.2: `flow-video.json`, `flow-audio.json`, `flow-technical.json`.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from av.audio.stream import AudioStream
from av.stream import Stream
from av.video.stream import VideoStream

from infra.media.codecs import Kind, codec_mime
from infra.media.errors import CannotCarry, UnreadableMedia
from infra.media.parameter_sets import AvcProfile, avc_profile
from infra.media.scan import Track

# Code points of ITU-T H.273, which libav uses as they are.
_BT709_MATRIX: Final = {1}
_BT601_MATRICES: Final = {5, 6}
_BT2020_MATRICES: Final = {9, 10}
_SDR: Final = {1, 4, 5, 6, 7, 13, 14, 15}
_PQ: Final = 16
_HLG: Final = 18
# AVFieldOrder: the order of display decides.
_INTERLACE: Final = {
    1: "progressive",
    2: "interlaced_tff",
    3: "interlaced_bff",
    4: "interlaced_bff",
    5: "interlaced_tff",
}
_AAC_OBJECT_TYPES: Final = {
    "Main": 1,
    "LC": 2,
    "SSR": 3,
    "LTP": 4,
    "HE-AAC": 5,
    "LD": 23,
    "HE-AACv2": 29,
    "ELD": 39,
}
_PCM_BITS: Final = {
    name + str(bits): bits for bits in (8, 16, 24, 32, 64) for name in ("s", "u", "f")
}


@dataclass(frozen=True, slots=True)
class Video:
    """Pictures: sizes in pixels, ratios as fractions; `frame_rate` is `None` when variable."""

    width: int
    height: int
    frame_rate: Fraction | None
    bit_depth: int | None
    interlace_mode: str | None
    colorspace: str | None
    transfer_characteristic: str | None
    aspect_ratio: Fraction | None
    pixel_aspect_ratio: Fraction | None
    component_type: str | None
    horizontal_subsampling: int | None
    vertical_subsampling: int | None
    avc: AvcProfile | None

    def parameters(self) -> dict[str, Any]:
        """The TAMS `essence_parameters`."""
        rate = {"vfr": True} if self.frame_rate is None else {"frame_rate": _ratio(self.frame_rate)}
        return _stated(
            frame_width=self.width,
            frame_height=self.height,
            **rate,
            bit_depth=self.bit_depth,
            interlace_mode=self.interlace_mode,
            colorspace=self.colorspace,
            transfer_characteristic=self.transfer_characteristic,
            aspect_ratio=_ratio(self.aspect_ratio),
            pixel_aspect_ratio=_ratio(self.pixel_aspect_ratio),
            component_type=self.component_type,
            horiz_chroma_subs=self.horizontal_subsampling,
            vert_chroma_subs=self.vertical_subsampling,
            avc_parameters=self.avc
            and {"profile": self.avc.profile, "level": self.avc.level, "flags": self.avc.flags},
        )


@dataclass(frozen=True, slots=True)
class Audio:
    """Sound: `bit_depth` of uncompressed samples; `frame_size` in samples per coded frame."""

    sample_rate: int
    channels: int
    bit_depth: int | None
    frame_size: int | None
    object_type: int | None

    def parameters(self) -> dict[str, Any]:
        """The TAMS `essence_parameters`."""
        codec = _stated(coded_frame_size=self.frame_size, mp4_oti=self.object_type)
        return _stated(
            sample_rate=self.sample_rate,
            channels=self.channels,
            bit_depth=self.bit_depth,
            codec_parameters=codec or None,
            unc_parameters={"unc_type": "interleaved"} if self.bit_depth else None,
        )


@dataclass(frozen=True, slots=True)
class Essence:
    """One stream of a file; `bit_rate` is that of the coded essence, in bits per second."""

    index: int
    track_id: int
    kind: Kind
    codec: str
    language: str | None
    bit_rate: int | None
    parameters: Video | Audio

    def flow_fields(self, container: str | None) -> dict[str, Any]:
        """The technical TAMS fields of a flow of this stream in segments of `container` (MIME).

        Raises:
            CannotCarry: when the codec has no MIME type known here.
        """
        mime = codec_mime(self.codec)
        if mime is None:
            raise CannotCarry(f"stream {self.index} is {self.codec}, a codec without a known name")
        rate = self.bit_rate
        return _stated(
            format=self.kind.urn,
            codec=mime,
            container=container,
            avg_bit_rate=None if rate is None else -(-rate // 1000),
            essence_parameters=self.parameters.parameters(),
        )


def essence_of(stream: Stream, track: Track) -> Essence:
    """The description of `stream`, whose packets are `track`."""
    match stream:
        case VideoStream():
            parameters: Video | Audio = _video(stream, track)
        case AudioStream():
            parameters = _audio(stream)
        case _:
            raise TypeError(f"stream {stream.index} is neither video nor audio")
    return Essence(
        index=stream.index,
        track_id=stream.id,
        kind=track.kind,
        codec=stream.codec_context.name,
        language=stream.language if stream.language not in {None, "", "und"} else None,
        bit_rate=_bit_rate(track),
        parameters=parameters,
    )


def _video(stream: VideoStream, track: Track) -> Video:
    context = stream.codec_context
    if not stream.width or not stream.height:
        raise UnreadableMedia(f"stream {stream.index} does not say how large its pictures are")
    pixels = context.format
    pixel_aspect = stream.sample_aspect_ratio or context.sample_aspect_ratio or None
    rgb = pixels is not None and pixels.is_rgb
    colour = pixels is not None and len(pixels.components) > 1
    subsampled = colour and not rgb
    aspect = None if pixel_aspect is None else pixel_aspect * Fraction(stream.width, stream.height)
    return Video(
        width=stream.width,
        height=stream.height,
        frame_rate=track.sampling.rate,
        bit_depth=pixels.components[0].bits if pixels else None,
        interlace_mode=_INTERLACE.get(context.field_order),
        colorspace=_colorspace(context.colorspace, context.color_trc),
        transfer_characteristic=_transfer(context.color_trc),
        aspect_ratio=aspect,
        pixel_aspect_ratio=pixel_aspect,
        component_type=("RGB" if rgb else "YCbCr") if colour else None,
        horizontal_subsampling=16 // pixels.chroma_width(16) if pixels and subsampled else None,
        vertical_subsampling=16 // pixels.chroma_height(16) if pixels and subsampled else None,
        avc=avc_profile(context.extradata) if context.name == "h264" else None,
    )


def _audio(stream: AudioStream) -> Audio:
    context = stream.codec_context
    pcm = context.name.startswith("pcm_")
    bits = _PCM_BITS.get(context.name.removeprefix("pcm_").rstrip("lbe")) if pcm else None
    return Audio(
        sample_rate=context.sample_rate,
        channels=context.channels,
        bit_depth=bits,
        frame_size=None if pcm else context.frame_size or None,
        object_type=_AAC_OBJECT_TYPES.get(stream.profile or "") if context.name == "aac" else None,
    )


def _colorspace(matrix: int, transfer: int) -> str | None:
    if matrix in _BT2020_MATRICES:
        return "BT2100" if transfer in {_PQ, _HLG} else "BT2020"
    if matrix in _BT709_MATRIX:
        return "BT709"
    return "BT601" if matrix in _BT601_MATRICES else None


def _transfer(transfer: int) -> str | None:
    if transfer in _SDR:
        return "SDR"
    return {_PQ: "PQ", _HLG: "HLG"}.get(transfer)


def _bit_rate(track: Track) -> int | None:
    sampling = track.sampling
    seconds = sampling.end(sampling.last()) - sampling.first
    return int(sum(track.size) * 8 / seconds) if seconds > 0 else None


def _ratio(value: Fraction | None) -> dict[str, int] | None:
    return (
        None if value is None else {"numerator": value.numerator, "denominator": value.denominator}
    )


def _stated(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON values of any kind
    """The fields that are known."""
    return {name: value for name, value in fields.items() if value is not None}
