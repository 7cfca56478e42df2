"""`/events` (an extension): what happens, as server-sent events with the bodies of webhooks."""

from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from tests.making import (
    allocate,
    external,
    new_id,
    put_flow,
    put_linked_flow,
    put_profile,
    segment,
    video,
)
from tests.spec.official import Official
from tests.spec.streams import Events, opened

Told = list[tuple[str, dict[str, Any]]]


def take(events: Events, count: int) -> Told:
    return [next(events) for _ in range(count)]


def told_meanwhile(api: httpx.Client, last: str, count: int, **query: str) -> Told:
    """The next `count` events after the one called `last`."""
    with opened(api, f"/events?{httpx.QueryParams(query)}", **{"Last-Event-ID": last}) as events:
        return take(events, count)


def place(api: httpx.Client) -> str:
    """Where the log ends now, or a little later than that was asked for."""
    flow = new_id()
    with opened(api, f"/events?flow_ids={flow}&events=flows/created") as events:
        api.put(f"/flows/{flow}", json=video(flow)).raise_for_status()
        take(events, 1)
        return events.last_id


def source_of(api: httpx.Client, flow: str) -> str:
    return str(api.get(f"/flows/{flow}").json()["source_id"])


def names(told: Told) -> list[str]:
    return [name for name, _ in told]


def test_every_type_of_event_has_the_body_that_webhooks_are_sent(
    api: httpx.Client, official: Official
):
    flow, source = new_id(), new_id()
    document = video(flow, source_id=source, tags={"a": ["b"]}, description="d")
    with opened(api, f"/events?source_ids={source}") as events:
        api.put(f"/flows/{flow}", json=document).raise_for_status()
        api.put(f"/flows/{flow}/label", json="another").raise_for_status()
        api.put(f"/sources/{source}/tags/c", json=["d"]).raise_for_status()
        (inside,) = allocate(api, flow, 1)
        bodies = [segment(inside, 0, 2_000), external(2_000, 4_000), external(7_000, 8_000)]
        api.post(f"/flows/{flow}/segments", json=bodies).raise_for_status()
        api.delete(f"/flows/{flow}/segments", params={"timerange": "[1:0_8:0)"}).raise_for_status()
        before = api.get(f"/flows/{flow}").json()
        described = api.get(f"/sources/{source}").json()
        api.delete(f"/flows/{flow}").raise_for_status()
        told = take(events, 9)

    assert names(told) == [
        "sources/created",
        "flows/created",
        "flows/updated",
        "sources/updated",
        "flows/segments_added",
        "flows/segments_deleted",
        "flows/deleted",
        "sources/deleted",
        "flows/segments_deleted",
    ]
    for name, body in told:
        described_body = official.document.content["webhooks"][name]["post"]["requestBody"]
        schema = described_body["content"]["application/json"]["schema"]
        assert official.document.faults(schema, body) == []
        assert body["event_type"] == name
    assert told[0][1]["event_timestamp"] == told[0][1]["event"]["source"]["created"]
    assert told[3][1]["event"] == {"source": described}
    updated = told[2][1]["event"]["flow"]
    assert updated == {name: before[name] for name in updated}
    added = told[4][1]["event"]
    assert [each["timerange"] for each in added["segments"]] == [
        "[0:0_2:0)",
        "[2:0_4:0)",
        "[7:0_8:0)",
    ]
    assert added["flow_id"] == flow
    assert told[5][1]["event"] == {"flow_id": flow, "timerange": "[2:0_8:0)"}
    assert told[6][1]["event"] == {"flow_id": flow}
    assert told[7][1]["event"] == {"source_id": source}
    assert told[8][1]["event"] == {"flow_id": flow, "timerange": "[0:0_2:0)"}


