"""Timelines, the health of ingest, and scans of buckets (extensions)."""

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.making import external, new_id, put_flow, segment

_DEADLINE_S = 60.0


def _register(api: httpx.Client, flow_id: str, *bounds_ms: tuple[int, int]) -> None:
    segments = [external(*bounds) for bounds in bounds_ms]
    assert api.post(f"/flows/{flow_id}/segments", json=segments).status_code == 201


def _timeline(api: httpx.Client, flow_id: str, **query: str | int) -> dict[str, Any]:
    response = api.get(f"/flows/{flow_id}/timeline", params=query)
    assert response.status_code == 200, response.text
    return dict(response.json())


def _eventually(find: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + _DEADLINE_S
    while not (found := find()):
        assert time.monotonic() < deadline, "nothing came of it in time"
        time.sleep(0.1)
    return found


# --- timelines -------------------------------------------------------------------------


def test_a_timeline_tells_its_gaps_in_order(api: httpx.Client):
    flow_id = put_flow(api)
    _register(api, flow_id, (10_040, 12_000), (8_000, 10_000), (15_000, 16_000))

    found = _timeline(api, flow_id)

    assert found["timerange"] == "[8:0_16:0)"
    assert found["segments"] == 3
    assert found["covered_duration"] == "4:960000000"
    assert found["gaps"] == ["[10:0_10:40000000)", "[12:0_15:0)"]
    assert (found["gap_count"], found["gap_duration"]) == (2, "3:40000000")
    assert found["longest_gap"] == "[12:0_15:0)"
    assert found["usual_interval"] == "1:653000000"
    assert "last_arrival" in found


def test_the_edges_of_the_timerange_asked_for_may_be_gaps(api: httpx.Client):
    flow_id = put_flow(api)
    _register(api, flow_id, (8_000, 10_000), (12_000, 14_000))

    for asked, whole, gaps in (
        ("[0:0_20:0)", "[0:0_20:0)", ["[0:0_8:0)", "[10:0_12:0)", "[14:0_20:0)"]),
        ("[9:0_", "[9:0_14:0)", ["[10:0_12:0)"]),
        ("_13:0)", "[8:0_13:0)", ["[10:0_12:0)"]),
        ("[20:0_30:0)", "[20:0_30:0)", ["[20:0_30:0)"]),
        ("[20:0_", "()", []),
        ("()", "()", []),
    ):
        found = _timeline(api, flow_id, timerange=asked)
        assert (found["timerange"], found["gaps"]) == (whole, gaps), asked


def test_time_within_the_tolerance_is_no_gap(api: httpx.Client):
    flow_id = put_flow(api)
    _register(api, flow_id, (0, 960), (1_000, 2_000), (4_000, 5_000))

    found = _timeline(api, flow_id, tolerance="0:40000000")

    assert found["gaps"] == ["[2:0_4:0)"]


def test_gaps_come_in_pages_and_counts_are_of_all_of_them(api: httpx.Client):
    flow_id = put_flow(api)
    _register(api, flow_id, *((n * 2_000, n * 2_000 + 1_000) for n in range(6)))
    seen: list[str] = []

    response = api.get(f"/flows/{flow_id}/timeline", params={"limit": 2})
    while True:
        body = response.json()
        assert (body["gap_count"], body["segments"]) == (5, 6)
        seen += body["gaps"]
        if "next" not in response.links:
            break
        response = api.get(response.links["next"]["url"])

    assert seen == [f"[{n}:0_{n + 1}:0)" for n in (1, 3, 5, 7, 9)]


def test_late_segments_and_deletions_show_in_the_gaps(api: httpx.Client):
    flow_id = put_flow(api)
    _register(api, flow_id, (0, 1_000), (2_000, 3_000), (3_000, 4_000), (4_000, 5_000))

    _register(api, flow_id, (1_000, 2_000))
    filled = _timeline(api, flow_id)
    api.delete(f"/flows/{flow_id}/segments", params={"timerange": "[3:0_4:0)"})
    opened = _timeline(api, flow_id)

    assert filled["gaps"] == []
    assert opened["gaps"] == ["[3:0_4:0)"]


def test_a_flow_without_segments_has_a_timeline_without_any(api: httpx.Client):
    found = _timeline(api, put_flow(api))

    assert found == {
        "timerange": "()",
        "segments": 0,
        "covered_duration": "0:0",
        "gap_count": 0,
        "gap_duration": "0:0",
        "longest_gap": "()",
        "gaps": [],
        "refused_overlaps": 0,
    }


def test_overlaps_that_were_refused_are_counted_and_nothing_else_is(api: httpx.Client):
    flow_id = put_flow(api)
    _register(api, flow_id, (0, 1_000))

    for refused in (external(500, 1_500), external(0, 1_000), segment(new_id(), 2_000, 3_000)):
        assert api.post(f"/flows/{flow_id}/segments", json=refused).status_code == 400
    found = _timeline(api, flow_id)

    assert found["refused_overlaps"] == 2
    assert found["last_refused_overlap"] >= found["last_arrival"]


# --- the health of ingest --------------------------------------------------------------


def _ingesting(api: httpx.Client, flow_id: str) -> dict[str, Any] | None:
    body = api.get("/health/ingest", params={"flow_id": flow_id}).json()
    return body["flows"][0] if body["flows"] else None


def test_a_flow_waits_then_ingests_then_stalls_then_goes_on(api: httpx.Client):
    flow_id = put_flow(api, status="ingesting", label="camera")
    waiting = _ingesting(api, flow_id)
    assert waiting is not None
    assert (waiting["state"], waiting["label"]) == ("waiting", "camera")

    _register(api, flow_id, (0, 500), (600, 1_000))
    fine = _ingesting(api, flow_id)
    assert fine is not None
    assert (fine["state"], fine["usual_interval"]) == ("ok", "0:450000000")
    assert fine["last_hour"]["longest_gap"] == "[0:500000000_0:600000000)"

    def stalls() -> list[dict[str, str]]:
        found = api.get("/health/ingest/stalls", params={"flow_id": flow_id}).json()
        return [dict(each) for each in found]

    (stall,) = _eventually(stalls)
    stalled = _ingesting(api, flow_id)
    assert stalled is not None
    assert stalled["state"] == "stalled"
    assert stalled["stalled_since"] == stalled["last_arrival"] == stall["started"]
    assert "ended" not in stall
    assert api.get("/health/ingest").json()["status"] == "stalled"

    _register(api, flow_id, (1_000, 1_500))
    again = _ingesting(api, flow_id)
    (ended,) = stalls()
    assert again is not None
    assert again["state"] == "ok"
    assert ended == {**stall, "ended": again["last_arrival"]}


def test_flows_that_ingest_are_found_by_state_page_by_page(api: httpx.Client):
    mine = {put_flow(api, status="ingesting") for _ in range(3)}
    others = {put_flow(api), put_flow(api, status="closed_complete")}
    seen: list[str] = []

    response = api.get("/health/ingest", params={"state": "waiting", "limit": 2})
    counts = response.json()["counts"]
    while True:
        found = response.json()["flows"]
        assert {each["state"] for each in found} == {"waiting"}
        seen += [each["flow_id"] for each in found]
        if "next" not in response.links:
            break
        response = api.get(response.links["next"]["url"])

    assert len(seen) == len(set(seen)) == counts["waiting"]
    assert mine <= set(seen)
    assert not others & set(seen)
    assert api.get("/health/ingest", params={"limit": 1_000}).headers["X-Paging-Limit"] == "100"


def test_flows_are_found_by_a_status_that_has_changed(api: httpx.Client):
    flow_id = put_flow(api, status="ingesting")
    document = api.get(f"/flows/{flow_id}").json()

    api.put(f"/flows/{flow_id}", json={**document, "status": "closed_complete"})

    query = {"source_id": document["source_id"]}
    assert api.get("/flows", params={**query, "status": "ingesting"}).json() == []
    (found,) = api.get("/flows", params={**query, "status": "closed_complete"}).json()
    assert found["id"] == flow_id
    assert _ingesting(api, flow_id) is None


# --- scans -----------------------------------------------------------------------------


def test_a_scan_is_followed_at_an_absolute_location_and_as_a_job(api: httpx.Client):
    asked = {"bucket": "tams-media", "prefix": f"{new_id()}/", "since": "2025-06-01T11:00:00+02:00"}

    begun = api.post("/ingest-scans", json=asked)
    ended = _eventually(
        lambda: (
            found
            if (found := api.get(begun.headers["Location"]).json())["state"] == "done"
            else None
        )
    )

    assert begun.status_code == 202
    assert begun.headers["Location"].startswith("http://")
    assert {name: ended[name] for name in asked} == {**asked, "since": "2025-06-01T09:00:00Z"}
    assert (ended["listed"], ended["found"], ended["periodic"]) == (0, 0, False)
    assert ended["id"] in {each["id"] for each in api.get("/ingest-scans").json()}
    job = api.get(f"/jobs/{ended['id']}").json()
    assert (job["kind"], job["state"]) == ("ingest.scan", "done")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "bucket"),
        ({"bucket": "of-nobody"}, "bucket"),
        ({"bucket": 5}, "bucket"),
        ({"bucket": "tams-media", "prefix": None}, "prefix"),
        ({"bucket": "tams-media", "prefix": "x" * 1_025}, "prefix"),
        ({"bucket": "tams-media", "since": "yesterday"}, "since"),
        ({"bucket": "tams-media", "since": "2025-06-01T11:00:00"}, "since"),
        ({"bucket": "tams-media", "since": "0001-01-01T00:00:00+10:00"}, "since"),
        ({"bucket": "tams-media", "since": None}, "since"),
        ({"bucket": "tams-media", "prefx": "live/"}, "prefx"),
    ],
)
def test_a_scan_that_cannot_be_meant_is_refused_by_field(
    api: httpx.Client, body: dict[str, Any], field: str
):
    response = api.post("/ingest-scans", json=body)

    assert response.status_code == 400
    assert response.json()["field"] == field
