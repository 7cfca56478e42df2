"""Files of every kind of encoder, dropped into the bucket of a running store, by rule."""

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import boto3
import httpx
import pytest

from tests.making import listed, new_id, put_flow, timeranges, video
from tests.media.making import Recipe, record
from tests.waiting import eventually

START = "2026-11-25T12:00:00Z"
START_S = int(datetime.fromisoformat(START).timestamp())


@pytest.fixture(scope="module")
def s3(store_facts: dict[str, Any]) -> Any:
    facts = store_facts["s3"]
    return boto3.client(
        "s3",
        endpoint_url=facts["endpoint"],
        region_name=facts["region"],
        aws_access_key_id=facts["access_key"],
        aws_secret_access_key=facts["secret_key"],
    )


class Dropping:
    """A place of its own in the bucket, and the rules for it."""

    def __init__(self, api: httpx.Client, s3: Any, bucket: str) -> None:
        self.api, self.s3, self.bucket = api, s3, bucket
        self.prefix = f"rules/{new_id()}/"
        self.rules: list[str] = []

    def rule(self, **fields: Any) -> str:
        body = {"bucket": self.bucket, "prefix": self.prefix, **fields}
        response = self.api.post("/ingest-rules", json=body)
        assert response.status_code == 201, response.text
        self.rules.append(response.json()["id"])
        return self.rules[-1]

    def drop(self, name: str, content: bytes | Path, **extra: Any) -> str:
        body = content.read_bytes() if isinstance(content, Path) else content
        key = self.prefix + name
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, **extra)
        return key

    def problem(self, name: str) -> dict[str, Any]:
        def find() -> Any:
            query = {"bucket": self.bucket, "prefix": self.prefix + name}
            found = self.api.get("/ingest-problems", params=query).json()
            return found[0] if found else None

        return dict(eventually(find))

    def forecast(self, name: str, **more: Any) -> dict[str, Any]:
        body = {"bucket": self.bucket, "key": self.prefix + name, **more}
        response = self.api.post("/ingest-rules/test", json=body)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def segments(self, flow_id: str, count: int) -> list[dict[str, Any]]:
        def find() -> Any:
            found = listed(self.api, flow_id)
            return found if len(found) >= count else None

        found = eventually(find)
        assert len(found) == count
        return list(found)


@pytest.fixture
def place(api: httpx.Client, s3: Any, store_facts: dict[str, Any]) -> Iterator[Dropping]:
    dropping = Dropping(api, s3, str(store_facts["s3"]["bucket"]))
    yield dropping
    for rule_id in dropping.rules:
        api.delete(f"/ingest-rules/{rule_id}")


def ts(tmp_path: Path, number: int, first_frame: int, frames: int = 50) -> Path:
    """A piece of an endless recording in MPEG-TS, at 25 frames a second."""
    recipe = Recipe(
        frames=frames,
        gop=frames,
        b_frames=0,
        audio=None,
        first_frame=first_frame,
        options={"muxdelay": "0", "muxpreload": "0"},
    )
    return record(tmp_path / f"{number}", recipe)


def spans(start_s: int, *lengths_s: int) -> list[str]:
    found, at = [], start_s
    for length in lengths_s:
        found.append(f"[{at}:0_{at + length}:0)")
        at += length
    return found


CREATED = {key: value for key, value in video("x").items() if key not in {"id", "source_id"}}


def test_files_named_by_the_second_become_a_timeline_without_gaps(
    place: Dropping, tmp_path: Path
) -> None:
    place.rule(
        key="{camera}/{start:s}.ts", flow={"name": f"{place.prefix}{{camera}}", "create": CREATED}
    )
    forecast = place.forecast(f"7/{START_S}.ts")
    assert forecast["creates_flow"]

    for number in (1, 0, 2):  # the name is up to a second off the media
        place.drop(f"7/{START_S + 2 * number}.ts", ts(tmp_path, number, 1_000 + 50 * number))

    found = place.segments(forecast["flow_id"], 3)
    assert timeranges(found) == spans(START_S, 2, 2, 2)
    assert all(segment["key_frame_count"] == 1 for segment in found)
    flow = place.api.get(f"/flows/{forecast['flow_id']}").json()
    assert flow["codec"] == "video/h264"


