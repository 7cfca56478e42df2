"""Measuring one media object, and refusing what is none."""

import io
import os
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from infra.media.boxes import shape
from infra.media.errors import UnreadableMedia
from infra.media.opening import name
from infra.media.timing import measure
from schemas.domain.ingest import Measured, Shape, Ticking
from tests.media.making import Recipe, record


def test_a_transport_stream_is_measured_by_its_video(tmp_path):
    recording = record(tmp_path / "r", Recipe(first_frame=100))

    # Two B-frames put the first picture two frames behind the first decoding time.
    assert measure(recording) == Measured(
        start_ns=4_000_000_000,
        end_ns=7_000_000_000,
        last_duration_ns=40_000_000,
        sample_count=75,
        key_frame_count=8,
        ticking=Ticking.WRAPPING,
        container="mpegts",
        essence="video",
    )


FRAGMENTED = {"movflags": "empty_moov+default_base_moof+frag_keyframe"}


@pytest.mark.parametrize(
    ("recipe", "ticking", "container", "essence"),
    [
        (Recipe(audio=None), Ticking.WRAPPING, "mpegts", "video"),
        (Recipe(suffix=".mp4", audio=None), Ticking.NOTHING, "mov", "video"),
        (Recipe(suffix=".mp4", audio=None, options=FRAGMENTED), Ticking.COUNTING, "mov", "video"),
        (Recipe(suffix=".mkv", audio=None), Ticking.COUNTING, "matroska", "video"),
        (Recipe(suffix=".wav", codec=None, audio="pcm_s16le"), Ticking.NOTHING, "wav", "audio"),
    ],
)
def test_what_timestamps_count_from_is_told_by_the_container(
    tmp_path, recipe, ticking, container, essence
):
    with record(tmp_path / "r", recipe).open("rb") as file:
        found = measure(file)

    assert (found.ticking, found.container, found.essence) == (ticking, container, essence)
    assert found.sample_rate == (48_000 if essence == "audio" else None)


def test_the_shape_of_a_file_is_told_by_its_outermost_boxes(tmp_path):
    recipe = Recipe(suffix=".mp4", audio=None, options=FRAGMENTED)
    whole = record(tmp_path / "fragmented", recipe).read_bytes()
    at = whole.index(b"moof") - 4
    plain = record(tmp_path / "plain", Recipe(suffix=".mp4", audio=None)).read_bytes()

    shapes = [shape(io.BytesIO(each)) for each in (whole, whole[:at], whole[at:], plain, b"x" * 99)]

    assert shapes == [Shape.FRAGMENTED, Shape.INIT, Shape.FRAGMENT, Shape.WHOLE, Shape.WHOLE]


def test_an_mp4_is_measured_by_its_video(tmp_path):
    recording = record(tmp_path / "r", Recipe(suffix=".mp4", rate=Fraction(30000, 1001)))

    timing = measure(recording)

    assert (timing.start_ns, timing.end_ns) == (0, 75 * 1001 * 10**9 // 30000)
    assert timing.last_duration_ns == 33_366_666


def test_sound_is_measured_in_samples(tmp_path):
    wav = record(tmp_path / "r", Recipe(suffix=".wav", codec=None, audio="pcm_s16le"))

    assert measure(wav) == Measured(
        start_ns=0,
        end_ns=140 * 1_024 * 10**9 // 48_000,
        last_duration_ns=20_833,
        sample_count=140 * 1_024,
        key_frame_count=0,
        ticking=Ticking.NOTHING,
        container="wav",
        essence="audio",
        sample_rate=48_000,
    )


def test_a_file_object_is_measured_like_the_file(tmp_path):
    recording = record(tmp_path / "r", Recipe(suffix=".mp4"))

    assert measure(io.BytesIO(recording.read_bytes())) == measure(recording)


def test_its_timerange_ends_where_the_last_sample_ends(tmp_path):
    recording = record(tmp_path / "r", Recipe(first_frame=100))

    assert str(measure(recording).timerange) == "[4:0_7:0)"


@pytest.mark.parametrize("rate", [Fraction(60000, 1001), Fraction(24000, 1001)])
def test_objects_recorded_one_after_the_other_never_overlap(tmp_path, rate):
    # The period of these rates is no whole number of 90 kHz ticks.
    timings = []
    for n in range(6):
        length = 7 + n
        start = 100 + sum(range(7, 7 + n))
        recipe = Recipe(rate=rate, frames=length, first_frame=start, audio=None)
        timings.append(measure(record(tmp_path / str(n), recipe)))

    gaps = [b.start_ns - a.end_ns for a, b in pairwise(timings)]

    assert all(0 <= gap <= 11_112 for gap in gaps)  # a tick of 90 kHz


def test_a_clock_that_wraps_inside_the_object_goes_on(tmp_path):
    frames_before = int((Fraction(2**33, 90_000) - 1) * 25)
    recording = record(tmp_path / "r", Recipe(first_frame=frames_before, frames=50))

    timing = measure(recording)

    assert timing.start_ns == frames_before * 40_000_000
    assert timing.end_ns - timing.start_ns == 2_000_000_000


UNREADABLE = {
    "empty": (b"", "cannot be read"),
    "text": (b"This is a story about a file that is no media.\n" * 200, "cannot be read"),
    "noise": (os.urandom(50_000), "cannot be read"),
    "a playlist": (b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\na.ts\n", "cannot be read"),
    "transport stream without media": (
        b"".join(b"\x47\x1f\xff\x10" + bytes(184) for _ in range(50)),
        "ends before any media",
    ),
}


@pytest.mark.parametrize(("content", "reason"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_media_is_refused_with_a_reason(content, reason):
    with pytest.raises(UnreadableMedia, match=reason):
        measure(io.BytesIO(content))


@pytest.mark.parametrize("suffix", [".mp4", ".wav"])
def test_a_truncated_file_is_refused(tmp_path, suffix):
    video = "libx264" if suffix == ".mp4" else None
    audio = "aac" if suffix == ".mp4" else "pcm_s16le"
    whole = record(tmp_path / "r", Recipe(suffix=suffix, codec=video, audio=audio))
    half = whole.read_bytes()[: whole.stat().st_size // 2 + 1]

    with pytest.raises(UnreadableMedia):
        measure(io.BytesIO(half))


def test_an_mp4_whose_media_breaks_off_is_refused(tmp_path):
    whole = record(tmp_path / "r", Recipe(suffix=".mp4", options={"movflags": "faststart"}))
    most = whole.read_bytes()[: whole.stat().st_size * 7 // 10]

    with pytest.raises(UnreadableMedia, match="truncated"):
        measure(io.BytesIO(most))


def test_a_raw_video_stream_has_no_timestamps_and_is_refused(tmp_path):
    raw = record(tmp_path / "r", Recipe(suffix=".h264", audio=None))

    with pytest.raises(UnreadableMedia):
        measure(raw)


def test_a_picture_is_refused(tmp_path):
    picture = tmp_path / "p.png"
    with av.open(str(picture), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "rgb24"
        container.mux(stream.encode(av.VideoFrame(16, 16, "rgb24")))
        container.mux(stream.encode(None))

    with pytest.raises(UnreadableMedia, match="not a container"):
        measure(picture)


def test_a_missing_file_is_refused():
    with pytest.raises(UnreadableMedia, match="is not a file"):
        measure(Path("nowhere.ts"))


def test_messages_name_files_and_objects():
    assert name(Path("some/where.ts")) == "where.ts"
    assert name(io.BytesIO()) == "the object"
