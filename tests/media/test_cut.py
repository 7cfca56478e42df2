"""Cutting at key frames: nothing lost, nothing twice, nothing apart."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from mediatimestamp.immutable import TimeOffset

from infra.media.codecs import Kind
from infra.media.cut import CutSegment, cut
from infra.media.errors import CannotCarry, UnreadableMedia
from infra.media.join import Downloaded, join, select
from infra.media.plan import plan
from infra.media.timing import measure
from schemas.domain.timerange import ETERNITY, TimeRange, parse_timestamp
from tests.media.making import Recipe, packets, pictures, record

RECIPES = {
    "25 fps": Recipe(),
    "29.97 fps": Recipe(rate=Fraction(30000, 1001)),
    "50 fps": Recipe(rate=Fraction(50), frames=150),
    "59.94 fps": Recipe(rate=Fraction(60000, 1001), frames=150),
    "23.976 fps, no B-frames": Recipe(rate=Fraction(24000, 1001), b_frames=0),
    "many B-frames": Recipe(b_frames=5, gop=24),
    "44.1 kHz": Recipe(sample_rate=44_100),
    "MP3": Recipe(audio="libmp3lame"),
    "AC-3": Recipe(audio="ac3"),
    "starts late": Recipe(first_frame=333),
    "MP4": Recipe(suffix=".mp4", rate=Fraction(30000, 1001)),
    "fragmented MP4": Recipe(
        suffix=".mp4", options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    ),
    "MP4, open groups": Recipe(suffix=".mp4", open_gop=True),
    "TS, open groups": Recipe(open_gop=True),
    "Matroska": Recipe(suffix=".mkv", rate=Fraction(60000, 1001), frames=150),
    "H.265 in MP4": Recipe(suffix=".mp4", codec="libx265", b_frames=0),
    "H.265": Recipe(codec="libx265"),
    "MPEG-2": Recipe(codec="mpeg2video", open_gop=True),  # as its encoder makes them
    "MOV with PCM": Recipe(suffix=".mov", audio="pcm_s16le"),
    "silent film": Recipe(audio=None),
}
ORIGIN_NS = 1_700_000_000_123_456_789


@pytest.fixture(scope="module", params=RECIPES.values(), ids=RECIPES)
def cut_up(request, tmp_path_factory):
    """A recording and its segments, by the kind of essence."""
    directory = tmp_path_factory.mktemp("cut")
    recording = record(directory / "recording", request.param)
    by_kind: dict[Kind, list[CutSegment]] = {}
    for segment in cut(recording, plan(recording, Fraction(4, 5)), directory, origin_ns=ORIGIN_NS):
        by_kind.setdefault(segment.stream.essence.kind, []).append(segment)
    return request.param, recording, by_kind


def test_there_are_several_segments_of_each_kind(cut_up):
    recipe, _, by_kind = cut_up

    assert set(by_kind) == {Kind.VIDEO, Kind.AUDIO} - ({Kind.AUDIO} if not recipe.audio else set())
    assert all(len(segments) >= 3 for segments in by_kind.values())


def test_segments_meet_exactly(cut_up):
    _, _, by_kind = cut_up

    for segments in by_kind.values():
        assert all(a.timerange.end == b.timerange.start for a, b in pairwise(segments))


def test_video_lies_on_the_grid_of_its_frame_rate(cut_up):
    recipe, _, by_kind = cut_up
    rate = (recipe.rate.numerator, recipe.rate.denominator)

    frames = 0
    for segment in by_kind[Kind.VIDEO]:
        start = TimeOffset.from_count(frames, *rate).to_nanosec()
        frames += segment.piece.sample_count
        end = TimeOffset.from_count(frames, *rate).to_nanosec()
        assert segment.timerange == TimeRange.half_open(ORIGIN_NS + start, ORIGIN_NS + end)
    assert frames == recipe.frames


def test_objects_hold_the_times_they_are_said_to_hold(cut_up):
    _, _, by_kind = cut_up

    for segments in by_kind.values():
        for segment in segments:
            measured = measure(segment.path)
            assert segment.object_timerange.shifted(segment.ts_offset_ns) == segment.timerange
            assert measured.start_ns == segment.object_timerange.start_ns
            assert 0 <= segment.object_timerange.end_ns - measured.end_ns < 11_112
            assert measured.sample_count == segment.piece.sample_count
            assert measured.key_frame_count == segment.piece.key_frame_count


def test_video_segments_start_with_a_key_frame_and_decode_by_themselves(cut_up):
    recipe, _, by_kind = cut_up
    leading = recipe.b_frames if recipe.open_gop else 0  # these need the segment before

    for segment in by_kind[Kind.VIDEO]:
        assert segment.stream.track.key[segment.piece.first]
        missing = segment.piece.sample_count - len(pictures(segment.path))
        assert 0 <= missing <= leading


def test_joined_again_every_frame_is_there_once(cut_up, tmp_path):
    recipe, recording, by_kind = cut_up
    suffix = ".mov" if recipe.audio == "pcm_s16le" else ".ts"
    output = tmp_path / f"joined{suffix}"

    selections = [
        select([_downloaded(s) for s in segments], ETERNITY)
        for _, segments in sorted(by_kind.items(), reverse=True)
    ]
    join(selections, output)

    assert pictures(output) == pictures(recording)
    if recipe.audio in {"libmp3lame", "ac3"}:
        assert packets(output, "audio") == packets(recording, "audio")
    if recipe.audio:
        audio = sum(s.piece.stop - s.piece.first for s in by_kind[Kind.AUDIO])
        assert audio == len(packets(recording, "audio"))
        assert selections[1].frame_count == sum(
            len(packets(s.path, "audio")) for s in by_kind[Kind.AUDIO]
        )


def test_sound_keeps_its_distance_from_the_pictures(tmp_path):
    recording = record(tmp_path / "recording", Recipe(first_frame=100))
    plan_ = plan(recording, Fraction(1))

    video, audio = (stream.pieces[0].start for stream in plan_.streams)

    assert video == 0
    assert audio == Fraction(-1_024, 48_000)


def test_wav_is_cut_into_wav(tmp_path):
    wav = record(
        tmp_path / "sound", Recipe(suffix=".wav", codec=None, audio="pcm_s16le", frames=150)
    )

    segments = list(cut(wav, plan(wav, Fraction(2)), tmp_path))

    assert [s.path.suffix for s in segments] == [".wav"] * len(segments)
    assert [s.object_timerange.start for s in segments] == [0] * len(segments)
    assert sum(s.piece.sample_count for s in segments) == 281 * 1_024
    assert b"".join(b"".join(packets(s.path, "audio")) for s in segments) == b"".join(
        packets(wav, "audio")
    )


def test_segments_not_wanted_are_not_made(tmp_path):
    recording = record(tmp_path / "recording", Recipe(audio=None))
    plan_ = plan(recording, Fraction(1))
    second = plan_.streams[0].pieces[1]

    segments = list(cut(recording, plan_, tmp_path, wanted=lambda _, piece: piece is second))

    assert [s.piece for s in segments] == [second]
    assert len(pictures(segments[0].path)) == second.sample_count


def test_cutting_twice_gives_the_same_bytes(tmp_path):
    recording = record(tmp_path / "recording", Recipe())
    plan_ = plan(recording, Fraction(1))

    runs = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        runs.append([s.path.read_bytes() for s in cut(recording, plan_, tmp_path / name)])

    assert runs[0] == runs[1]


def test_pictures_before_the_first_key_frame_are_left_out_and_said_to_be(tmp_path):
    whole = record(tmp_path / "whole", Recipe(audio=None))
    data = whole.read_bytes()
    clipped = tmp_path / "clipped.ts"
    clipped.write_bytes(data[: 188 * 3] + data[188 * 14 :])  # keeps the tables

    plan_ = plan(clipped, Fraction(1))
    segments = list(cut(clipped, plan_, tmp_path))

    assert "before its first key frame" in plan_.left_out[0]
    assert segments[0].timerange.start == 0
    assert len(pictures(segments[0].path)) == segments[0].piece.sample_count


def test_a_codec_no_segment_can_carry_is_named(tmp_path):
    recording = record(tmp_path / "r", Recipe(suffix=".mkv", codec="ffv1", audio=None))

    with pytest.raises(CannotCarry, match="ffv1"):
        plan(recording, Fraction(1))


def test_a_clock_that_wraps_in_the_middle_is_followed(tmp_path):
    wrap_s = Fraction(2**33, 90_000)
    frames_before = int((wrap_s - 2) * 25)
    recording = record(tmp_path / "recording", Recipe(first_frame=frames_before, frames=100))

    segments = list(cut(recording, plan(recording, Fraction(1)), tmp_path))

    video = [s for s in segments if s.stream.essence.kind is Kind.VIDEO]
    assert TimeRange.hull(s.timerange for s in video) == TimeRange.half_open(0, 4 * 10**9)
    assert all(measure(s.path).start_ns == s.object_timerange.start_ns for s in segments)


def test_a_missing_file_is_said_to_be_missing():
    with pytest.raises(UnreadableMedia, match="is not a file"):
        plan(Path("nowhere.ts"), Fraction(1))


def test_a_negative_time_is_written_as_the_specification_wants():
    timerange = TimeRange.half_open(-21_333_334, 0)

    assert str(timerange) == "[-0:21333334_0:0)"
    assert parse_timestamp("-0:21333334") == -21_333_334


def _downloaded(segment: CutSegment) -> Downloaded:
    return Downloaded(segment.path, segment.timerange, segment.ts_offset_ns)
