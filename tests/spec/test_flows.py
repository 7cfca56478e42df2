"""Rules of PUT and GET /flows/{flowId}, and of the sources flows bring into being."""

from typing import Any

import httpx
import pytest

from tests.making import external, new_id, put_flow, video


def _put(api: httpx.Client, flow_id: str, **fields: Any) -> httpx.Response:
    """PUT a video flow; a field that is None is left out."""
    body = video(flow_id, **fields)
    return api.put(f"/flows/{flow_id}", json={name: v for name, v in body.items() if v is not None})


def _flow(api: httpx.Client, flow_id: str, **query: Any) -> dict[str, Any]:
    response = api.get(f"/flows/{flow_id}", params=query)
    assert response.status_code == 200, response.text
    return dict(response.json())


def _essence(**fields: Any) -> dict[str, Any]:
    return {"frame_width": 640, "frame_height": 360, **fields}


@pytest.fixture(scope="module")
def gapped(api: httpx.Client) -> str:
    """A flow with content from 0 to 2 s and from 8 to 10 s."""
    flow = put_flow(api)
    segments = [external(0, 1_000), external(1_000, 2_000), external(8_000, 10_000)]
    api.post(f"/flows/{flow}/segments", json=segments).raise_for_status()
    return flow


def test_a_flow_is_created_once_and_replaced_afterwards(api: httpx.Client):
    flow, source = new_id(), new_id()

    created = _put(api, flow, source_id=source, label="first")
    replaced = _put(api, flow, source_id=source, description="second")

    assert (created.status_code, replaced.status_code) == (201, 204)
    assert created.json()["label"] == "first"
    assert replaced.content == b""
    assert _flow(api, flow)["description"] == "second"
    assert "label" not in _flow(api, flow)


def test_tags_that_are_not_given_again_are_gone(api: httpx.Client):
    flow, source = new_id(), new_id()
    _put(api, flow, source_id=source, tags={"a": "1", "b": ["2", "3"]})

    _put(api, flow, source_id=source, tags={"b": "4"})
    merged = _flow(api, flow)["tags"]
    _put(api, flow, source_id=source)

    assert merged == {"b": "4"}
    assert not _flow(api, flow).get("tags")


def test_what_the_service_manages_is_ignored_when_given(api: httpx.Client):
    flow = new_id()
    given = {
        "created": "2001-01-01T00:00:00Z",
        "metadata_updated": "2001-01-01T00:00:00Z",
        "segments_updated": "2001-01-01T00:00:00Z",
        "timerange": "[0:0_10:0)",
        "collected_by": [new_id()],
    }

    created = _put(api, flow, **given)

    assert created.status_code == 201
    assert not any(created.json().get(name) == value for name, value in given.items())
    assert _flow(api, flow, include_timerange=True)["timerange"] == "()"


def test_who_created_and_updated_a_flow_can_be_said(api: httpx.Client):
    said, unsaid = new_id(), put_flow(api)
    _put(api, said, created_by="camera", updated_by="operator")

    assert (_flow(api, said)["created_by"], _flow(api, said)["updated_by"]) == (
        "camera",
        "operator",
    )
    assert _flow(api, unsaid)["created_by"]
    assert _flow(api, unsaid)["updated_by"]


def test_a_metadata_version_is_kept_when_given_and_changes_with_the_metadata(api: httpx.Client):
    flow, source = new_id(), new_id()

    def version(**fields: Any) -> str:
        _put(api, flow, source_id=source, **fields).raise_for_status()
        return str(_flow(api, flow)["metadata_version"])

    given = version(metadata_version="as-in-the-other-store")
    unsaid = version(label="a")
    repeated = version(label="b", metadata_version=unsaid)
    edited = version(label="c", metadata_version="mine")

    assert given == "as-in-the-other-store"
    assert edited == "mine"
    assert len({given, unsaid, repeated, edited}) == 4


def test_segments_change_neither_metadata_version_nor_metadata_updated(api: httpx.Client):
    flow = put_flow(api)
    before = _flow(api, flow)

    api.post(f"/flows/{flow}/segments", json=external(0, 1_000)).raise_for_status()
    after = _flow(api, flow)

    assert "segments_updated" not in before
    assert after.pop("segments_updated")
    assert after == before


def test_a_read_only_flow_refuses_everything_but_reading(api: httpx.Client):
    flow = put_flow(api, read_only=True)

    answers = [
        _put(api, flow, label="new"),
        _put(api, flow, read_only=False),
        api.post(f"/flows/{flow}/storage", json={}),
        api.post(f"/flows/{flow}/segments", json=external(0, 1_000)),
        api.post(f"/flows/{flow}/segments", json=[external(0, 1_000)]),
    ]

    assert [answer.status_code for answer in answers] == [403] * 5
    assert "label" not in _flow(api, flow)


