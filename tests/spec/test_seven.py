"""A client written against TAMS 7.0, which knows nothing of what came later.

* Its requests are those of the examples of 7.0. Every response it gets is checked against the
  document and the schemas of 7.0, as well as against our own.
* Where 8.2 asks for more than 7.0 did, the test says what such a client is told.
"""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.making import allocate, external, new_id, put_flow, segment, timeranges, video
from tests.services.running import Running
from tests.spec.agreement import Agreement
from tests.spec.official import Document, Official

FLOWS = [
    *("flow-put", "flow-put-201", "flow-get-200-audio-aac", "flow-get-200-audio-aac-multi"),
    *("flow-get-200-data-ttml", "flow-get-200-image-jpeg", "flow-get-200-video-h264"),
    "flow-get-200-video-raw",
]
COLLECTIONS = ["flow-put-multi", "flow-get-200-multi", "flow-get-200-multi-container-map"]
MANAGED = {"created", "metadata_updated", "segments_updated", "collected_by", "timerange"}


@pytest.fixture(scope="module")
def api(former: Official, store: Running, served: Document) -> Iterator[httpx.Client]:
    """A client that checks what it is answered against 7.0."""
    hooks = {"response": [Agreement(former, served)]}
    with httpx.Client(base_url=store.facts["api"], timeout=60, event_hooks=hooks) as client:
        yield client


@pytest.fixture(scope="module")
def later(former: Official, store: Running) -> Iterator[httpx.Client]:
    """A client that makes use of what is new."""
    with httpx.Client(base_url=store.facts["api"], timeout=60) as client:
        yield client


def _fresh(former: Official, name: str) -> Any:
    return former.example(name, {each: new_id() for each in former.ids(name)})


def _segments(api: httpx.Client, flow: str, **query: str) -> list[dict[str, Any]]:
    response = api.get(f"/flows/{flow}/segments", params=query)
    assert response.status_code == 200, response.text
    return list(response.json())


def test_nothing_of_7_0_is_gone_but_one_answer_of_webhooks(former: Official, official: Official):
    gone = set()
    for name, old in former.document.operations.items():
        new = official.document.operations[name]
        assert (new.path, new.method) == (old.path, old.method)
        gone |= {(name, parameter) for parameter in old.parameters.keys() - new.parameters.keys()}
        gone |= {(name, status) for status in old.responses.keys() - new.responses.keys()}
        for status in old.responses.keys() & new.responses.keys():
            before, after = (o.responses[status].get("headers", {}) for o in (old, new))
            gone |= {(name, header) for header in before.keys() - after.keys()}

    assert gone == {("POST_webhooks", "204")}


# --- flows -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_of_7_0_is_accepted_and_given_back(api: httpx.Client, former: Official, name: str):
    body = _fresh(former, name)

    created = api.put(f"/flows/{body['id']}", json=body)
    found = api.get(f"/flows/{body['id']}").json()
    replaced = api.put(f"/flows/{body['id']}", json=found)

    assert (created.status_code, replaced.status_code) == (201, 204)
    assert {k: v for k, v in body.items() if k not in MANAGED}.items() <= found.items()
    assert api.get("/flows", params={"source_id": body["source_id"]}).json()[0]["id"] == body["id"]


@pytest.mark.parametrize("name", COLLECTIONS)
def test_a_collection_of_7_0_keeps_its_roles_on_both_sides(
    api: httpx.Client, former: Official, name: str
):
    body = _fresh(former, name)
    body["flow_collection"] = [m for m in body["flow_collection"] if m["id"] != body["id"]]
    for member in body["flow_collection"]:
        flow = _fresh(former, "flow-put") | {"id": member["id"]}
        assert api.put(f"/flows/{member['id']}", json=flow).status_code == 201

    created = api.put(f"/flows/{body['id']}", json=body)
    source = api.get(f"/sources/{body['source_id']}").json()

    roles = [member["role"] for member in body["flow_collection"]]
    assert created.json()["flow_collection"] == body["flow_collection"]
    assert [member["role"] for member in source["source_collection"]] == roles


