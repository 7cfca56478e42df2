"""Rules of GET /objects/{objectId} and POST /flows/{flowId}/storage."""

from base64 import b64encode
from hashlib import md5
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.making import allocate, external, new_id, put_flow, segment

FRAGMENTED = {
    "frame_width": 640,
    "frame_height": 360,
    "frame_rate": {"numerator": 25},
    "init_segments": True,
}


def _object(api: httpx.Client, object_id: str, query: str = "") -> httpx.Response:
    return api.get(f"/objects/{quote(object_id, safe='')}{query}")


def _register(api: httpx.Client, flow: str, body: object) -> None:
    response = api.post(f"/flows/{flow}/segments", json=body)
    assert response.status_code == 201, response.text


def _storage(api: httpx.Client, flow: str, **body: Any) -> httpx.Response:
    return api.post(f"/flows/{flow}/storage", json=body)


@pytest.fixture(scope="module")
def flow(api: httpx.Client) -> str:
    """Some flow."""
    return put_flow(api)


# --- objects ---------------------------------------------------------------------------


def test_an_object_that_is_only_allocated_does_not_exist_yet(api: httpx.Client):
    flow = put_flow(api)
    (object_id,) = allocate(api, flow, 1)

    before = _object(api, object_id).status_code
    _register(api, flow, segment(object_id, 0, 1_000))

    assert (before, _object(api, object_id).status_code) == (404, 200)


def test_an_object_tells_of_the_flows_that_refer_to_it(api: httpx.Client):
    flows = sorted(put_flow(api) for _ in range(3))
    body = external(0, 1_000)
    for flow in (flows[1], flows[0], flows[2]):
        _register(api, flow, body)

    first = _object(api, body["object_id"], "?limit=2")
    second = httpx.get(first.links["next"]["url"])

    assert first.json()["first_referenced_by_flow"] == flows[1]
    assert first.json()["referenced_by_flows"] == flows[:2]
    assert second.json()["referenced_by_flows"] == flows[2:]
    assert first.headers["x-paging-limit"] == "2"
    assert not second.links


def test_the_flows_of_an_object_are_filtered_by_their_tags(api: httpx.Client):
    live, plain = put_flow(api, tags={"kind": ["live", "news"]}), put_flow(api)
    body = external(0, 1_000)
    for flow in (live, plain):
        _register(api, flow, body)

    def flows(query: str) -> list[str]:
        return list(_object(api, body["object_id"], query).json()["referenced_by_flows"])

    assert flows("?flow_tag.kind=sport,live") == [live]
    assert flows("?flow_tag.kind=sport") == []
    assert flows("?flow_tag_exists.kind=false") == [plain]
    assert flows("?flow_tag_exists.kind=true") == [live]


def test_an_init_object_has_no_timerange_and_is_referred_to_through_its_media(api: httpx.Client):
    flow = put_flow(api, essence_parameters=FRAGMENTED)
    media, init = allocate(api, flow, 2)
    _register(api, flow, segment(media, 0, 1_000, init_object_id=init, key_frame_count=1))

    of_media, of_init = _object(api, media).json(), _object(api, init).json()

    assert of_media["timerange"] == "[0:0_1:0)"
    assert of_media["key_frame_count"] == 1
    assert of_media["init_object"]["id"] == init
    assert not {"timerange", "init_object", "key_frame_count"} & set(of_init)
    assert of_init["referenced_by_flows"] == [flow]
    assert of_init["first_referenced_by_flow"] == flow


@pytest.mark.parametrize(
    "form",
    [
        *("a//b-{}/", "/{}", "../../{}", "./{}", ".{}"),
        *("ü 字 %2F ?#&+=\"'<>-{}", "line\nbreak-{}", "{}" + "x" * 1_500),
    ],
    ids=lambda form: form[:20],
)
def test_an_object_id_may_be_any_text(api: httpx.Client, form: str):
    object_id, flow, other = form.format(new_id()), put_flow(api), put_flow(api)
    (item,) = _storage(api, flow, object_ids=[object_id]).json()["media_objects"]
    headers = {"content-type": item["put_url"]["content-type"]}

    uploaded = httpx.put(item["put_url"]["url"], content=b"media", headers=headers)
    for each in (flow, other):
        _register(api, each, segment(object_id, 0, 1_000))
    found = _object(api, object_id, "?limit=1")
    following = httpx.get(found.links["next"]["url"])

    assert uploaded.status_code == 200, uploaded.text
    assert found.json()["id"] == following.json()["id"] == object_id
    assert httpx.get(found.json()["get_urls"][0]["url"]).content == b"media"


