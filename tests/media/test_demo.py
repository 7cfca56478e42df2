"""The recording the demonstration makes."""

import time

from infra.media.demo import make_recording
from infra.media.font import GLYPH_HEIGHT, GLYPH_WIDTH, rows
from infra.media.probe import probe
from tests.media.making import pictures


def test_it_has_the_frames_and_the_sound_it_should(tmp_path):
    make_recording(tmp_path / "r.ts", 4)

    video, audio = probe(tmp_path / "r.ts").tracks

    assert (len(video.pts), video.key_frame_count, video.sampling.rate) == (100, 4, 25)
    assert 0 <= audio.sample_count - 4 * 48_000 <= 2 * 1_024


def test_no_two_pictures_are_alike(tmp_path):
    make_recording(tmp_path / "r.ts", 2)

    assert len(set(pictures(tmp_path / "r.ts"))) == 50


def test_thirty_seconds_are_made_quickly(tmp_path):
    started = time.monotonic()
    make_recording(tmp_path / "r.ts", 30)

    assert time.monotonic() - started < 20


def test_digits_are_drawn_to_scale():
    drawn = rows("1:", 2, 0, 255)

    assert len(drawn) == GLYPH_HEIGHT * 2
    assert {len(row) for row in drawn} == {2 * (GLYPH_WIDTH + 1) * 2}
    assert drawn[0][4:6] == b"\xff\xff"
