"""Rules of profiles, and of flows that link to one."""

from typing import Any

import httpx
import pytest

from tests.making import a_profile, new_id, pages, put_flow, put_linked_flow, put_profile, video

AUDIO = {
    "format": "urn:x-nmos:format:audio",
    "codec": "audio/aac",
    "essence_parameters": {"sample_rate": 48_000, "channels": 2},
}


def _create(api: httpx.Client, profile_id: str, **fields: Any) -> httpx.Response:
    """POST a profile; a field that is None is left out."""
    body = a_profile(profile_id, **fields)
    given = {name: value for name, value in body.items() if value is not None}
    return api.post(f"/service/profiles/{profile_id}", json=given)


def _flow(api: httpx.Client, flow_id: str) -> dict[str, Any]:
    return dict(api.get(f"/flows/{flow_id}").json())


def _put(api: httpx.Client, flow_id: str, **fields: Any) -> httpx.Response:
    source = api.get(f"/flows/{flow_id}").json().get("source_id") or new_id()
    return api.put(f"/flows/{flow_id}", json={"id": flow_id, "source_id": source, **fields})


# --- profiles --------------------------------------------------------------------------


def test_a_profile_is_kept_as_given_and_says_who_made_it_and_when(api: httpx.Client):
    profile = new_id()
    given = {"label": "p", "description": "d", "tags": {"a": ["b"]}, "urn": "urn:x:1"}

    created = _create(api, profile, created="2001-01-01T00:00:00Z", **given)

    assert created.status_code == 201
    assert created.json().items() >= a_profile(profile, **given).items()
    assert created.json()["created_by"]
    assert created.json()["created"] > "2026"
    assert api.get(f"/service/profiles/{profile}").json() == created.json()


def test_a_profile_never_changes(api: httpx.Client):
    profile = put_profile(api, label="first")
    before = api.get(f"/service/profiles/{profile}").json()

    refused = [_create(api, profile, label="second"), _create(api, profile, label="first")]

    assert [(each.status_code, each.json()["field"]) for each in refused] == [(400, "id")] * 2
    assert api.get(f"/service/profiles/{profile}").json() == before
    for method in ("PUT", "DELETE", "PATCH"):
        assert api.request(method, f"/service/profiles/{profile}").status_code == 405


@pytest.mark.parametrize(
    ("fields", "at_fault"),
    [
        ({"id": None}, "id"),
        ({"id": "329b98d6-adeb-418c-8eaf-eca14edc1706"}, "id"),
        ({"flow_metadata": None}, "flow_metadata"),
        ({"flow_metadata": []}, "flow_metadata"),
        ({"flow_metadata": {}}, "flow_metadata.format"),
        ({"flow_metadata": {"format": "urn:x-nmos:format:multi"}}, "flow_metadata.format"),
        ({"flow_metadata": {**AUDIO, "codec": "aac"}}, "flow_metadata.codec"),
        ({"flow_metadata": {**AUDIO, "avg_bit_rate": "1"}}, "flow_metadata.avg_bit_rate"),
        (
            {"flow_metadata": {**AUDIO, "essence_parameters": {"channels": 2}}},
            "flow_metadata.essence_parameters.sample_rate",
        ),
        (
            {"flow_metadata": {**AUDIO, "essence_parameters": {"frame_width": 2}}},
            "flow_metadata.essence_parameters.frame_width",
        ),
        ({"tags": {"a": 1}}, "tags"),
        ({"label": 1}, "label"),
    ],
)
def test_a_profile_that_breaks_a_rule_is_refused_by_field(
    api: httpx.Client, fields: dict[str, Any], at_fault: str
):
    profile = new_id()

    refused = _create(api, profile, **fields)

    faults = refused.json()["summary"] + refused.json()["field"]
    assert refused.status_code == 400, refused.text
    assert at_fault in faults
    assert api.get(f"/service/profiles/{profile}").status_code == 404