def test_string_tags_stay_strings_and_are_found(api: httpx.Client):
    flow = put_flow(api, tags={"quality": "web"})

    found = api.get("/flows", params={"tag.quality": "web", "tag_exists.quality": "true"})

    assert flow in {each["id"] for each in found.json()}
    assert api.get(f"/flows/{flow}").json()["tags"] == {"quality": "web"}


def test_a_tag_with_a_comma_is_not_found_by_its_whole_value(api: httpx.Client):
    source = new_id()
    put_flow(api, source_id=source, tags={"place": "hall, left"})
    hall = put_flow(api, source_id=source, tags={"place": "hall"})

    found = api.get("/flows", params={"source_id": source, "tag.place": "hall, left"}).json()

    assert [each["id"] for each in found] == [hall]


def test_video_without_a_frame_rate_must_say_that_it_varies(api: httpx.Client):
    flow = new_id()
    body = video(flow, essence_parameters={"frame_width": 640, "frame_height": 360})

    refused = api.put(f"/flows/{flow}", json=body)

    assert refused.status_code == 400
    assert refused.json()["field"] == "essence_parameters.frame_rate"
    assert "vfr" in refused.json()["summary"]


def test_read_only_is_kept_and_heeded(api: httpx.Client):
    flow = put_flow(api, read_only=True)

    assert api.get(f"/flows/{flow}").json()["read_only"] is True
    assert api.post(f"/flows/{flow}/storage", json={"limit": 1}).status_code == 403
    assert api.post(f"/flows/{flow}/segments", json=external(0, 1_000)).status_code == 403


@pytest.mark.parametrize("resource", ["sources", "flows"])
def test_single_properties_of_7_0_are_set_and_given_back(api: httpx.Client, resource: str):
    flow = put_flow(api)
    thing = flow if resource == "flows" else api.get(f"/flows/{flow}").json()["source_id"]
    values = {"label": "Camera 1", "description": "In the hall", "tags/quality": "web"}
    if resource == "flows":
        values |= {"max_bit_rate": 5_000, "avg_bit_rate": 4_000, "read_only": False}
        values |= {"flow_collection": [{"id": put_flow(api), "role": "video"}]}

    for name, value in values.items():
        assert api.put(f"/{resource}/{thing}/{name}", json=value).status_code == 204
        assert api.get(f"/{resource}/{thing}/{name}").json() == value


# --- segments --------------------------------------------------------------------------


def test_the_segment_of_7_0_is_accepted_and_keeps_its_samples(api: httpx.Client, former: Official):
    flow, body = put_flow(api), _fresh(former, "flow-segment-post")
    api.post(f"/flows/{flow}/storage", json={"object_ids": [body["object_id"]]})

    assert api.post(f"/flows/{flow}/segments", json=body).status_code == 201
    assert body.items() <= _segments(api, flow)[0].items()


def test_samples_of_an_object_are_chosen_as_in_the_example(api: httpx.Client, former: Official):
    flow, bodies = put_flow(api), _fresh(former, "flow-segments-get-200-sample-offset")
    api.post(f"/flows/{flow}/storage", json={"object_ids": [b["object_id"] for b in bodies]})

    posted = [{k: v for k, v in body.items() if k != "get_urls"} for body in bodies]
    answer = api.post(f"/flows/{flow}/segments", json=posted)

    assert answer.status_code == 201
    for body, found in zip(posted, _segments(api, flow), strict=True):
        assert body.items() <= found.items()


def test_part_of_an_object_is_reused_by_another_flow(api: httpx.Client):
    owner, other = put_flow(api), put_flow(api)
    (object_id,) = allocate(api, owner, 1)
    whole = segment(object_id, 0, 10_000, sample_offset=0, sample_count=250, key_frame_count=10)
    part = segment(object_id, 20_000, 25_000, sample_offset=125, sample_count=125)
    part["ts_offset"] = "15:0"

    answers = [
        api.post(f"/flows/{owner}/segments", json=whole).status_code,
        api.post(f"/flows/{other}/segments", json={**part, "key_frame_count": 5}).status_code,
        api.post(f"/flows/{other}/segments", json=part).status_code,
    ]

    assert answers == [201, 400, 201]
    assert part.items() <= _segments(api, other)[0].items()