def test_mpeg_ts_is_placed_by_its_own_clock_and_continues_after_a_restart(
    place: Dropping, tmp_path: Path
) -> None:
    flow_id = put_flow(place.api)
    place.rule(flow={"id": flow_id}, times=["media"], origin=START)
    pieces = [(0, 100), (1, 150), (2, 250), (3, 0), (4, 50)]  # a gap, then a restart

    for number, frame in pieces:
        place.drop(f"seg-{number}.ts", ts(tmp_path, number, frame))

    found = place.segments(flow_id, 5)
    first = int(found[0]["timerange"][1:].split(":")[0])
    assert first == START_S + 4
    assert timeranges(found) == spans(first, 2, 2) + spans(first + 6, 2, 2, 2)
    assert "ts_offset" in found[-1]


def test_a_restart_begins_a_new_flow_where_the_rule_says_so(
    place: Dropping, tmp_path: Path
) -> None:
    flow_id = put_flow(place.api)
    source = place.api.get(f"/flows/{flow_id}").json()["source_id"]
    place.rule(flow={"id": flow_id}, times=["media"], origin="0:0", restart="new-flow")

    for number, frame in ((0, 1_000), (1, 1_050), (2, 0), (3, 50)):
        place.drop(f"seg-{number}.ts", ts(tmp_path, number, frame))

    def second_flow() -> Any:
        flows = place.api.get("/flows", params={"source_id": source}).json()
        return next((flow["id"] for flow in flows if flow["id"] != flow_id), None)

    assert timeranges(place.segments(eventually(second_flow), 2)) == spans(0, 2, 2)
    assert timeranges(place.segments(flow_id, 2)) == spans(40, 2, 2)


def fragments(tmp_path: Path, first_frame: int = 0) -> tuple[bytes, list[bytes]]:
    """An init segment, and fragments of two seconds."""
    recipe = Recipe(
        suffix=".mp4",
        frames=150,
        gop=50,
        b_frames=0,
        audio=None,
        first_frame=first_frame,
        options={"movflags": "empty_moov+default_base_moof+frag_keyframe"},
    )
    whole = record(tmp_path / f"whole-{first_frame}", recipe).read_bytes()
    parts, at = [], 0
    while at < len(whole):
        size = int.from_bytes(whole[at : at + 4], "big")
        parts.append((whole[at + 4 : at + 8], whole[at : at + size]))
        at += size
    init = b"".join(box for name, box in parts if name in {b"ftyp", b"moov"})
    media = [box for name, box in parts if name in {b"moof", b"mdat"}]
    return init, [a + b for a, b in zip(media[::2], media[1::2], strict=True)]


def test_fragments_of_mp4_are_placed_by_their_clock_with_their_init_segment(
    place: Dropping, tmp_path: Path
) -> None:
    create = {**CREATED, "container": "video/mp4"}
    place.rule(flow={"name": place.prefix, "create": create}, times=["media"], origin="0:0")
    init, media = fragments(tmp_path)

    place.drop("chunk-2.m4s", media[1])  # before its init segment: it waits
    assert place.problem("chunk-2.m4s")["code"] == "waiting"
    place.drop("init.mp4", init)
    flow_id = eventually(lambda: place.forecast("chunk-2.m4s").get("flow_id"))
    place.segments(flow_id, 1)
    place.drop("chunk-1.m4s", media[0])
    place.drop("chunk-3.m4s", media[2])

    found = place.segments(flow_id, 3)
    assert timeranges(found) == spans(0, 2, 2, 2)
    assert len({segment["init_object"]["object_id"] for segment in found}) == 1
    flow = place.api.get(f"/flows/{flow_id}").json()
    assert flow["essence_parameters"]["init_segments"] is True
    urls = place.api.get(f"/flows/{flow_id}/segments").json()[0]["init_object"]["get_urls"]
    assert httpx.get(urls[0]["url"]).content == init
    assert not place.api.get("/ingest-problems", params={"prefix": place.prefix}).json()