def test_profiles_are_listed_latest_first_page_by_page(api: httpx.Client):
    label = new_id()
    made = [put_profile(api, label=label) for _ in range(3)]

    first = api.get("/service/profiles", params={"label": label, "limit": 2})
    found = pages(api, "/service/profiles", {"label": label, "limit": 2})

    assert (first.headers["x-paging-limit"], first.headers["x-paging-count"]) == ("2", "2")
    assert first.headers["x-paging-nextkey"] in first.links["next"]["url"]
    assert [profile["id"] for profile in found] == made[::-1]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, {"video", "audio"}),
        ({"format": "urn:x-nmos:format:audio"}, {"audio"}),
        ({"format": "urn:x-nmos:format:multi"}, set()),
        ({"codec": "video/h264"}, {"video"}),
        ({"codec": "audio/aac", "format": "urn:x-nmos:format:video"}, set()),
        ({"codec": "video/h265"}, set()),
    ],
    ids=lambda value: "&".join(value.values()) if isinstance(value, dict) else "",
)
def test_profiles_are_filtered_by_label_format_and_codec(
    api: httpx.Client, query: dict[str, str], expected: set[str]
):
    label = new_id()
    made = {
        put_profile(api, label=label): "video",
        put_profile(api, label=label, flow_metadata=AUDIO): "audio",
        put_profile(api, label="other"): "other",
    }

    found = api.get("/service/profiles", params={"label": label, **query}).json()

    assert {made[profile["id"]] for profile in found} == expected


# --- flows that link to a profile ------------------------------------------------------


def test_a_flow_with_a_profile_has_its_technical_fields(api: httpx.Client):
    profile = put_profile(api, label="of the profile", tags={"a": "of the profile"})
    metadata = api.get(f"/service/profiles/{profile}").json()["flow_metadata"]

    flow = put_linked_flow(api, profile, label="mine", generation=1)

    assert _flow(api, flow).items() >= {"profile_id": profile, "label": "mine", **metadata}.items()
    assert "tags" not in _flow(api, flow)
    assert api.get(f"/flows/{flow}/avg_bit_rate").json() == metadata["avg_bit_rate"]
    assert api.post(f"/flows/{flow}/storage", json={"limit": 1}).status_code == 201


def test_only_the_technical_fields_of_a_profile_go_to_flows(api: httpx.Client):
    metadata = {**AUDIO, "label": "not yours", "source_id": new_id(), "read_only": True, "x": 1}
    flow = put_linked_flow(api, put_profile(api, flow_metadata=metadata))

    assert _flow(api, flow).items() >= AUDIO.items()
    assert not {"label", "read_only", "x"} & _flow(api, flow).keys()
    assert _flow(api, flow)["source_id"] != metadata["source_id"]


@pytest.mark.parametrize(
    "field",
    [
        *("format", "codec", "container", "avg_bit_rate", "segment_duration"),
        *("container_mapping", "essence_parameters"),
    ],
)
def test_a_technical_field_beside_a_profile_is_refused_by_name(api: httpx.Client, field: str):
    values = {**video(""), "avg_bit_rate": 1, "segment_duration": {"numerator": 2}}
    values["container_mapping"] = {"track_index": 0}
    profile, flow = put_profile(api), new_id()

    refused = _put(api, flow, profile_id=profile, **{field: values[field]})

    assert (refused.status_code, refused.json()["field"]) == (400, field)
    assert api.get(f"/flows/{flow}").status_code == 404


@pytest.mark.parametrize("profile_id", ["329b98d6-adeb-418c-8eaf-eca14edc1706", "none", 5, None])
def test_a_profile_that_does_not_exist_is_refused_by_name(api: httpx.Client, profile_id: Any):
    refused = _put(api, new_id(), profile_id=profile_id)

    assert (refused.status_code, refused.json()["field"]) == (400, "profile_id")


def test_a_profile_of_another_format_than_the_source_is_refused(api: httpx.Client):
    flow = put_flow(api)

    refused = _put(api, flow, profile_id=put_profile(api, flow_metadata=AUDIO))

    assert (refused.status_code, refused.json()["field"]) == (400, "format")
    assert "profile_id" not in _flow(api, flow)


