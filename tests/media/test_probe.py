"""What a file says of itself, and whether the specification accepts it."""

import json
from fractions import Fraction
from pathlib import Path
from uuid import UUID

import av
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from infra.media.probe import probe
from infra.settings import process_environment
from tests.media.making import Recipe, record

RECIPES = {
    "TS": Recipe(),
    "MP4": Recipe(suffix=".mp4", rate=Fraction(30000, 1001)),
    "Matroska, H.265": Recipe(suffix=".mkv", codec="libx265"),
    "MOV, PCM": Recipe(suffix=".mov", audio="pcm_s24le"),
    "MPEG-2, MP3": Recipe(codec="mpeg2video", audio="libmp3lame", rate=Fraction(50)),
    "WAV": Recipe(suffix=".wav", codec=None, audio="pcm_s16le"),
    "ADTS": Recipe(suffix=".aac", codec=None),
}


@pytest.fixture(scope="session")
def flow_put():
    """A validator of the body of PUT /flows/{id}, from the official schemas."""
    checkout = Path(__file__).parents[2]
    given = process_environment().get("TAMS_SPEC_DIR")
    spec = Path(given) if given else checkout.parent / "shared" / "spec" / "8.2"
    if not (spec / "schemas" / "flow-put.json").is_file():
        pytest.skip(f"the TAMS 8.2 schemas are not at {spec}: set TAMS_SPEC_DIR")
    resources = [
        (path.name, Resource.from_contents(json.loads(path.read_text()), DRAFT202012))
        for path in (spec / "schemas").glob("*.json")
    ]
    registry = Registry().with_resources(resources)
    return Draft202012Validator({"$ref": "flow-put.json"}, registry=registry)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_flow_fields_are_as_the_specification_wants_them(tmp_path, flow_put, recipe):
    probed = probe(record(tmp_path / "r", recipe))

    for number in range(len(probed.streams)):
        flow = {"id": str(UUID(int=1, version=4)), "source_id": str(UUID(int=2, version=4))}
        flow_put.validate(flow | probed.flow_fields(number))


def test_everything_known_of_video_is_stated(tmp_path):
    probed = probe(record(tmp_path / "r", Recipe(suffix=".mp4")))

    fields = probed.flow_fields(0)

    bit_rate = fields.pop("avg_bit_rate")
    assert 0 < bit_rate < 200
    level = fields["essence_parameters"]["avc_parameters"].pop("level")
    assert level >= 10
    assert fields == {
        "format": "urn:x-nmos:format:video",
        "codec": "video/h264",
        "container": "video/mp4",
        "essence_parameters": {
            "frame_width": 160,
            "frame_height": 96,
            "frame_rate": {"numerator": 25, "denominator": 1},
            "bit_depth": 8,
            "interlace_mode": "progressive",
            "component_type": "YCbCr",
            "horiz_chroma_subs": 2,
            "vert_chroma_subs": 2,
            "avc_parameters": {"profile": 77, "flags": 64},
        },
    }


def test_the_profile_is_read_from_either_form_of_parameter_sets(tmp_path):
    forms = [probe(record(tmp_path / "r", Recipe(suffix=s))) for s in (".mp4", ".ts", ".mkv")]

    profiles = [p.streams[0].parameters.avc for p in forms]

    assert profiles[0] == profiles[1] == profiles[2]
    assert profiles[0] is not None


def test_everything_known_of_sound_is_stated(tmp_path):
    aac, pcm = (
        probe(record(tmp_path / "r", Recipe(suffix=suffix, codec=None, audio=audio))).flow_fields(0)
        for suffix, audio in ((".ts", "aac"), (".wav", "pcm_s16le"))
    )

    assert aac["essence_parameters"] == {
        "sample_rate": 48_000,
        "channels": 2,
        "codec_parameters": {"coded_frame_size": 1_024, "mp4_oti": 2},
    }
    assert (aac["codec"], aac["container"]) == ("audio/aac", "video/mp2t")
    assert pcm["essence_parameters"] == {
        "sample_rate": 48_000,
        "channels": 2,
        "bit_depth": 16,
        "unc_parameters": {"unc_type": "interleaved"},
    }
    assert (pcm["codec"], pcm["container"], pcm["avg_bit_rate"]) == (
        "audio/x-raw-int",
        "audio/wav",
        1_536,
    )


PICTURES = {
    "nothing said of colours": (Recipe(), {"colorspace": None, "transfer_characteristic": None}),
    "HDR": (
        Recipe(
            codec="libx265",
            pixels="yuv420p10le",
            encoder={
                "x265-params": "log-level=none:colorprim=bt2020:transfer=smpte2084"
                ":colormatrix=bt2020nc"
            },
        ),
        {"colorspace": "BT2100", "transfer_characteristic": "PQ", "bit_depth": 10},
    ),
    "HD": (
        Recipe(encoder={"x264-params": "colorprim=bt709:transfer=bt709:colormatrix=bt709"}),
        {"colorspace": "BT709", "transfer_characteristic": "SDR"},
    ),
    "top field first": (
        Recipe(encoder={"x264-params": "tff=1"}),
        {"interlace_mode": "interlaced_tff", "frame_rate": Fraction(25)},
    ),
    "bottom field first": (
        Recipe(encoder={"x264-params": "bff=1"}),
        {"interlace_mode": "interlaced_bff", "frame_rate": Fraction(25)},
    ),
    "4:2:2": (
        Recipe(pixels="yuv422p10le"),
        {"horizontal_subsampling": 2, "vertical_subsampling": 1, "bit_depth": 10},
    ),
    "wide pixels": (
        Recipe(codec="mpeg2video", pixel_aspect=Fraction(16, 15)),
        {"pixel_aspect_ratio": Fraction(16, 15), "aspect_ratio": Fraction(16, 9)},
    ),
}


@pytest.mark.parametrize(("recipe", "expected"), PICTURES.values(), ids=PICTURES)
def test_what_the_pictures_are_like_is_read_from_the_file(tmp_path, recipe, expected):
    parameters = probe(record(tmp_path / "r", recipe)).streams[0].parameters

    assert {name: getattr(parameters, name) for name in expected} == expected


def test_a_variable_frame_rate_is_called_variable(tmp_path, flow_put):
    steady = record(tmp_path / "steady", Recipe(audio=None))
    uneven = tmp_path / "uneven.mkv"
    with av.open(str(steady)) as source, av.open(str(uneven), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.pts += packet.pts**2 // 300_000  # slower and slower
                packet.dts += packet.dts**2 // 300_000
                packet.stream = stream
                target.mux(packet)

    fields = probe(uneven).flow_fields(0)

    assert fields["essence_parameters"]["vfr"] is True
    assert "frame_rate" not in fields["essence_parameters"]


def test_a_collection_says_where_each_stream_was(tmp_path):
    ts = probe(record(tmp_path / "r", Recipe()))
    mp4 = probe(record(tmp_path / "r", Recipe(suffix=".mp4")))

    assert ts.container_mapping(1) == {
        "track_index": 1,
        "format_track_index": 0,
        "mp2ts_container": {"pid": 257},
    }
    assert mp4.container_mapping(0) == {
        "track_index": 0,
        "format_track_index": 0,
        "isobmff_container": {"track_id": 1},
    }