def test_a_changed_init_segment_holds_from_the_next_fragment_on(
    place: Dropping, tmp_path: Path
) -> None:
    create = {**CREATED, "container": "video/mp4"}
    place.rule(flow={"name": place.prefix, "create": create}, times=["media"], origin="0:0")
    init, media = fragments(tmp_path)
    place.drop("init.mp4", init)
    place.drop("chunk-1.m4s", media[0])
    flow_id = eventually(lambda: place.forecast("chunk-1.m4s").get("flow_id"))
    (before,) = place.segments(flow_id, 1)

    changed = init + b"\x00\x00\x00\x08free"
    place.drop("init.mp4", changed)
    place.drop("chunk-2.m4s", media[1])

    kept, after = place.segments(flow_id, 2)
    assert kept["init_object"]["object_id"] == before["init_object"]["object_id"]
    assert after["init_object"]["object_id"] != before["init_object"]["object_id"]
    segments = place.api.get(f"/flows/{flow_id}/segments").json()
    inits = [httpx.get(s["init_object"]["get_urls"][0]["url"]).content for s in segments]
    assert inits == [init, changed]


def wav(path: Path, seconds: int, **bext: str) -> Path:
    recipe = Recipe(suffix=".wav", codec=None, audio="pcm_s16le", frames=25 * seconds)
    plain = record(path, recipe)
    if not bext:
        return plain
    target = path.with_name(f"{path.name}-bext.wav")
    with (
        av.open(str(plain)) as source,
        av.open(str(target), "w", options={"write_bext": "1"}) as sink,
    ):
        for name, value in bext.items():
            sink.metadata[name] = value
        stream = sink.add_stream_from_template(source.streams[0])
        for packet in source.demux(source.streams[0]):
            if packet.size:
                packet.stream = stream
                sink.mux(packet)
    return target


AUDIO = {
    "format": "urn:x-nmos:format:audio",
    "codec": "audio/x-raw-int",
    "container": "audio/wav",
    "essence_parameters": {"sample_rate": 48_000, "channels": 2},
}


def test_wav_files_follow_each_other_by_their_samples(place: Dropping, tmp_path: Path) -> None:
    flow_id = put_flow(place.api, **AUDIO)
    place.rule(flow={"id": flow_id}, times=["media"], origin="0:0")

    for number in (1, 2, 3):
        place.drop(f"mic-{number}.wav", wav(tmp_path / str(number), 1 + number))

    found = place.segments(flow_id, 3)
    ends = [segment["timerange"].strip("[)").split("_") for segment in found]
    assert ends[0][0] == "0:0"
    assert all(a[1] == b[0] for a, b in pairwise(ends))


def test_a_broadcast_wav_says_its_own_time(place: Dropping, tmp_path: Path) -> None:
    flow_id = put_flow(place.api, **AUDIO)
    place.rule(flow={"id": flow_id}, times=["media"])
    noon = str(12 * 3_600 * 48_000)

    place.drop(
        "take.wav",
        wav(tmp_path / "take", 1, time_reference=noon, origination_date="2026-11-25"),
    )

    (found,) = place.segments(flow_id, 1)
    assert found["timerange"].startswith(f"[{START_S}:0_")


def playlist(*entries: str, sequence: int = 0) -> bytes:
    head = f"#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{sequence}\n"
    return (head + "\n".join(entries) + "\n").encode()