def test_flows_are_found_by_profile_until_they_are_unlinked(api: httpx.Client):
    profile = put_profile(api)
    first, second, third = (put_linked_flow(api, profile) for _ in range(3))
    put_linked_flow(api, put_profile(api))

    def found() -> set[str]:
        flows = api.get("/flows", params={"profile_id": profile}).json()
        return {flow["id"] for flow in flows}

    linked = found()
    _put(api, first, profile_id="").raise_for_status()
    replaced = video(second, source_id=_flow(api, second)["source_id"], codec="video/h265")
    api.put(f"/flows/{second}", json=replaced).raise_for_status()

    assert linked == {first, second, third}
    assert found() == {third}
    assert _flow(api, second)["codec"] == "video/h265"
    assert not {"profile_id", "avg_bit_rate"} & _flow(api, second).keys()


def test_an_unlinked_flow_keeps_the_technical_fields_it_had(api: httpx.Client):
    profile = put_profile(api)
    flow = put_linked_flow(api, profile, label="before")
    metadata = api.get(f"/service/profiles/{profile}").json()["flow_metadata"]

    unlinked = [_put(api, flow, profile_id="", label=label) for label in ("after", "again")]

    assert [answer.status_code for answer in unlinked] == [204, 204]
    assert _flow(api, flow).items() >= {"label": "again", **metadata}.items()
    assert "profile_id" not in _flow(api, flow)


def test_a_flow_is_unlinked_and_given_other_technical_fields_at_once(api: httpx.Client):
    flow = put_linked_flow(api, put_profile(api))
    fields = video(flow, source_id=_flow(api, flow)["source_id"], container="video/mp4")

    assert api.put(f"/flows/{flow}", json={**fields, "profile_id": ""}).status_code == 204
    assert _flow(api, flow)["container"] == "video/mp4"
    assert not {"profile_id", "avg_bit_rate"} & _flow(api, flow).keys()


@pytest.mark.parametrize(
    ("fields", "at_fault"),
    [({"profile_id": ""}, "format"), ({}, "format"), ({"avg_bit_rate": 1}, "format")],
)
def test_a_new_flow_without_a_profile_needs_technical_fields(
    api: httpx.Client, fields: dict[str, Any], at_fault: str
):
    refused = _put(api, new_id(), **fields)

    assert (refused.status_code, refused.json()["field"]) == (400, at_fault)


def test_a_linked_flow_without_a_word_of_its_profile_is_refused(api: httpx.Client):
    flow = put_linked_flow(api, put_profile(api))

    refused = _put(api, flow, label="new")

    assert (refused.status_code, refused.json()["field"]) == (400, "format")
    assert "profile_id" in _flow(api, flow)


def test_the_average_bit_rate_of_a_linked_flow_is_that_of_its_profile(api: httpx.Client):
    flow = put_linked_flow(api, put_profile(api))
    path = f"/flows/{flow}/avg_bit_rate"
    before = _flow(api, flow)

    refused = [api.put(path, json=1), api.delete(path)]

    for answer in refused:
        assert (answer.status_code, answer.json()["field"]) == (400, "avg_bit_rate")
        assert "unlink" in answer.json()["summary"]
    assert _flow(api, flow) == before
    _put(api, flow, profile_id="").raise_for_status()
    assert api.put(path, json=1).status_code == 204
    assert api.delete(path).status_code == 204


def test_what_is_not_technical_changes_without_unlinking(api: httpx.Client):
    profile = put_profile(api)
    flow = put_linked_flow(api, profile)

    for name, value in {"label": "l", "max_bit_rate": 9_000, "tags/a": "b"}.items():
        assert api.put(f"/flows/{flow}/{name}", json=value).status_code == 204
    replaced = _put(api, flow, profile_id=profile, label="m")

    assert replaced.status_code == 204
    assert (_flow(api, flow)["profile_id"], _flow(api, flow)["label"]) == (profile, "m")
