"""Joining segments: trimmed to key frames, gaps kept, and said what was got."""

from fractions import Fraction

import pytest

from infra.media.cut import cut
from infra.media.errors import CannotCarry
from infra.media.join import Downloaded, join, select, starts_decodable
from infra.media.plan import plan
from infra.media.probe import probe
from schemas.domain.timerange import ETERNITY, NS_PER_S, TimeRange
from tests.media.making import Recipe, pictures, record

GOP_NS = 400_000_000
FRAME_NS = 40_000_000


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A recording of 3 s with a key frame every 0.4 s, and its segments by stream."""
    directory = tmp_path_factory.mktemp("join")
    recording = record(directory / "recording", Recipe())
    flows: dict[int, list[Downloaded]] = {}
    for s in cut(recording, plan(recording, Fraction(4, 5)), directory):
        located = Downloaded(s.path, s.timerange, s.ts_offset_ns)
        flows.setdefault(s.stream.essence.index, []).append(located)
    return recording, flows[0], flows[1]


@pytest.mark.parametrize("suffix", [".ts", ".mp4", ".mkv", ".mov"])
def test_a_range_starts_at_the_key_frame_before_it(recorded, tmp_path, suffix):
    recording, video, _ = recorded
    wanted = TimeRange.half_open(GOP_NS + 5 * FRAME_NS, 4 * GOP_NS + FRAME_NS)

    selection = select(video, wanted)
    join([selection], tmp_path / f"out{suffix}")

    assert selection.timerange.start_ns == GOP_NS
    # The last frame asked for is a key frame; nothing behind it is needed.
    assert selection.timerange.end_ns == 4 * GOP_NS + FRAME_NS
    assert pictures(tmp_path / f"out{suffix}") == pictures(recording)[10:41]
    assert not selection.gaps


def test_frames_the_last_one_refers_to_are_kept(recorded):
    _, video, _ = recorded

    selection = select(video, TimeRange.half_open(0, 2 * FRAME_NS))

    # I0 B1 B2 P3: the second frame cannot be decoded without the fourth.
    assert selection.frame_count == 3
    assert selection.timerange == TimeRange.half_open(0, 4 * FRAME_NS)


def test_sound_accompanies_the_video_taken(recorded, tmp_path):
    _, video, audio = recorded
    selection = select(video, TimeRange.half_open(NS_PER_S, 2 * NS_PER_S))

    sound = select(audio, selection.timerange)
    join([selection, sound], tmp_path / "out.mp4")

    frame = 1_024 * NS_PER_S // 48_000 + 1
    assert 0 <= selection.timerange.start_ns - sound.timerange.start_ns <= frame
    assert 0 <= sound.timerange.end_ns - selection.timerange.end_ns <= frame
    pictures_track, sound_track = probe(tmp_path / "out.mp4").tracks
    distance = sound_track.sampling.first - pictures_track.sampling.first
    expected = Fraction(sound.timerange.start_ns - selection.timerange.start_ns, NS_PER_S)
    assert abs(distance - expected) < Fraction(1, 48_000)


def test_a_gap_stays_a_gap(recorded, tmp_path):
    _, video, _ = recorded
    missing = video[1]

    selection = select([video[0], *video[2:]], ETERNITY)
    join([selection], tmp_path / "out.mp4")

    assert selection.gaps == [missing.timerange]
    sampling = probe(tmp_path / "out.mp4").tracks[0].sampling
    assert sampling.end(sampling.last()) == 3
    assert len(sampling.counts) == 75 - 20


def test_a_container_without_timestamps_refuses_a_gap(tmp_path):
    wav = record(tmp_path / "r", Recipe(suffix=".wav", codec=None, audio="pcm_s16le"))
    segments = [
        Downloaded(s.path, s.timerange, s.ts_offset_ns)
        for s in cut(wav, plan(wav, Fraction(1)), tmp_path)
    ]

    with pytest.raises(CannotCarry, match="gap"):
        join([select([segments[0], segments[2]], ETERNITY)], tmp_path / "out.wav")
    assert not list(tmp_path.glob("*out.wav"))


def test_a_container_that_cannot_hold_the_codec_leaves_no_file(recorded, tmp_path):
    _, video, _ = recorded

    with pytest.raises(CannotCarry, match=r"out\.wav"):
        join([select(video, ETERNITY)], tmp_path / "out.wav")
    assert not list(tmp_path.iterdir())


def test_nothing_in_the_range_is_nothing(recorded):
    _, video, _ = recorded

    assert select(video, TimeRange.half_open(10 * NS_PER_S, 11 * NS_PER_S)) is None


def test_a_segment_may_use_part_of_its_object(recorded, tmp_path):
    recording, video, _ = recorded
    second = TimeRange.half_open(100 * NS_PER_S, 100 * NS_PER_S + GOP_NS)
    reused = Downloaded(video[0].path, second, 100 * NS_PER_S - 10 * NS_PER_S - GOP_NS)

    selection = select([reused], ETERNITY)
    join([selection], tmp_path / "out.ts")

    assert selection.timerange == second
    assert pictures(tmp_path / "out.ts") == pictures(recording)[10:20]


def test_an_open_group_needs_the_segment_before(tmp_path):
    recording = record(tmp_path / "r", Recipe(open_gop=True, audio=None))
    segments = [
        Downloaded(s.path, s.timerange, s.ts_offset_ns)
        for s in cut(recording, plan(recording, Fraction(4, 5)), tmp_path)
    ]

    needing = [not starts_decodable(s, s.timerange) for s in segments]

    assert needing[0] is False
    assert any(needing[1:])
