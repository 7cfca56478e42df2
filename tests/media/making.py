"""Small recordings for the tests, each frame unlike its neighbours."""

from array import array
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av

WIDTH, HEIGHT = 160, 96


@dataclass(frozen=True)
class Recipe:
    """What a recording is made of; times in frames or seconds as named."""

    suffix: str = ".ts"
    rate: Fraction = Fraction(25)
    frames: int = 75
    gop: int = 10
    codec: str | None = "libx264"
    b_frames: int = 2
    open_gop: bool = False
    audio: str | None = "aac"
    sample_rate: int = 48_000
    first_frame: int = 0
    options: dict[str, str] = field(default_factory=dict)
    encoder: dict[str, str] = field(default_factory=dict)
    pixels: str = "yuv420p"
    pixel_aspect: Fraction | None = None

    @property
    def seconds(self) -> Fraction:
        return self.frames / self.rate


def record(path: Path, recipe: Recipe) -> Path:
    """Make the recording in `path`, which gets the recipe's suffix."""
    target = path.with_suffix(recipe.suffix)
    with av.open(str(target), "w", options=recipe.options) as container:
        video = _video(container, recipe) if recipe.codec else None
        audio = _audio(container, recipe) if recipe.audio else None
        if video is not None:
            for n in range(recipe.frames):
                container.mux(video.encode(_picture(n, recipe)))
            container.mux(video.encode(None))
        if audio is not None:
            for frame in _sound(recipe):
                container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
    return target


def pictures(path: Path) -> list[bytes]:
    """The decoded luma of every picture, in order of presentation."""
    with av.open(str(path)) as container:
        return [bytes(frame.planes[0]) for frame in container.decode(video=0)]


def samples(path: Path) -> int:
    """How many audio samples a file decodes to."""
    with av.open(str(path)) as container:
        return sum(frame.samples for frame in container.decode(audio=0))


def packets(path: Path, kind: str) -> list[bytes]:
    """The coded frames of a file's first stream of a kind, in file order."""
    with av.open(str(path)) as container:
        stream = container.streams.best(kind)
        return [bytes(p) for p in container.demux(stream) if p.size]


def _video(container, recipe):
    options = {"g": str(recipe.gop), "bf": str(recipe.b_frames)}
    if recipe.codec == "libx264":
        opened = int(recipe.open_gop)
        options |= {"preset": "ultrafast", "x264-params": f"scenecut=0:open-gop={opened}"}
        options |= {"preset": "fast"} if recipe.open_gop else {}
    if recipe.codec == "libx265":
        options |= {"preset": "ultrafast", "x265-params": "log-level=none:open-gop=0:scenecut=0"}
    options |= recipe.encoder
    stream = container.add_stream(recipe.codec, rate=recipe.rate, options=options)
    stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, recipe.pixels
    if recipe.pixel_aspect:
        stream.codec_context.sample_aspect_ratio = recipe.pixel_aspect
    stream.codec_context.time_base = 1 / recipe.rate
    return stream


def _audio(container, recipe):
    stream = container.add_stream(recipe.audio, rate=recipe.sample_rate)
    stream.codec_context.layout = "stereo"
    return stream


def _picture(n, recipe):
    frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    for plane, level in zip(frame.planes, (n * 7 % 200 + 20, 128, 128), strict=True):
        plane.update(bytes([level]) * plane.buffer_size)
    top = bytes([235]) * (n % WIDTH)
    frame.planes[0].update(top + bytes(memoryview(frame.planes[0]))[len(top) :])
    frame = frame.reformat(format=recipe.pixels)
    frame.pts, frame.time_base = n + recipe.first_frame, 1 / recipe.rate
    return frame


def _sound(recipe):
    start = round(recipe.first_frame / recipe.rate * recipe.sample_rate)
    planar = not recipe.audio.startswith("pcm")
    for k in range(int(recipe.seconds * recipe.sample_rate) // 1_024):
        format_ = "fltp" if planar else "s16"
        frame = av.AudioFrame(format=format_, layout="stereo", samples=1_024)
        for plane in frame.planes:
            ramp = array("f", [k % 50 / 100] * 2_048) if planar else array("h", [k % 3000] * 2_048)
            plane.update(ramp.tobytes()[: plane.buffer_size])
        frame.sample_rate = recipe.sample_rate
        frame.pts, frame.time_base = start + k * 1_024, Fraction(1, recipe.sample_rate)
        yield frame
