"""Getting timeranges of flows back out of the running store."""

import secrets
from fractions import Fraction
from uuid import UUID

import pytest

from infra.media.probe import probe
from schemas.domain.timerange import ETERNITY, NS_PER_S, TimeRange
from tests.media.making import Recipe, pictures, record, samples
from workers.client.download import get
from workers.client.ingest import ingest
from workers.client.store import Store, StoreError


@pytest.fixture
def client(store_facts):
    with Store(store_facts["api"]) as client:
        yield client


def new_id():
    return str(UUID(bytes=secrets.token_bytes(16), version=4))


def test_all_of_a_multi_flow_is_the_file_that_was_ingested(client, tmp_path):
    recording = record(tmp_path / "r", Recipe())
    ingested = ingest(client, recording, flow_id=new_id(), segment_duration=Fraction(4, 5))

    video, audio = get(client, ingested.flow_id, ETERNITY, tmp_path / "out.mp4")

    assert pictures(tmp_path / "out.mp4") == pictures(recording)
    assert (video.frame_count, audio.frame_count) == (75, len(probe(recording).tracks[1].pts) - 1)
    assert samples(tmp_path / "out.mp4") >= 3 * 48_000 - 1_024
    assert video.objects == {
        u.object_id: u.sha256 for u in ingested.uploaded if u.flow_id == video.flow_id
    }


def test_a_range_of_a_flow_starts_at_the_key_frame_before(client, tmp_path):
    recording = record(tmp_path / "r", Recipe(audio=None))
    flow_id = ingest(client, recording, flow_id=new_id(), segment_duration=Fraction(4, 5)).flow_id

    (got,) = get(client, flow_id, TimeRange.half_open(NS_PER_S, 2 * NS_PER_S), tmp_path / "o.ts")

    assert got.timerange == TimeRange.half_open(800_000_000, 2 * NS_PER_S)
    assert pictures(tmp_path / "o.ts") == pictures(recording)[20:50]


def test_an_open_group_is_decoded_with_the_segment_before(client, tmp_path):
    recording = record(tmp_path / "r", Recipe(open_gop=True, audio=None, codec="mpeg2video"))
    flow_id = ingest(client, recording, flow_id=new_id(), segment_duration=Fraction(4, 5)).flow_id
    second = list(client.segments(flow_id, ETERNITY))[1]
    wanted = TimeRange.parse(second["timerange"])

    (got,) = get(client, flow_id, wanted, tmp_path / "o.ts")

    # Pictures in front of the first key frame taken are the only ones that cannot be decoded.
    decoded, recorded = pictures(tmp_path / "o.ts"), pictures(recording)
    first, stop = (ns // 40_000_000 for ns in (wanted.start_ns, wanted.end_ns))
    assert got.timerange.start < wanted.start
    assert all(picture in decoded for picture in recorded[first:stop])


def test_gaps_between_segments_are_reported(client, tmp_path):
    flow_id = new_id()
    recording = record(tmp_path / "r", Recipe(audio=None))
    for start in (0, 5):
        ingest(client, recording, flow_id=flow_id, origin_ns=start * NS_PER_S)

    (got,) = get(client, flow_id, ETERNITY, tmp_path / "o.mp4")

    assert got.gaps == [TimeRange.half_open(3 * NS_PER_S, 5 * NS_PER_S)]
    sampling = probe(tmp_path / "o.mp4").tracks[0].sampling
    assert sampling.end(sampling.last()) == 8


def test_nothing_in_the_range_is_an_error_that_says_so(client, tmp_path):
    flow_id = ingest(client, record(tmp_path / "r", Recipe(audio=None)), flow_id=new_id()).flow_id

    with pytest.raises(StoreError, match="plays nothing in"):
        get(client, flow_id, TimeRange.half_open(99 * NS_PER_S, 100 * NS_PER_S), tmp_path / "o.ts")
    assert not (tmp_path / "o.ts").exists()


def test_an_unknown_flow_is_an_error_that_says_so(client, tmp_path):
    with pytest.raises(StoreError, match="does not exist"):
        get(client, new_id(), ETERNITY, tmp_path / "o.ts")
