"""Every request body among the examples of the specification, and what we answer to it."""

from typing import Any

import httpx
import pytest

from tests.making import external, new_id, put_flow
from tests.spec.official import Official

FLOWS = [
    "flow-get-200-audio-aac",
    "flow-get-200-audio-wav",
    "flow-get-200-data-ttml",
    "flow-get-200-image-jpeg",
    "flow-get-200-video-h264",
    "flow-get-200-video-h264-cleanfeed",
    "flow-get-200-video-h264-fmp4",
    "flow-get-200-video-h264-mxf",
    "flow-get-200-video-h264-vfr",
    "flow-get-200-video-jpeg-jp2",
    "flow-get-200-video-jpeg-mxf",
    "flow-get-200-video-raw",
    "flow-get-200-audio-aac-multi",
    "flow-put",
    "flow-put-201",
]
COLLECTIONS = ["flow-put-multi", "flow-get-200-multi", "flow-get-200-multi-container-map"]


def _fresh(official: Official, name: str) -> Any:
    return official.example(name, {each: new_id() for each in official.ids(name)})


def _kept(body: dict[str, Any]) -> dict[str, Any]:
    managed = {"created", "metadata_updated", "segments_updated", "timerange", "collected_by"}
    return {name: value for name, value in body.items() if name not in managed}


def test_no_example_of_a_request_is_left_out(official: Official):
    ours = {"flow-put", "flow-put-multi", "flow-put-profile", "flow-segment-post"}
    ours |= {"flow-storage-post", "flow-storage-post-object_ids", "flow-collection-put"}
    ours |= {"profile-put", "service-post"}
    elsewhere = {"webhook-put", "webhook-post", "objects-instances-controlled-post"}
    elsewhere |= {"objects-instances-uncontrolled-post"}

    names = {path.stem for path in (official.directory / "examples").iterdir()}

    assert {n for n in names if not n[-3:].isdigit() and "-get-" not in n} - {
        "flow-segments-get-200",
        "flow-storage-post-201-wav",
        "flow-segment-partial-failure",
    } == ours | elsewhere


@pytest.mark.parametrize("name", FLOWS)
def test_an_example_of_a_flow_is_accepted_and_given_back(
    api: httpx.Client, official: Official, name: str
):
    body = _fresh(official, name)

    created = api.put(f"/flows/{body['id']}", json=body)

    assert created.status_code == 201, created.text
    assert _kept(body).items() <= created.json().items()
    assert api.get(f"/flows/{body['id']}").json() == created.json()
    assert api.put(f"/flows/{body['id']}", json=created.json()).status_code == 204


@pytest.mark.parametrize("name", COLLECTIONS)
def test_an_example_of_a_collection_is_accepted_once_its_members_exist(
    api: httpx.Client, official: Official, name: str
):
    body = _fresh(official, name)
    body["flow_collection"] = [m for m in body["flow_collection"] if m["id"] != body["id"]]
    for member in body["flow_collection"]:
        flow = _fresh(official, "flow-put") | {"id": member["id"]}
        assert api.put(f"/flows/{member['id']}", json=flow).status_code == 201

    created = api.put(f"/flows/{body['id']}", json=body)

    assert created.status_code == 201, created.text
    assert _kept(body).items() <= created.json().items()


def test_the_example_that_collects_itself_is_refused(api: httpx.Client, official: Official):
    body = _fresh(official, "flow-put-multi")

    refused = api.put(f"/flows/{body['id']}", json=body)

    assert body["id"] in {member["id"] for member in body["flow_collection"]}
    assert (refused.status_code, refused.json()["field"]) == (400, "flow_collection")


def test_the_example_with_a_profile_is_accepted_once_the_profile_exists(
    api: httpx.Client, official: Official
):
    body, profile = _fresh(official, "flow-put-profile"), _fresh(official, "profile-put")
    early = api.put(f"/flows/{body['id']}", json=body)
    path = f"/service/profiles/{body['profile_id']}"
    api.post(path, json={**profile, "id": body["profile_id"]}).raise_for_status()

    created = api.put(f"/flows/{body['id']}", json=body)

    assert (early.status_code, early.json()["field"]) == (400, "profile_id")
    assert created.status_code == 201
    assert created.json().items() >= {**body, **profile["flow_metadata"]}.items()


@pytest.mark.parametrize(
    "name", ["profile-put", "profile-post-201", "profile-get-200-image", "profiles-get-200"]
)
def test_an_example_of_a_profile_is_accepted_and_given_back(
    api: httpx.Client, official: Official, name: str
):
    example = _fresh(official, name)

    for body in example if isinstance(example, list) else [example]:
        created = api.post(f"/service/profiles/{body['id']}", json=body)

        assert created.status_code == 201, created.text
        assert created.json().items() >= _kept(body).items()
        assert api.get(f"/service/profiles/{body['id']}").json() == created.json()


def test_the_example_of_a_description_of_the_service_is_accepted(
    api: httpx.Client, official: Official
):
    body = official.example("service-post")

    assert api.post("/service", json=body).json().items() >= body.items()
    assert api.get("/service").json().items() >= body.items()


def test_the_example_of_a_flow_collection_is_accepted_once_its_members_exist(
    api: httpx.Client, official: Official
):
    body = _fresh(official, "flow-collection-put")
    for member in body:
        flow = _fresh(official, "flow-put") | {"id": member["id"]}
        assert api.put(f"/flows/{member['id']}", json=flow).status_code == 201
    path = f"/flows/{put_flow(api)}/flow_collection"

    assert api.put(path, json=body).status_code == 204
    assert api.get(path).json() == body


def test_the_example_of_a_segment_is_accepted(api: httpx.Client, official: Official):
    flow = put_flow(api)
    body = _fresh(official, "flow-segment-post")
    api.post(f"/flows/{flow}/storage", json={"object_ids": [body["object_id"]]})

    assert api.post(f"/flows/{flow}/segments", json=body).status_code == 201
    assert api.get(f"/flows/{flow}/segments").json()[0].items() >= body.items()


@pytest.mark.parametrize("name", ["flow-storage-post", "flow-storage-post-object_ids"])
def test_an_example_of_a_storage_request_is_accepted(
    api: httpx.Client, official: Official, name: str
):
    body = _fresh(official, name)

    answer = api.post(f"/flows/{put_flow(api)}/storage", json=body)

    allocated = [item["object_id"] for item in answer.json()["media_objects"]]
    assert answer.status_code == 201
    assert len(allocated) == body.get("limit", 2)
    assert allocated == body.get("object_ids", allocated)


@pytest.mark.parametrize("name", ["flow-segments-get-200", "flow-segments-get-200-multiple-urls"])
def test_segments_another_store_listed_can_be_posted_here(
    api: httpx.Client, official: Official, name: str
):
    flow = put_flow(api)
    bodies = [{**item, "get_urls": external(0, 1)["get_urls"]} for item in _fresh(official, name)]

    assert api.post(f"/flows/{flow}/segments", json=bodies).status_code == 201
