"""Every example body of the specification: sent as a request, or compared with our response.

* An example of a request is accepted; what it says is given back.
* An example of a response fits the schema we serve, which knows every name in it; in the situation
  it shows, our own response has every field that it has.
"""

from typing import Any

import httpx
import pytest

from tests.making import external, new_id, put_flow, segment
from tests.spec.official import Document, Example, Official

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

# Examples of requests that tests send, by operation; one without a file has no name. That of a
# controlled instance needs a second storage backend, and is sent by test_copies.py; those of
# webhooks are sent by test_webhooks.py.
SENT = {
    ("POST_service", "service-post"),
    ("POST_profiles-profileId", "profile-put"),
    *(
        (f"PUT_{resource}-{name}", None)
        for resource in ("sources-sourceId", "flows-flowId")
        for name in ("tags-name", "description", "label")
    ),
    *(("PUT_flows-flowId", name) for name in ("flow-put", "flow-put-multi", "flow-put-profile")),
    *((f"PUT_flows-flowId-{name}", None) for name in ("read-only", "max-bit-rate", "avg-bit-rate")),
    ("PUT_flows-flowId-flow-collection", "flow-collection-put"),
    ("POST_flows-flowId-segments", "flow-segment-post"),
    ("POST_flows-flowId-storage", "flow-storage-post"),
    ("POST_flows-flowId-storage", "flow-storage-post-object_ids"),
    ("POST_objects-instances", "objects-instances-controlled-post"),
    ("POST_objects-instances", "objects-instances-uncontrolled-post"),
    ("POST_webhooks", "webhook-post"),
    ("PUT_webhooks", "webhook-put"),
}

# Examples that do not fit our schemas, and why.
MISFITS = {
    "profiles-get-200": "it has a field, urn, that the specification does not define",
    "flow-segment-partial-failure": "an error of ours has a message and detail, and no traceback",
    "deletion-requests-get-200": "the same",
}


def _fresh(official: Official, name: str) -> Any:
    return official.example(name, {each: new_id() for each in official.ids(name)})


def _kept(body: dict[str, Any]) -> dict[str, Any]:
    managed = {"created", "metadata_updated", "segments_updated", "timerange", "collected_by"}
    return {name: value for name, value in body.items() if name not in managed}


def _names(value: Any, path: str = "") -> set[str]:
    """The names of all fields, with those they are inside of."""
    match value:
        case dict():
            inside = [(f"{path}.{name}", each) for name, each in value.items()]
            return {name for name, _ in inside}.union(*(_names(v, n) for n, v in inside))
        case list():
            return set().union(*(_names(each, f"{path}[]") for each in value))
    return set()


# --- our schemas -----------------------------------------------------------------------


def _closed(schema: Any) -> Any:
    """The schema, refusing every name it does not know."""
    match schema:
        case dict():
            closed = {name: _closed(inside) for name, inside in schema.items()}
            return closed | ({"additionalProperties": False} if "properties" in closed else {})
        case list():
            return [_closed(inside) for inside in schema]
    return schema


def _schema(document: Document, example: Example) -> Any:
    operation = document.operations[example.operation]
    if example.status is None:
        described = operation.described["requestBody"]
    else:
        described = operation.responses[example.status]
    return described["content"]["application/json"]["schema"]


def test_every_example_fits_our_schema_which_knows_every_name_in_it(
    official: Official, served: Document
):
    ours = Document(_closed(dict(served.content)))
    misfits = {}
    for example in official.examples:
        if example.operation in served.operations:
            faults = set(ours.faults(_schema(ours, example), example.body))
            # Some examples are at odds with the schemas of the specification itself.
            theirs = official.document.faults(_schema(official.document, example), example.body)
            if faults - set(theirs):
                misfits[example.file or example.operation] = faults

    assert misfits.keys() == MISFITS.keys(), misfits


# --- requests --------------------------------------------------------------------------


def test_no_example_of_a_request_is_left_out(official: Official):
    requests = {(e.operation, e.file) for e in official.examples if e.status is None}

    assert requests == SENT


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


@pytest.mark.parametrize(
    "name",
    [
        *("sources-sourceId-tags-name", "sources-sourceId-description", "sources-sourceId-label"),
        *("flows-flowId-tags-name", "flows-flowId-description", "flows-flowId-label"),
        *("flows-flowId-read-only", "flows-flowId-max-bit-rate", "flows-flowId-avg-bit-rate"),
    ],
)
def test_the_example_of_a_property_is_accepted_and_given_back(
    api: httpx.Client, official: Official, name: str
):
    (example,) = (e for e in official.examples if (e.operation, e.status) == (f"PUT_{name}", None))
    flow = put_flow(api)
    source = api.get(f"/flows/{flow}").json()["source_id"]
    path = official.document.operations[f"PUT_{name}"].path
    path = path.format(flowId=flow, sourceId=source, name="colour")

    answer = api.put(path, json=example.body)

    assert answer.status_code == 204, answer.text
    assert api.get(path).json() == example.body


def test_the_example_of_an_uncontrolled_instance_is_accepted(api: httpx.Client, official: Official):
    flow, known = put_flow(api), external(0, 1_000)
    api.post(f"/flows/{flow}/segments", json=known).raise_for_status()
    body = official.example("objects-instances-uncontrolled-post")

    answer = api.post(f"/objects/{known['object_id']}/instances", json=body)
    urls = api.get(f"/objects/{known['object_id']}").json()["get_urls"]

    assert answer.status_code == 201, answer.text
    assert [body["label"], body["url"]] in [[url["label"], url["url"]] for url in urls]