# --- storage ---------------------------------------------------------------------------


def test_storage_is_given_for_new_objects_of_the_type_of_the_flow(api: httpx.Client):
    flow = put_flow(api, container="video/mp4")

    default = _storage(api, flow).json()["media_objects"]
    bodiless = api.post(f"/flows/{flow}/storage").json()["media_objects"]
    three = _storage(api, flow, limit=3).json()["media_objects"]

    assert len(three) == 3
    assert len(default) == len(bodiless) > 0
    assert len({item["object_id"] for item in [*three, *default, *bodiless]}) == 3 + 2 * len(
        default
    )
    assert {item["put_url"]["content-type"] for item in three} == {"video/mp4"}
    assert {item["presigned"] for item in three} == {True}


def test_a_limit_above_the_maximum_is_lowered(api: httpx.Client):
    response = _storage(api, put_flow(api), limit=10**9)

    assert response.status_code == 201
    assert len(response.json()["media_objects"]) == 1_000


def test_a_given_content_type_is_the_one_to_upload_with(api: httpx.Client):
    flow = put_flow(api, container="video/iso.segment", essence_parameters=FRAGMENTED)
    (item,) = _storage(api, flow, limit=1, content_type="video/mp4").json()["media_objects"]
    url = item["put_url"]["url"]

    wrong = httpx.put(url, content=b"init", headers={"content-type": "video/iso.segment"})
    right = httpx.put(url, content=b"init", headers={"content-type": "video/mp4"})

    assert item["put_url"]["content-type"] == "video/mp4"
    assert (wrong.status_code, right.status_code) == (403, 200)


def test_only_init_segments_are_of_another_type_than_the_container(api: httpx.Client):
    plain = put_flow(api, container="video/mp2t")

    other = _storage(api, plain, limit=1, content_type="video/mp4")
    same = _storage(api, plain, limit=1, content_type="video/mp2t")

    assert (other.status_code, other.json()["field"]) == (400, "content_type")
    assert same.status_code == 201


def test_what_was_allocated_for_another_type_is_not_media_of_the_flow(api: httpx.Client):
    flow = put_flow(api, container="video/iso.segment", essence_parameters=FRAGMENTED)
    (init,) = _storage(api, flow, limit=1, content_type="video/mp4").json()["media_objects"]
    (media,) = _storage(api, flow, limit=1).json()["media_objects"]
    as_it_is = segment(media["object_id"], 0, 1_000, init_object_id=init["object_id"])
    swapped = segment(init["object_id"], 0, 1_000, init_object_id=media["object_id"])

    refused = api.post(f"/flows/{flow}/segments", json=swapped)
    taken = api.post(f"/flows/{flow}/segments", json=as_it_is)

    assert (refused.status_code, refused.json()["field"]) == (400, "object_id")
    assert taken.status_code == 201


def test_object_ids_may_be_chosen_once(api: httpx.Client):
    flow, other = put_flow(api), put_flow(api)
    ids = [new_id(), f"tape/{new_id()}"]

    given = _storage(api, flow, object_ids=ids)
    again = _storage(api, flow, object_ids=[new_id(), ids[0]])
    elsewhere = _storage(api, other, object_ids=ids[1:])

    assert [item["object_id"] for item in given.json()["media_objects"]] == ids
    assert (again.status_code, again.json()["field"]) == (400, "object_ids")
    assert elsewhere.status_code == 400


def test_an_id_known_from_a_segment_cannot_be_allocated(api: httpx.Client):
    flow, body = put_flow(api), external(0, 1_000)
    _register(api, flow, body)

    assert _storage(api, flow, object_ids=[body["object_id"]]).status_code == 400


