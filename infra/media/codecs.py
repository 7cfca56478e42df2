"""The names of codecs and containers, and which container carries which codec.

* Names are MIME types as TAMS wants them: IANA's where there is one, else the most common.
* A cut segment is MPEG-TS, or WAV for uncompressed sound: both start to play without any
  other file. Codecs neither can carry are refused by name.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from infra.media.errors import CannotCarry


class Kind(StrEnum):
    """The kinds of essence the store's client understands."""

    VIDEO = "video"
    AUDIO = "audio"

    @property
    def urn(self) -> str:
        """The TAMS `format` of a flow of this kind."""
        return f"urn:x-nmos:format:{self.value}"


MULTI_URN: Final = "urn:x-nmos:format:multi"


@dataclass(frozen=True, slots=True)
class Carrier:
    """A container for segments: libav's name of it, its MIME type and file suffix."""

    format: str
    mime: str
    suffix: str


MPEG_TS: Final = Carrier("mpegts", "video/mp2t", ".ts")
WAV: Final = Carrier("wav", "audio/wav", ".wav")

_CODECS: Final = {
    "h264": "video/h264",
    "hevc": "video/h265",
    "mpeg2video": "video/mpeg",
    "mpeg1video": "video/mpeg",
    "vp8": "video/vp8",
    "vp9": "video/vp9",
    "av1": "video/av1",
    "prores": "video/prores",
    "dnxhd": "video/vc3",
    "mjpeg": "video/jpeg",
    "jpeg2000": "video/jpeg2000",
    "mpeg4": "video/mp4v-es",
    "aac": "audio/aac",
    "mp3": "audio/mpeg",
    "mp3float": "audio/mpeg",
    "mp2": "audio/mpeg",
    "mp2float": "audio/mpeg",
    "ac3": "audio/ac3",
    "eac3": "audio/eac3",
    "opus": "audio/opus",
    "libopus": "audio/opus",
    "vorbis": "audio/vorbis",
    "flac": "audio/flac",
}
_CONTAINERS: Final = {
    "mpegts": ("video/mp2t", "video/mp2t"),
    "mp4": ("video/mp4", "audio/mp4"),
    "mov": ("video/quicktime", "video/quicktime"),
    "matroska": ("video/x-matroska", "audio/x-matroska"),
    "webm": ("video/webm", "audio/webm"),
    "wav": ("audio/wav", "audio/wav"),
    "aac": ("audio/aac", "audio/aac"),
    "mp3": ("audio/mpeg", "audio/mpeg"),
    "ac3": ("audio/ac3", "audio/ac3"),
    "eac3": ("audio/eac3", "audio/eac3"),
    "flac": ("audio/flac", "audio/flac"),
    "ogg": ("video/ogg", "audio/ogg"),
    "mxf": ("application/mxf", "application/mxf"),
    "mpeg": ("video/mp2p", "video/mp2p"),
    "avi": ("video/x-msvideo", "video/x-msvideo"),
    "aiff": ("audio/aiff", "audio/aiff"),
}
_IN_MPEG_TS: Final = {
    *("h264", "hevc", "mpeg2video", "mpeg1video"),
    *("aac", "mp3", "mp3float", "mp2", "mp2float", "ac3", "eac3"),
}
_IN_WAV: Final = {
    *("pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le"),
    *("pcm_u8", "pcm_alaw", "pcm_mulaw"),
}


def codec_mime(codec: str) -> str | None:
    """The MIME type of what libav calls `codec`; `None` when this module knows no name."""
    if codec.startswith(("pcm_f16", "pcm_f24", "pcm_f32", "pcm_f64")):
        return "audio/x-raw-float"
    if codec in {"pcm_alaw", "pcm_mulaw"}:
        return "audio/PCMA" if codec == "pcm_alaw" else "audio/PCMU"
    if codec.startswith(("pcm_s", "pcm_u")):
        return "audio/x-raw-int"
    return _CODECS.get(codec)


def container_mime(format_name: str, kind: Kind, major_brand: str = "") -> str | None:
    """The MIME type of a file libav reads as `format_name`, nearest to essence of `kind`.

    `major_brand` tells QuickTime from MP4, which libav reads with one demuxer.
    """
    first = format_name.split(",", maxsplit=1)[0]
    if first == "mov" and not major_brand.startswith("qt"):
        first = "mp4"
    video, audio = _CONTAINERS.get(first, (None, None))
    return video if kind is Kind.VIDEO else audio


def carrier(codec: str) -> Carrier:
    """The container that segments of `codec` are cut into.

    Raises:
        CannotCarry: when neither MPEG-TS nor WAV can hold the codec.
    """
    if codec in _IN_MPEG_TS:
        return MPEG_TS
    if codec in _IN_WAV:
        return WAV
    raise CannotCarry(
        f"{codec} cannot be carried: segments are MPEG-TS (H.264, H.265, MPEG-2, AAC, MP3, AC-3) "
        "or WAV (little-endian PCM), and nothing is re-encoded"
    )
