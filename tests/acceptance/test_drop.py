"""A file dropped into S3 becomes a segment, or a problem that says why not."""

import subprocess
import sys
from typing import Any

import boto3
import httpx
import psutil
import pytest

from infra.media.demo import make_recording
from tests.making import listed, put_flow, timeranges
from tests.services.running import Running, clean_environment
from tests.waiting import eventually


@pytest.fixture(scope="session")
def s3(store_facts: dict[str, Any]) -> Any:
    facts = store_facts["s3"]
    return boto3.client(
        "s3",
        endpoint_url=facts["endpoint"],
        region_name=facts["region"],
        aws_access_key_id=facts["access_key"],
        aws_secret_access_key=facts["secret_key"],
    )


@pytest.fixture(scope="session")
def bucket(store_facts: dict[str, Any]) -> str:
    return str(store_facts["s3"]["bucket"])


def problem_of(api: httpx.Client, key: str) -> Any:
    def find() -> Any:
        problems = api.get("/ingest-problems", params={"limit": 1000}).json()
        return next((p for p in problems if p["key"] == key), None)

    return eventually(find)


def test_metadata_place_a_dropped_file(api: httpx.Client, s3: Any, bucket: str) -> None:
    flow_id = put_flow(api)
    key = f"drop/{flow_id}/ä b+c%41.ts"
    metadata = {
        "tams-flow-id": flow_id,
        "tams-timerange": "[100:0_102:0)",
        "tams-object-timerange": "[0:0_4:0)",
        "tams-ts-offset": "99:0",
    }

    s3.put_object(Bucket=bucket, Key=key, Body=b"x" * 1000, Metadata=metadata)

    (found,) = eventually(lambda: listed(api, flow_id, include_object_timerange="true"))
    assert found["object_id"] == key
    assert found["timerange"] == "[100:0_102:0)"
    assert found["ts_offset"] == "99:0"
    assert found["object_timerange"] == "[0:0_4:0)"
    (url,) = api.get(f"/flows/{flow_id}/segments").json()[0]["get_urls"]
    assert httpx.get(url["url"]).content == b"x" * 1000


def test_media_without_metadata_on_time_are_measured(
    api: httpx.Client, s3: Any, bucket: str, tmp_path: Any
) -> None:
    flow_id = put_flow(api)
    media = tmp_path / "demo.ts"
    make_recording(media, 2)

    s3.upload_file(
        str(media), bucket, f"drop/{flow_id}.ts", {"Metadata": {"tams-flow-id": flow_id}}
    )

    (found,) = eventually(lambda: listed(api, flow_id))
    start, end = found["timerange"].strip("[)").split("_")
    seconds = [int(t.split(":")[0]) + int(t.split(":")[1]) / 1e9 for t in (start, end)]
    assert seconds[1] - seconds[0] == pytest.approx(2.0, abs=0.001)
    assert found["key_frame_count"] >= 1
    assert found["last_duration"] == "0:40000000"


def test_a_key_template_places_a_dropped_file(api: httpx.Client, s3: Any, bucket: str) -> None:
    flow_id = put_flow(api)

    for start in (4000, 2000, 0):  # out of order on purpose
        s3.put_object(Bucket=bucket, Key=f"live/{flow_id}/{start}_2000.ts", Body=b"x")

    found = eventually(lambda: s if len(s := listed(api, flow_id)) == 3 else None)
    assert timeranges(found) == ["[0:0_2:0)", "[2:0_4:0)", "[4:0_6:0)"]


def test_dropping_the_same_file_again_changes_nothing(
    api: httpx.Client, s3: Any, bucket: str
) -> None:
    flow_id = put_flow(api)
    for key in ("0_1000", "0_1000", "1000_1000"):
        s3.put_object(Bucket=bucket, Key=f"live/{flow_id}/{key}.ts", Body=b"x")

    found = eventually(lambda: s if len(s := listed(api, flow_id)) == 2 else None)
    assert timeranges(found) == ["[0:0_1:0)", "[1:0_2:0)"]


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({}, "no tams-flow-id metadata"),
        ({"tams-flow-id": "nonsense"}, "not a UUID"),
        (
            {"tams-flow-id": "10000000-0000-4000-8000-0000deadbeef", "tams-timerange": "[0:0_1:0)"},
            "does not exist",
        ),
        (
            {"tams-flow-id": "10000000-0000-4000-8000-0000deadbeef", "tams-timerange": "[2:0_1:0)"},
            "ends before it starts",
        ),
        ({"tams-flow-id": "10000000-0000-4000-8000-0000deadbeef"}, ""),
    ],
)
def test_what_cannot_be_interpreted_is_listed_with_its_reason(
    api: httpx.Client, s3: Any, bucket: str, metadata: dict[str, str], reason: str
) -> None:
    key = f"unclear/{abs(hash((reason, *metadata.values())))}.bin"

    s3.put_object(Bucket=bucket, Key=key, Body=b"these are not media", Metadata=metadata)

    problem = problem_of(api, key)
    assert reason in problem["reason"]
    assert problem["bucket"] == bucket