@pytest.mark.parametrize(
    ("fields", "at_fault"),
    [
        ({"id": "dddddddd-dddd-4ddd-8ddd-dddddddddddd"}, "id"),
        ({"id": None}, "id"),
        ({"source_id": None}, "source_id"),
        ({"source_id": "DDDDDDDD-DDDD-4DDD-8DDD-DDDDDDDDDDDD"}, "source_id"),
        ({"format": None}, "format"),
        ({"format": "urn:x-nmos:format:image"}, "format"),
        ({"codec": None}, "codec"),
        ({"codec": "h264"}, "codec"),
        ({"container": "video/mp2t\n"}, "container"),
        ({"essence_parameters": None}, "essence_parameters"),
        ({"essence_parameters": _essence()}, "essence_parameters.frame_rate"),
        ({"essence_parameters": _essence(vfr=False)}, "essence_parameters.frame_rate"),
        (
            {"essence_parameters": _essence(vfr=True, frame_rate={"numerator": 25})},
            "essence_parameters.frame_rate",
        ),
        ({"essence_parameters": _essence(vfr=True, colour="red")}, "essence_parameters.colour"),
        (
            {"essence_parameters": {"frame_width": 1, "vfr": True}},
            "essence_parameters.frame_height",
        ),
        (
            {"essence_parameters": _essence(vfr=True, frame_width=0)},
            "essence_parameters.frame_width",
        ),
        (
            {"essence_parameters": _essence(vfr=True, interlace_mode="both")},
            "essence_parameters.interlace_mode",
        ),
        (
            {"essence_parameters": _essence(vfr=True, avc_parameters={"profile": 1, "level": 1})},
            "essence_parameters.avc_parameters.flags",
        ),
        ({"generation": -1}, "generation"),
        ({"generation": "1"}, "generation"),
        ({"status": "unheard-of"}, "status"),
        ({"read_only": "true"}, "read_only"),
        ({"tags": {"a": 1}}, "tags"),
        ({"tags": {"a": [1]}}, "tags"),
        ({"label": 5}, "label"),
        ({"max_bit_rate": 1.5}, "max_bit_rate"),
        ({"segment_duration": {"denominator": 2}}, "segment_duration.numerator"),
        ({"segment_duration": {"numerator": 0}}, "segment_duration.numerator"),
        ({"container_mapping": {"track_index": -1}}, "container_mapping.track_index"),
        (
            {"container_mapping": {"mp2ts_container": {"pid": "1"}}},
            "container_mapping.mp2ts_container.pid",
        ),
        (
            {"container_mapping": {"mxf_container": {"package_uid": "umid"}}},
            "container_mapping.mxf_container.package_uid",
        ),
        ({"flow_collection": [{"role": "video"}]}, "flow_collection.0.id"),
        ({"profile_id": "329b98d6"}, "profile_id"),
    ],
)
def test_a_flow_that_breaks_a_rule_is_refused_by_field(
    api: httpx.Client, fields: dict[str, Any], at_fault: str
):
    flow = new_id()

    refused = _put(api, flow, **fields)

    assert (refused.status_code, refused.json().get("field")) == (400, at_fault), refused.text
    assert api.get(f"/flows/{flow}").status_code == 404


@pytest.mark.parametrize(
    "fields",
    [
        {"essence_parameters": _essence(vfr=True)},
        {"essence_parameters": _essence(vfr=False, frame_rate={"numerator": 25})},
        {"container": None},
        {"profile_id": ""},
        {"format": "urn:x-nmos:format:multi", "codec": None, "essence_parameters": None},
        {"format": "urn:x-nmos:format:data", "essence_parameters": {}},
        {"container_mapping": {"mp2ts_container": {"pid": 256}, "track_index": 0}},
        {"a_field_of_the_future": {"deep": [1, 2.5, None]}},
    ],
)
def test_a_flow_that_keeps_the_rules_is_accepted(api: httpx.Client, fields: dict[str, Any]):
    flow = new_id()

    assert _put(api, flow, **fields).status_code == 201
    assert "profile_id" not in _flow(api, flow)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b"null", b'"flow"', b"{'id': 1}", b'{"label": "\xff"}'),
        *(b'{"label": "\\ud800"}', b'{"x": NaN}', b'{"x": ' + b"[" * 500 + b"]" * 500 + b"}"),
        b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=lambda body: body[:20].decode(errors="replace"),
)
@pytest.mark.parametrize("kind", ["PUT /flows/{}", "POST /flows/{}/segments"])
def test_a_body_that_cannot_be_meant_is_400(api: httpx.Client, gapped: str, kind: str, body: bytes):
    method, _, path = kind.partition(" ")

    assert api.request(method, path.format(gapped), content=body).status_code == 400


def test_a_body_is_read_whatever_its_declared_type(api: httpx.Client):
    flow = new_id()
    request = api.build_request("PUT", f"/flows/{flow}", json=video(flow))
    request.headers["content-type"] = "application/x-www-form-urlencoded"

    assert api.send(request).status_code == 201