def test_segments_are_told_of_as_they_are_listed(api: httpx.Client):
    last = place(api)
    flow = put_flow(api)
    (inside,) = allocate(api, flow, 1)
    offered = segment(
        inside,
        *(10_000, 12_000),
        ts_offset="10:0",
        last_duration="0:40000000",
        sample_offset=1,
        sample_count=49,
        key_frame_count=2,
        object_timerange="[0:0_3:0)",
    )
    api.post(f"/flows/{flow}/segments", json=[offered, external(12_000, 13_000)]).raise_for_status()
    asked = {"verbose_storage": "true", "include_object_timerange": "true", "presigned": "false"}

    ((_, body),) = told_meanwhile(
        api, last, 1, flow_ids=flow, events="flows/segments_added", **asked
    )

    listed = api.get(f"/flows/{flow}/segments", params=asked).json()
    assert body["event"]["segments"] == listed
    assert listed[0]["object_timerange"] == "[0:0_3:0)"


@pytest.mark.parametrize(
    ("asked", "labels"),
    [
        ({}, {"default", "elsewhere"}),
        ({"accept_get_urls": "elsewhere"}, {"elsewhere"}),
        ({"accept_get_urls": ""}, set()),
        ({"presigned": "true"}, {"default"}),
        ({"accept_storage_ids": "{backend}"}, {"default"}),
        ({"accept_storage_ids": "11111111-1111-4111-8111-111111111111"}, set()),
    ],
)
def test_the_urls_in_events_are_those_that_the_filters_let_through(
    api: httpx.Client, backend: dict[str, Any], asked: dict[str, str], labels: set[str]
):
    last = place(api)
    flow = put_flow(api)
    (inside,) = allocate(api, flow, 1)
    both = [segment(inside, 0, 1_000), external(1_000, 2_000)]
    api.post(f"/flows/{flow}/segments", json=both).raise_for_status()
    query = {name: text.format(backend=backend["id"]) for name, text in asked.items()}

    ((_, body),) = told_meanwhile(
        api, last, 1, flow_ids=flow, events="flows/segments_added", **query
    )

    shown = body["event"]["segments"]
    assert {url["label"] for each in shown for url in each["get_urls"]} == labels
    assert not any("storage_id" in url for each in shown for url in each["get_urls"])


def test_a_flow_made_from_a_profile_is_told_of_with_its_technical_fields(api: httpx.Client):
    last = place(api)
    flow = put_linked_flow(api, put_profile(api))

    ((name, body),) = told_meanwhile(api, last, 1, flow_ids=flow, events="flows/created")

    assert name == "flows/created"
    assert body["event"]["flow"] == api.get(f"/flows/{flow}").json()


def _story(api: httpx.Client) -> dict[str, str]:
    """Two flows, one of them in a collection, and what becomes of it; the ids."""
    alone, member, collecting = put_flow(api), put_flow(api), new_id()
    multi = video(collecting, flow_collection=[{"id": member, "role": "r"}])
    api.put(f"/flows/{collecting}", json=multi).raise_for_status()
    for flow in (alone, member):
        api.post(f"/flows/{flow}/segments", json=external(0, 1_000)).raise_for_status()
    ids = {"alone": alone, "member": member, "collecting": collecting}
    ids |= {f"source of {name}": source_of(api, flow) for name, flow in ids.items()}
    api.put(f"/sources/{ids['source of member']}/label", json="l").raise_for_status()
    api.delete(f"/flows/{member}").raise_for_status()
    return ids


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (
            {"flow_ids": "member", "events": "flows/segments_added,flows/deleted"},
            [("flows/segments_added", "member"), ("flows/deleted", "member")],
        ),
        (
            {"flow_collected_by_ids": "collecting", "events": "flows/segments_added,flows/deleted"},
            [("flows/segments_added", "member"), ("flows/deleted", "member")],
        ),
        (
            {"flow_collected_by_ids": "", "events": "flows/segments_added,flows/deleted"},
            [("flows/segments_added", "alone")],
        ),
        (
            {"source_ids": "source of member", "events": "sources/updated,sources/deleted"},
            [("sources/updated", "source of member"), ("sources/deleted", "source of member")],
        ),
        (
            {
                "source_collected_by_ids": "source of collecting",
                "events": "flows/segments_added,flows/segments_deleted,sources/deleted",
            },
            [
                ("flows/segments_added", "member"),
                ("sources/deleted", "source of member"),
                ("flows/segments_deleted", "member"),
            ],
        ),
    ],
)
def test_events_are_those_that_the_filters_let_through(
    api: httpx.Client, asked: dict[str, str], expected: Sequence[tuple[str, str]]
):
    last = place(api)
    ids = _story(api)
    query = {name: ids.get(text, text) for name, text in asked.items()}

    told = told_meanwhile(api, last, len(expected), **query)

    assert [(name, _about(body["event"])) for name, body in told] == [
        (name, ids[which]) for name, which in expected
    ]