def test_an_object_first_used_in_part_is_no_longer_than_that_part(
    api: httpx.Client, later: httpx.Client
):
    def rest_after(client: httpx.Client, **more: str) -> int:
        flow, other = put_flow(client), put_flow(client)
        (object_id,) = allocate(client, flow, 1)
        first = segment(object_id, 0, 5_000, sample_offset=0, sample_count=125, **more)
        client.post(f"/flows/{flow}/segments", json=first).raise_for_status()
        rest = segment(object_id, 5_000, 10_000, sample_offset=125, sample_count=125)
        return client.post(f"/flows/{other}/segments", json=rest).status_code

    assert rest_after(api) == 400
    assert rest_after(later, object_timerange="[0:0_10:0)") == 201


def test_a_url_without_a_label_is_refused(api: httpx.Client, former: Official):
    unlabelled = _fresh(former, "flow-segments-get-200")
    labelled = _fresh(former, "flow-segments-get-200-multiple-urls")

    refused = api.post(f"/flows/{put_flow(api)}/segments", json=unlabelled)
    accepted = api.post(f"/flows/{put_flow(api)}/segments", json=labelled)

    assert (refused.status_code, refused.json()["field"]) == (400, "0.get_urls.0.label")
    assert accepted.status_code == 201


def test_urls_are_chosen_and_described_as_in_7_0(api: httpx.Client):
    flow = put_flow(api)
    (object_id,) = allocate(api, flow, 1)
    api.post(f"/flows/{flow}/segments", json=segment(object_id, 0, 1_000)).raise_for_status()
    (backend,) = api.get("/service/storage-backends").json()

    (plain,) = _segments(api, flow)[0]["get_urls"]
    (verbose,) = _segments(api, flow, verbose_storage="true")[0]["get_urls"]
    chosen = {
        "accept_get_urls": backend["label"],
        "accept_storage_ids": backend["id"],
        "presigned": "true",
    }

    assert (plain["label"], plain["presigned"]) == (backend["label"], True)
    assert (verbose["storage_id"], verbose["store_type"]) == (backend["id"], "http_object_store")
    assert [len(_segments(api, flow, **{k: v})[0]["get_urls"]) for k, v in chosen.items()] == [
        1
    ] * 3
    assert _segments(api, flow, accept_get_urls="")[0].get("get_urls", []) == []


@pytest.mark.parametrize(
    ("timerange", "expected"),
    [
        ("_", 3),
        ("[0:0_", 3),
        ("_1:500000000)", 2),
        ("[1:0_2:0)", 1),
        ("(1:0_2:0]", 2),
        ("[2:0]", 1),
        ("[2:0_2:0]", 1),
        ("3:0_4:0", 0),
        ("()", 0),
    ],
)
def test_timeranges_of_every_form_are_understood(
    api: httpx.Client, timeline: str, timerange: str, expected: int
):
    assert len(_segments(api, timeline, timerange=timerange)) == expected


@pytest.fixture(scope="module")
def timeline(api: httpx.Client) -> str:
    """A flow with three segments of a second each."""
    flow = put_flow(api)
    segments = [external(start, start + 1_000) for start in (0, 1_000, 2_000)]
    api.post(f"/flows/{flow}/segments", json=segments).raise_for_status()
    return flow


def test_segments_that_fail_are_listed_and_the_others_kept(api: httpx.Client):
    flow = put_flow(api)
    good, overlapping = external(0, 1_000), external(500, 1_500)

    partly = api.post(f"/flows/{flow}/segments", json=[good, overlapping])

    assert partly.status_code == 200
    assert [each["object_id"] for each in partly.json()["failed_segments"]] == [
        overlapping["object_id"]
    ]
    assert timeranges(_segments(api, flow)) == [good["timerange"]]


# --- pages -----------------------------------------------------------------------------


