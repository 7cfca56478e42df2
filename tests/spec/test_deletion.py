"""Rules of DELETE for flows and segments, of flow delete requests, and of object instances."""

import time
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.making import (
    allocate,
    external,
    listed,
    new_id,
    pages,
    put_flow,
    segment,
    timeranges,
    video,
)

_PATIENCE_S = 30


def _register(api: httpx.Client, flow: str, *segments: dict[str, Any]) -> None:
    response = api.post(f"/flows/{flow}/segments", json=list(segments))
    assert response.status_code == 201, response.text


def _followed(api: httpx.Client, accepted: httpx.Response) -> dict[str, Any]:
    """The flow delete request of a 202, once it has ended."""
    assert accepted.status_code == 202, accepted.text
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        found = api.get(accepted.headers["location"]).json()
        if found["status"] in {"done", "error"}:
            return dict(found)
        time.sleep(0.05)
    raise AssertionError(f"{accepted.headers['location']} does not end")


def _object(api: httpx.Client, object_id: str) -> httpx.Response:
    return api.get(f"/objects/{quote(object_id, safe='')}")


def _gone(url: str) -> bool:
    """Whether the bytes at a URL go within a while."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        if httpx.get(url).status_code == 404:
            return True
        time.sleep(0.05)
    return False


def _uploaded(api: httpx.Client, flow: str, *object_ids: str) -> None:
    body = {"object_ids": list(object_ids)}
    for item in api.post(f"/flows/{flow}/storage", json=body).json()["media_objects"]:
        headers = {"content-type": item["put_url"]["content-type"]}
        assert httpx.put(item["put_url"]["url"], content=b"media", headers=headers).is_success


# --- segments --------------------------------------------------------------------------


def test_only_segments_wholly_inside_the_timerange_are_deleted(api: httpx.Client):
    flow = put_flow(api)
    _register(api, flow, *(external(n * 1_000, (n + 1) * 1_000) for n in range(5)))

    deleted = api.delete(
        f"/flows/{flow}/segments", params={"timerange": "[0:500000000_3:999999999]"}
    )

    assert deleted.status_code == 204
    assert timeranges(listed(api, flow)) == ["[0:0_1:0)", "[3:0_4:0)", "[4:0_5:0)"]
    found = api.get(f"/flows/{flow}", params={"include_timerange": "true"}).json()
    assert found["timerange"] == "[0:0_5:0)"


def test_without_a_timerange_every_segment_is_deleted_and_the_flow_stays(api: httpx.Client):
    flow = put_flow(api)
    _register(api, flow, external(0, 1_000), external(5_000, 6_000))

    deleted = api.delete(f"/flows/{flow}/segments")

    assert deleted.status_code == 204
    assert listed(api, flow) == []
    found = api.get(f"/flows/{flow}", params={"include_timerange": "true"}).json()
    assert found["timerange"] == "()"


def test_segments_of_one_object_are_deleted_by_its_id(api: httpx.Client):
    flow, used_twice = put_flow(api), external(0, 2_000)
    urls = used_twice["get_urls"]
    halves = [
        segment(used_twice["object_id"], 10_000, 11_000, ts_offset="10:0", get_urls=urls),
        segment(used_twice["object_id"], 20_000, 21_000, ts_offset="20:0"),
    ]
    _register(api, flow, used_twice | {"timerange": "[0:0_2:0)"}, *halves, external(5_000, 6_000))

    deleted = api.delete(
        f"/flows/{flow}/segments",
        params={"object_id": used_twice["object_id"], "timerange": "[1:0_15:0)"},
    )

    assert deleted.status_code == 204
    assert timeranges(listed(api, flow)) == ["[0:0_2:0)", "[5:0_6:0)", "[20:0_21:0)"]
    assert api.delete(f"/flows/{flow}/segments", params={"object_id": new_id()}).is_success
    assert len(listed(api, flow)) == 3


@pytest.mark.parametrize(
    "timerange",
    ["_", "()", "[2:0]", "[-5:0_-1:0)", "(0:0_0:1)", "[0:0_", "_0:0)", "[0:0_281474976710655:0)"],
)
def test_any_timerange_may_be_deleted(api: httpx.Client, timerange: str):
    flow = put_flow(api)
    _register(api, flow, external(0, 1_000))

    deleted = api.delete(f"/flows/{flow}/segments", params={"timerange": timerange})

    assert deleted.status_code == 204
    kept = [] if timerange in {"_", "[0:0_", "[0:0_281474976710655:0)"} else ["[0:0_1:0)"]
    assert timeranges(listed(api, flow)) == kept


def test_deleted_segments_free_their_place(api: httpx.Client):
    flow = put_flow(api)
    _register(api, flow, external(0, 2_000))

    api.delete(f"/flows/{flow}/segments", params={"timerange": "[0:0_2:0)"})
    _register(api, flow, external(1_000, 3_000))

    assert timeranges(listed(api, flow)) == ["[1:0_3:0)"]


def test_pages_show_every_segment_that_stays_once_while_others_are_deleted(api: httpx.Client):
    flow = put_flow(api)
    _register(api, flow, *(external(n * 1_000, (n + 1) * 1_000) for n in range(12)))
    found = pages(api, f"/flows/{flow}/segments", {"limit": 2, "accept_get_urls": ""})

    seen = [next(found)["timerange"] for _ in range(4)]
    api.delete(f"/flows/{flow}/segments", params={"timerange": "[1:0_7:0)"})
    seen += [item["timerange"] for item in found]

    assert seen == [f"[{n}:0_{n + 1}:0)" for n in (0, 1, 2, 3, 7, 8, 9, 10, 11)]


# --- flows -----------------------------------------------------------------------------


def test_a_deleted_flow_is_gone_with_its_segments_and_its_source(api: httpx.Client):
    flow = put_flow(api)
    source = api.get(f"/flows/{flow}").json()["source_id"]
    _register(api, flow, external(0, 1_000))

    deleted = api.delete(f"/flows/{flow}")

    assert deleted.status_code == 204
    assert api.get(f"/flows/{flow}").status_code == 404
    assert api.get(f"/sources/{source}").status_code == 404
    assert listed(api, flow) == []
    assert api.get("/flows", params={"source_id": source}).json() == []
    assert api.delete(f"/flows/{flow}").status_code == 404


def test_a_source_stays_until_its_last_flow_goes(api: httpx.Client):
    source, first, second = new_id(), new_id(), new_id()
    for flow in (first, second):
        assert api.put(f"/flows/{flow}", json=video(flow) | {"source_id": source}).is_success

    api.delete(f"/flows/{first}")
    between = api.get(f"/sources/{source}").status_code
    api.delete(f"/flows/{second}")

    assert (between, api.get(f"/sources/{source}").status_code) == (200, 404)


def test_a_flow_can_be_put_again_once_it_is_deleted(api: httpx.Client):
    flow = put_flow(api)
    _register(api, flow, external(0, 1_000))
    api.delete(f"/flows/{flow}")

    assert api.put(f"/flows/{flow}", json=video(flow)).status_code == 201
    assert listed(api, flow) == []


def test_a_read_only_flow_is_not_deleted(api: httpx.Client):
    flow = put_flow(api, read_only=True)

    assert api.delete(f"/flows/{flow}").status_code == 403
    assert api.delete(f"/flows/{flow}/segments").status_code == 403


def test_an_object_is_deleted_with_the_last_segment_that_refers_to_it(api: httpx.Client):
    first, second = put_flow(api), put_flow(api)
    (object_id,) = allocate(api, first, 1)
    for flow in (first, second):
        _register(api, flow, segment(object_id, 0, 1_000))

    api.delete(f"/flows/{first}")
    between = _object(api, object_id)
    api.delete(f"/flows/{second}/segments")

    assert between.json()["referenced_by_flows"] == [second]
    assert _object(api, object_id).status_code == 404


def test_bytes_go_when_no_media_and_no_init_reference_remains(api: httpx.Client):
    essence = {**video("")["essence_parameters"], "init_segments": True}
    flow = put_flow(api, essence_parameters=essence)
    first, second, init = new_id(), new_id(), new_id()
    _uploaded(api, flow, first, second, init)
    _register(api, flow, segment(first, 0, 1_000, init_object_id=init))
    _register(api, flow, segment(second, 1_000, 2_000, init_object_id=init))
    of_first, of_init = (_object(api, name).json()["get_urls"][0]["url"] for name in (first, init))

    api.delete(f"/flows/{flow}/segments", params={"timerange": "[0:0_1:0)"})
    first_goes, init_stays = _gone(of_first), httpx.get(of_init).status_code == 200
    between = _object(api, init).status_code
    api.delete(f"/flows/{flow}/segments")

    assert (first_goes, init_stays, between) == (True, True, 200)
    assert _gone(of_init)
    assert _object(api, init).status_code == 404


# --- flow delete requests --------------------------------------------------------------


def test_a_deletion_nobody_waits_for_is_followed_at_an_absolute_location(api: httpx.Client):
    flow = put_flow(api)
    _register(api, flow, external(0, 1_000))

    accepted = api.delete(f"/flows/{flow}", headers={"Prefer": "respond-async"})
    hidden = api.get(f"/flows/{flow}").status_code
    done = _followed(api, accepted)

    assert accepted.headers["location"].startswith(str(api.base_url))
    assert accepted.headers["preference-applied"] == "respond-async"
    assert accepted.json()["status"] in {"created", "started", "done"}
    assert hidden == 404
    assert done["status"] == "done"
    assert (done["flow_id"], done["delete_flow"]) == (flow, True)
    assert (done["timerange_to_delete"], done["timerange_remaining"]) == ("_", "()")
    assert done["created"] <= done["updated"] < done["expiry"]
    assert api.get(f"/jobs/{done['id']}").json()["done"] == 1


def test_delete_requests_are_listed_latest_first_in_pages(api: httpx.Client):
    asked = []
    for _ in range(3):
        flow = put_flow(api)
        accepted = api.delete(f"/flows/{flow}/segments", headers={"Prefer": "respond-async"})
        asked.append(_followed(api, accepted)["id"])

    def found(**query: Any) -> list[str]:
        every = pages(api, "/flow-delete-requests", {"limit": 2, **query})
        return [each["id"] for each in every if each["id"] in asked]

    assert found() == asked[::-1]
    assert found(reverse_order="true") == asked
    assert found(sort_by="expiry") == asked[::-1]
    assert found(sort_by="expiry", reverse_order="true") == asked


# --- instances -------------------------------------------------------------------------


def test_a_url_held_elsewhere_becomes_an_instance_under_its_label(api: httpx.Client):
    flow, body = put_flow(api), external(0, 1_000)
    _register(api, flow, body)
    path = f"/objects/{body['object_id']}/instances"
    link = {"url": "https://cdn.example/a%20b?c=d", "label": "cdn"}

    first = api.post(path, json=link)
    again = api.post(path, json=link)
    other = api.post(path, json=link | {"url": "https://cdn.example/other"})

    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 400)
    urls = listed(api, flow, accept_get_urls="cdn")[0]["get_urls"]
    assert [(url["label"], url["url"]) for url in urls] == [("cdn", link["url"])]


def test_an_instance_is_deleted_by_label_but_never_the_last(api: httpx.Client):
    flow, body = put_flow(api), external(0, 1_000)
    _register(api, flow, body)
    path = f"/objects/{body['object_id']}/instances"
    api.post(path, json={"url": "https://cdn.example/a", "label": "cdn"})

    first = api.delete(path, params={"label": "elsewhere"})
    absent = api.delete(path, params={"label": "elsewhere"})
    last = api.delete(path, params={"label": "cdn"})

    assert (first.status_code, absent.status_code, last.status_code) == (204, 404, 400)
    assert [u["label"] for u in _object(api, body["object_id"]).json()["get_urls"]] == ["cdn"]


def test_a_controlled_instance_is_deleted_by_its_storage_with_its_bytes(
    api: httpx.Client, backend: dict[str, Any]
):
    flow, object_id = put_flow(api), new_id()
    _uploaded(api, flow, object_id)
    _register(api, flow, segment(object_id, 0, 1_000))
    (url,) = _object(api, object_id).json()["get_urls"]
    path = f"/objects/{object_id}/instances"

    last = api.delete(path, params={"storage_id": backend["id"]})
    api.post(path, json={"url": "https://cdn.example/a", "label": "cdn"})
    deleted = api.delete(path, params={"storage_id": backend["id"]})

    assert (last.status_code, deleted.status_code) == (400, 204)
    assert [u["label"] for u in _object(api, object_id).json()["get_urls"]] == ["cdn"]
    assert _gone(url["url"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": "https://cdn.example/a"}, "label"),
        ({"label": "cdn"}, "url"),
        ({"url": "ftp://cdn.example/a", "label": "cdn"}, "url"),
        ({"url": "https://cdn.example/a", "label": "default"}, "label"),
        ({"storage_id": "here"}, "storage_id"),
        ({"storage_id": "30000000-0000-4000-8000-000000000001"}, "storage_id"),
        ({"storage_id": "30000000-0000-4000-8000-000000000001", "label": "cdn"}, "label"),
    ],
)
def test_an_instance_that_breaks_a_rule_is_refused_by_field(
    api: httpx.Client, body: dict[str, Any], field: str
):
    flow, known = put_flow(api), external(0, 1_000)
    _register(api, flow, known)

    refused = api.post(f"/objects/{known['object_id']}/instances", json=body)

    assert (refused.status_code, refused.json()["field"]) == (400, field)


def test_an_object_is_not_copied_to_where_it_is(api: httpx.Client, backend: dict[str, Any]):
    flow = put_flow(api)
    (object_id,) = allocate(api, flow, 1)
    _register(api, flow, segment(object_id, 0, 1_000))

    refused = api.post(f"/objects/{object_id}/instances", json={"storage_id": backend["id"]})

    assert (refused.status_code, refused.json()["field"]) == (400, "storage_id")


def test_instances_of_an_object_that_is_only_allocated_are_404(
    api: httpx.Client, backend: dict[str, Any]
):
    (object_id,) = allocate(api, put_flow(api), 1)
    path = f"/objects/{object_id}/instances"
    link = {"url": "https://cdn.example/a", "label": "cdn"}

    assert api.post(path, json=link).status_code == 404
    assert api.post(path, json={"storage_id": backend["id"]}).status_code == 404
    assert api.delete(path, params={"label": "cdn"}).status_code == 404
    assert api.delete(path).status_code == 400
    both = {"label": "cdn", "storage_id": backend["id"]}
    assert api.delete(path, params=both).status_code == 400