def _about(event: dict[str, Any]) -> str:
    whole = event.get("flow") or event.get("source") or {}
    return str(whole.get("id") or event.get("flow_id") or event.get("source_id"))


def test_uncollected_sources_are_asked_for_by_an_empty_list(api: httpx.Client):
    last = place(api)
    ids = _story(api)
    api.delete(f"/flows/{ids['alone']}").raise_for_status()
    query = {"source_collected_by_ids": "", "events": "flows/segments_added,sources/deleted"}

    told = told_meanwhile(api, last, 2, **query)

    assert [_about(body["event"]) for _, body in told] == [ids["alone"], ids["source of alone"]]


def test_who_comes_again_is_told_what_came_after_the_last_event(api: httpx.Client):
    flow = new_id()
    with opened(api, f"/events?flow_ids={flow}&events=flows/created,flows/updated") as events:
        api.put(f"/flows/{flow}", json=video(flow)).raise_for_status()
        take(events, 1)
    for label in ("one", "two"):
        api.put(f"/flows/{flow}/label", json=label).raise_for_status()
    query = {"flow_ids": flow, "events": "flows/created,flows/updated"}

    by_header = told_meanwhile(api, events.last_id, 2, **query)
    with opened(
        api, f"/events?{httpx.QueryParams({**query, 'last_event_id': events.last_id})}"
    ) as again:
        by_query = take(again, 2)

    assert [body["event"]["flow"]["label"] for _, body in by_header] == ["one", "two"]
    assert by_query == by_header
    assert int(again.last_id) > int(events.last_id)


def test_who_asks_for_what_is_not_in_the_log_is_told_so(api: httpx.Client):
    put_flow(api)

    ((name, body), first) = told_meanwhile(api, "999999999999999999", 2)

    assert (name, body) == ("reset", {})
    assert first[0] == "sources/created"


@pytest.mark.parametrize("last", ["yesterday", "1-0", "-1", "9" * 30])
def test_a_place_in_the_log_that_was_never_given_out_is_400(api: httpx.Client, last: str):
    by_header = api.get("/events", headers={"Last-Event-ID": last})
    by_query = api.get("/events", params={"last_event_id": last})

    assert (by_header.status_code, by_header.json()["field"]) == (400, "Last-Event-ID")
    assert (by_query.status_code, by_query.json()["field"]) == (400, "last_event_id")


@pytest.mark.parametrize(
    "asked",
    [
        {"events": "flows/renamed"},
        {"flow_ids": "a"},
        {"source_ids": "a"},
        {"flow_collected_by_ids": "a"},
        {"source_collected_by_ids": "a"},
        {"accept_storage_ids": "a"},
        {"presigned": "perhaps"},
        {"tag.a": "b"},
        {"limit": "1"},
    ],
)
def test_a_filter_that_cannot_be_meant_is_400(api: httpx.Client, asked: dict[str, str]):
    refused = api.get("/events", params=asked)

    assert (refused.status_code, refused.json()["field"]) == (400, *asked)