def test_pages_are_followed_by_link_and_by_key(api: httpx.Client, timeline: str):
    source, body = new_id(), external(0, 1_000)
    flows = [put_flow(api, source_id=source) for _ in range(3)]
    for flow in flows:
        api.post(f"/flows/{flow}/segments", json=body).raise_for_status()
    lists = [
        ("/flows", {"source_id": source}),
        (f"/flows/{timeline}/segments", {}),
        (f"/objects/{body['object_id']}", {}),
    ]

    for path, query in lists:
        first = api.get(path, params={**query, "limit": 2})
        by_link = api.get(first.links["next"]["url"])
        key = first.headers["x-paging-nextkey"]
        by_key = api.get(path, params={**query, "limit": 2, "page": key})

        assert first.headers["x-paging-limit"] == "2"
        assert [_count(each) for each in (first, by_link, by_key)] == [2, 1, 1]
        assert by_link.json() == by_key.json()
        assert "link" not in by_link.headers


def _count(page: httpx.Response) -> int:
    """How many items a page has; those of an object are its flows."""
    body = page.json()
    return len(body if isinstance(body, list) else body["referenced_by_flows"])


# --- storage, objects, service ---------------------------------------------------------


@pytest.mark.parametrize("name", ["flow-storage-post", "flow-storage-post-object_ids"])
def test_a_storage_request_of_7_0_gives_places_that_need_no_bucket(
    api: httpx.Client, former: Official, name: str
):
    flow, body = put_flow(api), _fresh(former, name)

    given = api.post(f"/flows/{flow}/storage", json=body)
    first = given.json()["media_objects"][0]
    headers = {"content-type": first["put_url"]["content-type"]}

    assert given.status_code == 201
    assert set(given.json()) == {"media_objects"}
    assert body.get("object_ids", [first["object_id"]])[0] == first["object_id"]
    assert httpx.put(first["put_url"]["url"], content=b"x", headers=headers).status_code == 200


def test_an_object_is_described_as_in_7_0(api: httpx.Client):
    flow, body = put_flow(api), external(0, 1_000)
    api.post(f"/flows/{flow}/segments", json=body).raise_for_status()

    found = api.get(f"/objects/{body['object_id']}").json()

    assert found["referenced_by_flows"] == [flow]
    assert found["first_referenced_by_flow"] == flow


def test_the_service_is_described_as_in_7_0(api: httpx.Client):
    assert {"service", "flows", "sources"} <= set(api.get("/").json())
    assert api.get("/service").json()["type"].startswith("urn:x-tams:service")
    assert api.get("/service/storage-backends").json()[0]["default_storage"] is True


def test_deletions_of_7_0_are_accepted(api: httpx.Client):
    flow = put_flow(api)
    segments = [external(start, start + 1_000) for start in (0, 1_000)]
    api.post(f"/flows/{flow}/segments", json=segments).raise_for_status()

    of_segment = api.delete(f"/flows/{flow}/segments", params={"timerange": "[0:0_1:0)"})
    of_flow = api.delete(f"/flows/{flow}")

    assert {of_segment.status_code, of_flow.status_code} <= {202, 204}
    assert api.get("/flow-delete-requests").status_code == 200


# --- what others write -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ({"tags": {"quality": "web"}}, True),
        ({"status": "ingesting"}, True),
        ({"flow_collection": [{"role": "video"}]}, True),
        ({"tags": {"quality": ["web", "proxy"]}}, False),
        ({"flow_collection": [{}]}, False),
        ({"essence_parameters": {"frame_width": 1, "frame_height": 1, "vfr": True}}, False),
    ],
    ids=["string tags", "status", "roles", "lists of tags", "no roles", "vfr"],
)
def test_what_clients_of_8_2_write_may_not_fit_the_schemas_of_7_0(
    later: httpx.Client, former: Official, fields: dict[str, Any], fits: bool
):
    collection = [{"id": put_flow(later), **item} for item in fields.get("flow_collection", ())]

    written = {**fields, **({"flow_collection": collection} if collection else {})}
    flow = later.get(f"/flows/{put_flow(later, **written)}").json()

    assert (former.faults("flow", flow) == []) is fits