def test_segments_wait_for_the_playlist_that_names_them(place: Dropping, tmp_path: Path) -> None:
    flow_id = put_flow(place.api)
    place.rule(flow={"id": flow_id}, times=["playlist"])
    media = [ts(tmp_path, number, 1_000 + 50 * number) for number in range(4)]

    place.drop("hls/seg0.ts", media[0])
    assert place.problem("hls/seg0.ts")["code"] == "waiting"
    dated = [f"#EXT-X-PROGRAM-DATE-TIME:{START}", "#EXTINF:2.000000,", "seg0.ts"]
    place.drop("hls/live.m3u8", playlist(*dated))
    place.segments(flow_id, 1)
    for number in (2, 1):
        place.drop(f"hls/seg{number}.ts", media[number])
    rest = ["#EXTINF:2.000000,", "seg1.ts", "#EXTINF:2.000000,", "seg2.ts"]
    place.drop("hls/live.m3u8", playlist(*dated, *rest))

    assert timeranges(place.segments(flow_id, 3)) == spans(START_S, 2, 2, 2)

    later = "#EXT-X-PROGRAM-DATE-TIME:2026-11-25T12:01:00Z"  # the encoder was off for a while
    broken = ["#EXT-X-DISCONTINUITY", later, "#EXTINF:2.000000,", "seg3.ts"]
    place.drop("hls/live.m3u8", playlist(*rest, *broken, sequence=1))
    place.drop("hls/seg3.ts", media[3])

    found = place.segments(flow_id, 4)
    assert timeranges(found)[3] == f"[{START_S + 60}:0_{START_S + 62}:0)"
    assert not place.api.get("/ingest-problems", params={"prefix": place.prefix}).json()


def test_a_playlist_of_byte_ranges_is_refused_with_its_reason(
    place: Dropping, tmp_path: Path
) -> None:
    flow_id = put_flow(place.api)
    place.rule(flow={"id": flow_id}, times=["playlist"])
    place.drop("a.m3u8", playlist("#EXTINF:2.0,", "#EXT-X-BYTERANGE:100@0", "all.ts"))

    place.drop("all.ts", ts(tmp_path, 0, 0))

    assert "EXT-X-BYTERANGE" in eventually(
        lambda: (p := place.problem("all.ts"))["code"] != "waiting" and p["reason"]
    )


def test_a_rewritten_key_never_changes_a_registered_object(place: Dropping, tmp_path: Path) -> None:
    flow_id = put_flow(place.api)
    place.rule(flow={"id": flow_id}, times=["media"], origin="0:0")
    key = place.drop("seg-1.ts", ts(tmp_path, 1, 100))
    before = place.segments(flow_id, 1)

    place.drop("seg-1.ts", ts(tmp_path, 2, 500))

    problem = place.problem("seg-1.ts")
    assert problem["code"] == "rewritten"
    assert key in problem["reason"]
    assert listed(place.api, flow_id) == before


def test_moved_objects_free_their_key_for_the_encoder(place: Dropping, tmp_path: Path) -> None:
    flow_id = put_flow(place.api)
    place.rule(flow={"id": flow_id}, times=["media"], origin="0:0", store="move")
    contents = [ts(tmp_path, n, 100 + 50 * n).read_bytes() for n in range(3)]

    for count, content in enumerate(contents):  # an encoder that always writes one name
        key = place.drop("latest.ts", content)
        place.segments(flow_id, count + 1)

    assert timeranges(place.segments(flow_id, 3)) == spans(4, 2, 2, 2)
    segments = place.api.get(f"/flows/{flow_id}/segments").json()
    assert [httpx.get(s["get_urls"][0]["url"]).content for s in segments] == contents
    eventually(
        lambda: not place.s3.list_objects_v2(Bucket=place.bucket, Prefix=key).get("Contents")
    )


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("empty.ts", b"", "empty"),
        ("text.ts", b"these are not media" * 100, "not-media"),
        ("half.ts", None, "not-media"),
        ("sound.wav", "wav", "wrong-container"),
    ],
)
def test_what_is_no_segment_is_listed_with_a_code(
    place: Dropping, tmp_path: Path, name: str, content: Any, code: str
) -> None:
    flow_id = put_flow(place.api)
    place.rule(flow={"id": flow_id}, times=["media"])
    if content is None:
        content = ts(tmp_path, 0, 0).read_bytes()[:150]
    elif content == "wav":
        content = wav(tmp_path / "sound", 1)

    place.drop(name, content)

    assert place.problem(name)["code"] == code
    assert listed(place.api, flow_id) == []
