"""A test recording: colour bars with a running clock, and a tone.

* H.264 (with B-frames, a closed group of pictures each second) and AAC in MPEG-TS.
* Every picture carries its own time as hours:minutes:seconds:frames, and a row of small
  squares that spells its number in binary, so that no two are alike.
"""

from array import array
from collections.abc import Sequence
from fractions import Fraction
from math import pi, sin
from pathlib import Path
from typing import Final

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream

from infra.media.font import GLYPH_HEIGHT, GLYPH_WIDTH, rows

FRAME_RATE: Final = 25
SAMPLE_RATE: Final = 48_000
_WIDTH: Final = 640
_HEIGHT: Final = 360
_SCALE: Final = 6
_TONE_HZ: Final = 1_000
_TONE_LEVEL: Final = 0.1  # -20 dB of full scale
_AUDIO_FRAME: Final = 1_024
_NUMBER_BITS: Final = 16
_SQUARE: Final = 16
# Luma and chroma of 75 % bars: grey, yellow, cyan, green, magenta, red, blue (BT.709).
_BARS: Final = (
    *((180, 128, 128), (168, 44, 136), (145, 147, 44), (133, 63, 52)),
    *((63, 193, 204), (51, 109, 212), (28, 212, 120)),
)
_BLACK: Final = 16
_WHITE: Final = 235
_NEUTRAL: Final = 128


def make_recording(path: Path, duration_s: int = 30) -> None:
    """Write a recording of `duration_s` whole seconds to `path`, in MPEG-TS."""
    with av.open(f"file:{path}", "w", format="mpegts") as container:
        video, audio = _video_stream(container), _audio_stream(container)
        bars, second = _bars(), _tone()
        for n in range(duration_s * FRAME_RATE):
            container.mux(video.encode(_picture(n, bars)))
            first, stop = (k * SAMPLE_RATE // FRAME_RATE // _AUDIO_FRAME for k in (n, n + 1))
            for k in range(first, stop):
                container.mux(audio.encode(_sound(k, second)))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def _video_stream(container: OutputContainer) -> VideoStream:
    options = {
        "preset": "veryfast",
        "bf": "2",
        "g": str(FRAME_RATE),
        "x264-params": "scenecut=0:open-gop=0:colorprim=bt709:transfer=bt709:colormatrix=bt709",
    }
    stream = container.add_stream("libx264", rate=FRAME_RATE, options=options)
    stream.width, stream.height, stream.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
    stream.codec_context.time_base = Fraction(1, FRAME_RATE)
    return stream


def _audio_stream(container: OutputContainer) -> AudioStream:
    stream = container.add_stream("aac", rate=SAMPLE_RATE, options={"b": "128000"})
    stream.codec_context.layout = "stereo"
    return stream


def _bars() -> tuple[bytes, bytes, bytes]:
    """The three planes of the bars, without the clock."""
    planes = []
    for component, (width, height) in enumerate(
        ((_WIDTH, _HEIGHT), (_WIDTH // 2, _HEIGHT // 2), (_WIDTH // 2, _HEIGHT // 2))
    ):
        row = bytes(_BARS[x * len(_BARS) // width][component] for x in range(width))
        planes.append(row * height)
    return planes[0], planes[1], planes[2]


def _picture(n: int, bars: tuple[bytes, bytes, bytes]) -> av.VideoFrame:
    """Picture number `n`, with its time in a black box."""
    frame = av.VideoFrame(_WIDTH, _HEIGHT, "yuv420p")
    seconds, frames = divmod(n, FRAME_RATE)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours:02}:{minutes:02}:{seconds:02}:{frames:02}"
    box_width = len(clock) * (GLYPH_WIDTH + 1) * _SCALE
    left, top = (_WIDTH - box_width) // 2, (_HEIGHT - GLYPH_HEIGHT * _SCALE) // 2
    luma, blue, red = (bytearray(plane) for plane in bars)
    _paste(luma, _WIDTH, left, top, rows(clock, _SCALE, _BLACK, _WHITE))
    _paste(luma, _WIDTH, _SQUARE, _HEIGHT - 2 * _SQUARE, _number(n))
    grey = [bytes([_NEUTRAL]) * (box_width // 2)] * (GLYPH_HEIGHT * _SCALE // 2)
    for chroma in (blue, red):
        _paste(chroma, _WIDTH // 2, left // 2, top // 2, grey)
    for plane, pixels in zip(frame.planes, (luma, blue, red), strict=True):
        plane.update(_padded(pixels, plane.width, plane.line_size))
    frame.pts, frame.time_base = n, Fraction(1, FRAME_RATE)
    return frame


def _number(n: int) -> list[bytes]:
    """`n` in binary as a row of black and white squares, the highest bit first."""
    bits = (_WHITE if n >> bit & 1 else _BLACK for bit in range(_NUMBER_BITS - 1, -1, -1))
    return [b"".join(bytes([level]) * _SQUARE for level in bits)] * _SQUARE


def _paste(plane: bytearray, width: int, left: int, top: int, lines: Sequence[bytes]) -> None:
    for y, line in enumerate(lines, start=top):
        plane[y * width + left : y * width + left + len(line)] = line


def _padded(pixels: bytearray, width: int, line_size: int) -> bytes:
    if width == line_size:
        return bytes(pixels)
    padding = bytes(line_size - width)
    return b"".join(pixels[i : i + width] + padding for i in range(0, len(pixels), width))


def _tone() -> bytes:
    """One period of the tone, as 32-bit samples of one channel, many times over."""
    period = SAMPLE_RATE // _TONE_HZ
    wave = (_TONE_LEVEL * sin(2 * pi * k / period) for k in range(period))
    return array("f", wave).tobytes() * (2 * _AUDIO_FRAME // period + 1)


def _sound(k: int, tone: bytes) -> av.AudioFrame:
    """Audio frame number `k`, in phase with the one before."""
    frame = av.AudioFrame(format="fltp", layout="stereo", samples=_AUDIO_FRAME)
    phase = 4 * (k * _AUDIO_FRAME % (SAMPLE_RATE // _TONE_HZ))
    for plane in frame.planes:
        samples = tone[phase : phase + 4 * _AUDIO_FRAME]
        plane.update(samples + bytes(plane.buffer_size - len(samples)))
    frame.sample_rate = SAMPLE_RATE
    frame.pts, frame.time_base = k * _AUDIO_FRAME, Fraction(1, SAMPLE_RATE)
    return frame