def test_the_default_backend_may_be_named(api: httpx.Client, backend: dict[str, Any]):
    assert _storage(api, put_flow(api), storage_id=backend["id"]).status_code == 201


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"limit": 1, "object_ids": ["a"]}, "limit"),
        ({"limit": 0}, "limit"),
        ({"limit": "1"}, "limit"),
        ({"object_ids": "a"}, "object_ids"),
        ({"object_ids": []}, "object_ids"),
        ({"object_ids": [1]}, "object_ids.0"),
        ({"object_ids": [""]}, "object_ids.0"),
        ({"object_ids": ["twice", "twice"]}, "object_ids"),
        ({"storage_id": "329b98d6-adeb-418c-8eaf-eca14edc1706"}, "storage_id"),
        ({"storage_id": "first"}, "storage_id"),
        ({"content_type": "mp4"}, "content_type"),
        ({"content_type": "video/mp4; codecs=avc1"}, "content_type"),
        ({"presigned": "true"}, "presigned"),
        ({"presigned": False}, "presigned"),
    ],
)
def test_a_request_for_storage_that_breaks_a_rule_is_refused_by_field(
    api: httpx.Client, flow: str, body: dict[str, Any], field: str
):
    refused = _storage(api, flow, **body)

    assert (refused.status_code, refused.json()["field"]) == (400, field), refused.text


def test_a_flow_without_a_container_gets_no_storage(api: httpx.Client):
    flow = put_flow(api)
    body = {n: v for n, v in api.get(f"/flows/{flow}").json().items() if n != "container"}
    api.put(f"/flows/{flow}", json=body).raise_for_status()

    refused = _storage(api, flow)

    assert (refused.status_code, refused.json()["field"]) == (400, "container")


# --- instances -------------------------------------------------------------------------


def test_instances_of_media_are_not_those_of_their_init_object(api: httpx.Client):
    flow = put_flow(api, essence_parameters=FRAGMENTED)
    media, init = allocate(api, flow, 2)
    _register(api, flow, segment(media, 0, 1_000, init_object_id=init))
    instances = {name: f"/objects/{name}/instances" for name in (media, init)}
    link = {"label": "cdn", "url": "http://cdn.example/it"}

    def labels(name: str) -> set[str]:
        return {url["label"] for url in _object(api, name).json()["get_urls"]} & {"cdn"}

    api.post(instances[media], json=link).raise_for_status()
    after_one = (labels(media), labels(init))
    api.post(instances[init], json=link).raise_for_status()
    after_both = (labels(media), labels(init))
    api.delete(instances[media], params={"label": "cdn"}).raise_for_status()
    after_deletion = (labels(media), labels(init))
    api.delete(instances[init], params={"label": "cdn"}).raise_for_status()

    assert after_one == ({"cdn"}, set())
    assert after_both == ({"cdn"}, {"cdn"})
    assert after_deletion == (set(), {"cdn"})
    assert labels(init) == set()


# --- presigned URLs --------------------------------------------------------------------


def test_presigned_urls_need_nothing_else_and_are_valid_for_longer_than_is_promised(
    api: httpx.Client,
):
    promised, _, _ = api.get("/service").json()["min_presigned_url_timeout"].partition(":")
    flow = put_flow(api)
    (item,) = _storage(api, flow, limit=1).json()["media_objects"]
    _register(api, flow, segment(item["object_id"], 0, 1_000))
    put = item["put_url"]["url"]
    get = _object(api, item["object_id"]).json()["get_urls"][0]["url"]

    stored = httpx.put(put, content=b"media", headers={"content-type": "video/mp2t"})

    assert stored.status_code == 200
    assert httpx.get(get).content == b"media"
    for url in (put, get):
        assert int(httpx.URL(url).params["X-Amz-Expires"]) > int(promised)


def test_an_upload_may_carry_a_checksum_which_is_compared(api: httpx.Client):
    flow = put_flow(api)
    (item,) = _storage(api, flow, limit=1).json()["media_objects"]
    _register(api, flow, segment(item["object_id"], 0, 1_000))
    get = _object(api, item["object_id"]).json()["get_urls"][0]["url"]

    def upload(body: bytes) -> int:
        checksum = b64encode(md5(b"media").digest()).decode()
        headers = {"content-type": "video/mp2t", "content-md5": checksum}
        return httpx.put(item["put_url"]["url"], content=body, headers=headers).status_code

    assert (upload(b"damaged"), upload(b"media")) == (400, 200)
    assert httpx.get(get).headers["etag"].strip('"') == md5(b"media").hexdigest()