def test_a_dropped_file_that_overlaps_is_listed(api: httpx.Client, s3: Any, bucket: str) -> None:
    flow_id = put_flow(api)
    first, second = f"live/{flow_id}/0_2000.ts", f"live/{flow_id}/1000_2000.ts"
    s3.put_object(Bucket=bucket, Key=first, Body=b"x")
    eventually(lambda: listed(api, flow_id))

    s3.put_object(Bucket=bucket, Key=second, Body=b"x")

    assert "overlaps [0:0_2:0)" in problem_of(api, second)["reason"]
    assert timeranges(listed(api, flow_id)) == ["[0:0_2:0)"]


def test_an_upload_to_an_allocated_place_waits_for_its_registration(
    api: httpx.Client, s3: Any, bucket: str
) -> None:
    flow_id = put_flow(api)
    (item,) = api.post(f"/flows/{flow_id}/storage", json={"limit": 1}).json()["media_objects"]
    put = item["put_url"]
    httpx.put(put["url"], content=b"x", headers={"Content-Type": put["content-type"]})
    # A file dropped after it is dealt with after it.
    marker = put_flow(api)
    s3.put_object(Bucket=bucket, Key=f"live/{marker}/0_1000.ts", Body=b"x")
    eventually(lambda: listed(api, marker))

    assert listed(api, flow_id) == []
    problems = api.get("/ingest-problems", params={"limit": 1000}).json()
    assert not [p for p in problems if item["object_id"] in p["key"]]
    segment = {"object_id": item["object_id"], "timerange": "[0:0_1:0)"}
    assert api.post(f"/flows/{flow_id}/segments", json=segment).status_code == 201


def test_the_command_scans_for_what_nobody_told_of(
    api: httpx.Client, store: Running, s3: Any, bucket: str
) -> None:
    flow_id = put_flow(api)
    listener = psutil.Process(store.facts["processes"]["listener"])
    prefix = f"live/{flow_id}/"
    s3.put_object(Bucket=bucket, Key=f"{prefix}0_1000.ts", Body=b"x")
    eventually(lambda: listed(api, flow_id))

    listener.suspend()  # as if the notification had been lost
    try:
        s3.put_object(Bucket=bucket, Key=f"{prefix}1000_1000.ts", Body=b"x")
        looked = tams(store, "scan", bucket, "--prefix", prefix, "--dry-run")
        before = timeranges(listed(api, flow_id))
        scanned = tams(store, "scan", bucket, "--prefix", prefix)
        after = eventually(lambda: s if len(s := listed(api, flow_id)) == 2 else None)
        again = tams(store, "scan", bucket, "--prefix", prefix)
        later = tams(store, "scan", bucket, "--prefix", prefix, "--since", "2200-01-01T00:00:00Z")
    finally:
        listener.resume()

    assert looked == f"{prefix}1000_1000.ts\n"
    assert before == ["[0:0_1:0)"]
    assert scanned == "2 keys: 1 taken over, 1 known, 0 are problems on record\n"
    assert timeranges(after) == ["[0:0_1:0)", "[1:0_2:0)"]
    assert again == "2 keys: 0 taken over, 2 known, 0 are problems on record\n"
    assert later == "2 keys: 0 taken over, 0 known, 0 are problems on record\n"


def test_a_bucket_that_is_nobodys_is_not_scanned(store: Running) -> None:
    with pytest.raises(AssertionError, match="not that of a storage backend"):
        tams(store, "scan", "elsewhere")


def tams(store: Running, *command: str) -> str:
    """What a command of the store prints, which must succeed."""
    ran = subprocess.run(
        [sys.executable, "-m", "workers.cli", *command],
        env=clean_environment() | {"TAMS_DATA_DIR": str(store.directory)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_a_file_dropped_while_nobody_listened_is_found(
    api: httpx.Client, store: Running, s3: Any, bucket: str
) -> None:
    flow_id = put_flow(api)
    listener = psutil.Process(store.facts["processes"]["listener"])

    listener.suspend()  # it takes no notification ...
    s3.put_object(Bucket=bucket, Key=f"live/{flow_id}/0_1000.ts", Body=b"x")
    listener.kill()  # ... and never will

    assert timeranges(eventually(lambda: listed(api, flow_id))) == ["[0:0_1:0)"]


def test_a_file_whose_notification_could_not_be_kept_is_found(
    api: httpx.Client, store: Running, s3: Any, bucket: str
) -> None:
    flow_id = put_flow(api)
    before = store.facts["processes"]

    psutil.Process(before["valkey"]).kill()  # the listener lives, and has to refuse
    s3.put_object(Bucket=bucket, Key=f"live/{flow_id}/0_1000.ts", Body=b"x")

    assert timeranges(eventually(lambda: listed(api, flow_id))) == ["[0:0_1:0)"]
    assert store.facts["processes"]["listener"] == before["listener"]
