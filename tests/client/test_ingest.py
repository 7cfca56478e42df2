"""Ingesting into the running store, and continuing what was interrupted."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from itertools import pairwise
from uuid import UUID

import pytest

from schemas.domain.timerange import ETERNITY, NS_PER_S, TimeRange
from tests.media.making import Recipe, record
from workers.client.ingest import ingest
from workers.client.store import Store, StoreError

DURATION = Fraction(4, 5)


class Interrupted(Exception):
    """What stands for Ctrl-C."""


class Faltering(Store):
    """A store whose connection is lost after some uploads."""

    uploads_left = 3

    def upload(self, slot, path):
        if not self.uploads_left:
            raise Interrupted
        self.uploads_left -= 1
        super().upload(slot, path)


@pytest.fixture
def client(store_facts):
    with Store(store_facts["api"]) as client:
        yield client


@pytest.fixture
def recording(tmp_path):
    return record(tmp_path / "recording", Recipe())


def new_id():
    return str(UUID(bytes=secrets.token_bytes(16), version=4))


def ranges(client, flow_id):
    return [TimeRange.parse(s["timerange"]) for s in client.segments(flow_id, ETERNITY)]


def test_video_and_audio_become_flows_collected_by_a_third(client, recording):
    ingested = ingest(client, recording, flow_id=new_id(), segment_duration=DURATION)

    multi = client.flow(ingested.flow_id)
    video, audio = ingested.stream_flows
    assert multi["format"] == "urn:x-nmos:format:multi"
    assert [(c["id"], c["role"]) for c in multi["flow_collection"]] == [
        (video, "video"),
        (audio, "audio"),
    ]
    assert multi["flow_collection"][0]["container_mapping"]["mp2ts_container"] == {"pid": 256}
    assert client.flow(video)["essence_parameters"]["frame_rate"]["numerator"] == 25
    assert client.flow(audio)["essence_parameters"]["sample_rate"] == 48_000
    assert client.flow(audio)["container"] == "video/mp2t"


def test_the_segments_of_a_flow_meet(client, recording):
    ingested = ingest(
        client, recording, flow_id=new_id(), segment_duration=DURATION, origin_ns=50 * NS_PER_S
    )

    for flow_id, timerange in ingested.stream_flows.items():
        found = ranges(client, flow_id)
        assert all(a.end == b.start for a, b in pairwise(found))
        assert TimeRange.hull(found) == timerange
    assert next(iter(ingested.stream_flows.values())) == TimeRange.half_open(
        50 * NS_PER_S, 53 * NS_PER_S
    )


def test_a_second_run_has_nothing_to_do(client, recording):
    flow_id = new_id()
    first = ingest(client, recording, flow_id=flow_id, segment_duration=DURATION)

    second = ingest(client, recording, flow_id=flow_id, segment_duration=DURATION)

    assert (len(second.uploaded), second.found) == (0, len(first.uploaded))
    assert second.stream_flows == first.stream_flows


def test_an_interrupted_run_is_continued(store_facts, client, recording, monkeypatch):
    monkeypatch.setattr("workers.client.uploads._BATCH", 1)
    flow_id = new_id()
    with Faltering(store_facts["api"]) as faltering, pytest.raises(Interrupted):
        ingest(faltering, recording, flow_id=flow_id, segment_duration=DURATION, connections=1)

    continued = ingest(client, recording, flow_id=flow_id, segment_duration=DURATION)

    assert continued.found > 0
    assert continued.uploaded
    for id_, timerange in continued.stream_flows.items():
        found = ranges(client, id_)
        assert all(a.end == b.start for a, b in pairwise(found))
        assert TimeRange.hull(found) == timerange


def test_two_runs_at_a_time_agree(store_facts, client, recording):
    flow_id = new_id()

    def run(_):
        with Store(store_facts["api"]) as own:
            return ingest(own, recording, flow_id=flow_id, segment_duration=DURATION)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(run, range(2))

    total = len(first.uploaded) + first.found
    assert first.stream_flows == second.stream_flows
    assert len(first.uploaded) + len(second.uploaded) == total
    assert sum(len(ranges(client, id_)) for id_ in first.stream_flows) == total


def test_the_same_bytes_go_into_the_same_flows(client, tmp_path):
    unique = Recipe(frames=30, first_frame=secrets.randbelow(100_000))
    recording = record(tmp_path / "a", unique)
    copy = tmp_path / "b.ts"
    copy.write_bytes(recording.read_bytes())

    first = ingest(client, recording)
    second = ingest(client, copy)

    assert second.flow_id == first.flow_id
    assert UUID(first.flow_id).version == 5
    assert not second.uploaded


def test_a_taken_timeline_is_refused_before_anything_is_uploaded(client, recording):
    flow_id = new_id()
    first = ingest(client, recording, flow_id=flow_id, segment_duration=DURATION)
    before = ranges(client, next(iter(first.stream_flows)))

    with pytest.raises(StoreError, match="would overlap"):
        ingest(client, recording, flow_id=flow_id, segment_duration=Fraction(6, 5))

    assert ranges(client, next(iter(first.stream_flows))) == before


def test_another_file_can_follow_in_the_same_flows(client, recording, tmp_path):
    flow_id = new_id()
    first = ingest(client, recording, flow_id=flow_id, segment_duration=DURATION)
    next_ = record(tmp_path / "next", Recipe(frames=50, gop=25))

    second = ingest(client, next_, flow_id=flow_id, origin_ns=4 * NS_PER_S)

    assert list(second.stream_flows) == list(first.stream_flows)
    video = ranges(client, next(iter(first.stream_flows)))
    assert TimeRange.hull(video) == TimeRange.half_open(0, 6 * NS_PER_S)


def test_a_flow_of_another_codec_is_refused(client, tmp_path):
    flow_id = new_id()
    ingest(client, record(tmp_path / "a", Recipe(audio=None)), flow_id=flow_id)
    other = record(tmp_path / "b", Recipe(audio=None, codec="mpeg2video"))

    with pytest.raises(StoreError, match="codec") as caught:
        ingest(client, other, flow_id=flow_id, origin_ns=100 * NS_PER_S)
    assert caught.value.field == "codec"


def test_a_file_with_sound_does_not_fit_a_flow_of_pictures(client, tmp_path, recording):
    flow_id = new_id()
    ingest(client, record(tmp_path / "a", Recipe(audio=None)), flow_id=flow_id)

    with pytest.raises(StoreError, match="2 streams"):
        ingest(client, recording, flow_id=flow_id)


def test_a_sound_file_is_one_flow(client, tmp_path):
    wav = record(tmp_path / "a", Recipe(suffix=".wav", codec=None, audio="pcm_s16le"))

    ingested = ingest(client, wav, flow_id=new_id())

    assert list(ingested.stream_flows) == [ingested.flow_id]
    flow = client.flow(ingested.flow_id)
    assert (flow["codec"], flow["container"]) == ("audio/x-raw-int", "audio/wav")