# --- responses -------------------------------------------------------------------------


def test_the_service_and_its_backends_have_the_fields_of_the_examples(
    api: httpx.Client, official: Official
):
    service, backends = api.get("/service"), api.get("/service/storage-backends")
    set_by_clients = {".name", ".description"}

    missing = _names(official.example("service-get-200")) - _names(service.json())
    assert missing <= set_by_clients
    missing = _names(official.example("storage-backends-get-200")) - _names(backends.json())
    assert missing <= {"[].availability_zone"}


def test_sources_have_the_fields_of_the_example(api: httpx.Client, official: Official):
    called = {"label": "bbb", "description": "Big Buck Bunny"}
    member = put_flow(api, **called)
    collector = put_flow(api, **called, flow_collection=[{"id": member}])
    paths = [
        f"/sources/{api.get(f'/flows/{flow}').json()['source_id']}" for flow in (member, collector)
    ]
    api.put(f"{paths[0]}/tags/editorial_purpose", json="cleanfeed").raise_for_status()

    sources = [api.get(path).json() for path in paths]

    assert _names(official.example("sources-get-200")) <= _names(sources)


def test_a_flow_delete_request_has_the_fields_of_the_example(api: httpx.Client, official: Official):
    prefer = {"Prefer": "respond-async"}

    accepted = api.delete(f"/flows/{put_flow(api)}/segments", headers=prefer)
    found = api.get(accepted.headers["location"])

    example = _names(official.example("deletion-request-get-200"))
    assert example - _names(accepted.json()) <= {".expiry"}  # it has none before it ended
    assert example - _names(found.json()) <= {".expiry"}


def _listed_as(
    api: httpx.Client, official: Official, name: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Segments as an example lists them, and as we list the same."""
    theirs = _fresh(official, name)
    inits = [item["init_object"]["object_id"] for item in theirs if "init_object" in item]
    essence = {"frame_width": 1, "frame_height": 1, "vfr": True, "init_segments": bool(inits)}
    flow = put_flow(api, essence_parameters=essence)
    ids = sorted({item["object_id"] for item in theirs}.union(inits))
    api.post(f"/flows/{flow}/storage", json={"object_ids": ids}).raise_for_status()
    for item in theirs:
        body = {key: item[key] for key in ("object_id", "timerange")}
        body["get_urls"] = [url for url in item["get_urls"] if "label" in url]
        if "init_object" in item:
            body["init_object_id"] = item["init_object"]["object_id"]
        response = api.post(f"/flows/{flow}/segments", json=body)
        assert response.status_code == 201, response.text
    return theirs, api.get(f"/flows/{flow}/segments").json()


@pytest.mark.parametrize(
    "name",
    ["flow-segments-get-200", "flow-segments-get-200-multiple-urls", "flow-segments-get-200-init"],
)
def test_segments_are_listed_as_in_the_example(api: httpx.Client, official: Official, name: str):
    theirs, ours = _listed_as(api, official, name)

    assert len(theirs) == len(ours)
    for example, item in zip(theirs, ours, strict=True):
        assert _names(example) <= _names(item)
        assert (item["object_id"], item["timerange"]) == (
            example["object_id"],
            example["timerange"],
        )


def test_the_example_of_object_timeranges_contradicts_the_rules(
    api: httpx.Client, official: Official
):
    flow = put_flow(api)
    first, second, third = _fresh(official, "flow-segments-get-200-object-timerange")
    ids = [first["object_id"], second["object_id"]]
    api.post(f"/flows/{flow}/storage", json={"object_ids": ids}).raise_for_status()

    answers = [
        api.post(f"/flows/{flow}/segments", json={**each, "get_urls": []})
        for each in (first, second, third)
    ]

    assert [answer.status_code for answer in answers] == [201, 400, 400]
    assert answers[1].json()["field"] == "timerange"
    assert answers[2].json()["field"] == "object_timerange"


def test_segments_that_fail_are_told_as_in_the_example(api: httpx.Client, official: Official):
    flow = put_flow(api)

    refused = api.post(f"/flows/{flow}/segments", json=[segment(new_id(), 0, 1_000)])

    missing = _names(official.example("flow-segment-partial-failure")) - _names(refused.json())
    assert missing == {".failed_segments[].error.traceback"}


@pytest.mark.parametrize("name", ["flow-storage-post-201", "flow-storage-post-201-wav"])
def test_storage_is_given_as_in_the_example(api: httpx.Client, official: Official, name: str):
    example = _fresh(official, name)
    (kind,) = {item["put_url"]["content-type"] for item in example["media_objects"]}
    ids = [item["object_id"] for item in example["media_objects"]]

    given = api.post(
        f"/flows/{put_flow(api, container=kind)}/storage", json={"object_ids": ids}
    ).json()

    assert _names(example) <= _names(given)
    assert [item["object_id"] for item in given["media_objects"]] == ids
    assert {item["put_url"]["content-type"] for item in given["media_objects"]} == {kind}


@pytest.mark.parametrize("name", ["objects-get-200", "objects-get-200-init"])
def test_an_object_is_described_as_in_the_example(api: httpx.Client, official: Official, name: str):
    example = official.example(name)
    _, (listed, *_) = _listed_as(
        api, official, f"flow-segments-get-200{'-init' if 'init_object' in example else ''}"
    )

    found = api.get(f"/objects/{listed['object_id']}").json()

    assert _names(example) <= _names(found)