# --- timerange -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, None),
        ({"include_timerange": "false"}, None),
        ({"timerange": "[0:0_1:0)"}, None),
        ({"include_timerange": "true"}, "[0:0_10:0)"),
        ({"include_timerange": "true", "timerange": "_"}, "[0:0_10:0)"),
        ({"include_timerange": "true", "timerange": "[1:500_9:0)"}, "[1:0_10:0)"),
        ({"include_timerange": "true", "timerange": "[0:0_1:0)"}, "[0:0_1:0)"),
        ({"include_timerange": "true", "timerange": "[0:0_1:0]"}, "[0:0_2:0)"),
        ({"include_timerange": "true", "timerange": "[2:0_8:0)"}, "()"),
        ({"include_timerange": "true", "timerange": "()"}, "()"),
    ],
    ids=lambda value: "&".join(value.values()) if isinstance(value, dict) else str(value),
)
def test_the_timerange_is_of_the_segments_that_overlap(
    api: httpx.Client, gapped: str, query: dict[str, str], expected: str | None
):
    assert _flow(api, gapped, **query).get("timerange") == expected


def test_a_flow_is_found_in_a_gap_of_its_content(api: httpx.Client, gapped: str):
    source = _flow(api, gapped)["source_id"]

    def found(timerange: str) -> list[str]:
        query = {"source_id": source, "timerange": timerange}
        return [flow["id"] for flow in api.get("/flows", params=query).json()]

    assert found("[4:0_5:0)") == [gapped]
    assert found("[10:0_11:0)") == []


# --- sources and collections -----------------------------------------------------------


def test_a_source_comes_into_being_with_its_first_flow(api: httpx.Client):
    source = new_id()
    absent = api.get(f"/sources/{source}").status_code

    put_flow(api, source_id=source, label="Camera 1", description="In the hall")
    found = api.get(f"/sources/{source}").json()

    assert absent == 404
    assert (found["id"], found["format"]) == (source, "urn:x-nmos:format:video")
    assert (found["label"], found["description"]) == ("Camera 1", "In the hall")


def test_a_flow_that_conflicts_with_the_format_of_its_source_is_refused(api: httpx.Client):
    source, flow = new_id(), new_id()
    put_flow(api, source_id=source)

    refused = _put(
        api,
        flow,
        source_id=source,
        format="urn:x-nmos:format:audio",
        essence_parameters={"sample_rate": 48_000, "channels": 2},
    )

    assert (refused.status_code, refused.json()["field"]) == (400, "format")
    assert api.get(f"/flows/{flow}").status_code == 404


def test_collections_are_told_from_both_sides(api: httpx.Client):
    video_flow, audio_flow = put_flow(api), put_flow(api)
    members = [{"id": video_flow, "role": "video"}, {"id": audio_flow}]
    collector = put_flow(api, flow_collection=members)
    source_of = {
        flow: _flow(api, flow)["source_id"] for flow in (video_flow, audio_flow, collector)
    }

    source = api.get(f"/sources/{source_of[collector]}").json()

    assert _flow(api, collector)["flow_collection"] == members
    assert _flow(api, video_flow)["collected_by"] == [collector]
    assert source["source_collection"] == [
        {"id": source_of[video_flow], "role": "video"},
        {"id": source_of[audio_flow]},
    ]
    assert api.get(f"/sources/{source_of[audio_flow]}").json()["collected_by"] == [
        source_of[collector]
    ]


def test_what_is_collected_no_more_does_not_say_so(api: httpx.Client):
    member = put_flow(api)
    collector, source = new_id(), new_id()
    _put(api, collector, source_id=source, flow_collection=[{"id": member}])

    _put(api, collector, source_id=source)

    assert not _flow(api, member).get("collected_by")
    assert not api.get(f"/sources/{source}").json().get("source_collection")


def test_a_flow_collects_only_flows_that_exist(api: httpx.Client):
    absent = new_id()

    refused = _put(api, new_id(), flow_collection=[{"id": absent}])

    assert (refused.status_code, refused.json()["field"]) == (400, "flow_collection")
    assert absent in refused.json()["summary"]


# --- the service -----------------------------------------------------------------------


def _seconds(timestamp: str) -> float:
    seconds, _, nanoseconds = timestamp.partition(":")
    return int(seconds) + int(nanoseconds) / 1e9


def test_the_service_keeps_the_limits_of_its_timeouts(api: httpx.Client):
    service = api.get("/service").json()

    assert service["type"].startswith("urn:x-tams:service")
    assert service["api_version"] == "8.2"
    assert _seconds(service["min_object_timeout"]) >= 300
    assert (
        30
        <= _seconds(service["min_presigned_url_timeout"])
        <= _seconds(service["min_object_timeout"])
    )


def test_the_root_lists_paths_that_are_there(api: httpx.Client):
    assert {"service", "flows", "sources", "flow-delete-requests"} <= set(api.get("/").json())
    assert all(api.get(f"/{path}").status_code == 200 for path in api.get("/").json())


def test_one_storage_backend_at_most_is_the_default(api: httpx.Client):
    backends = api.get("/service/storage-backends").json()

    assert [backend["default_storage"] for backend in backends] == [True]
