"""`/ingest-rules` and the filters of `/ingest-problems`, which are extensions."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.making import new_id, put_flow, video

FLOW = "10000000-0000-4000-8000-000000000001"
CREATE = {name: value for name, value in video("x").items() if name not in {"id", "source_id"}}
SECOND = 1_764_072_000  # in 2025


@pytest.fixture
def prefix(api: httpx.Client) -> Iterator[str]:
    prefix = f"spec/{new_id()}/"
    yield prefix
    for rule in api.get("/ingest-rules", params={"limit": 1000}).json():
        if rule["prefix"].startswith(prefix):
            api.delete(f"/ingest-rules/{rule['id']}")


def body(prefix: str, **more: Any) -> dict[str, Any]:
    return {"bucket": "tams-media", "prefix": prefix, "flow": {"id": FLOW}, **more}


def created(api: httpx.Client, prefix: str, **more: Any) -> dict[str, Any]:
    response = api.post("/ingest-rules", json=body(prefix, **more))
    assert response.status_code == 201, response.text
    return dict(response.json())


def test_a_rule_is_created_read_changed_and_deleted(api: httpx.Client, prefix: str):
    response = api.post("/ingest-rules", json=body(prefix, label="cameras"))
    rule = response.json()
    path = response.headers["location"]

    assert api.get(path).json() == rule
    assert (rule["label"], rule["enabled"], rule["restart"]) == ("cameras", True, "continue")
    changed = api.put(path, json=body(prefix, restart="refuse")).json()
    assert (changed["id"], changed["created"]) == (rule["id"], rule["created"])
    assert (changed["label"], changed["restart"]) == ("", "refuse")
    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == 404


def test_what_is_read_of_a_rule_may_be_put_back(api: httpx.Client, prefix: str):
    rule = created(
        api,
        prefix,
        key="{camera}/{sequence}.ts",
        flow={"name": "{camera}", "create": CREATE},
        sequence_duration="2:0",
        origin="2026-11-25T12:00:00Z",
    )

    assert api.put(f"/ingest-rules/{rule['id']}", json=rule).json() == rule


def test_rules_are_listed_in_the_order_they_are_tried(api: httpx.Client, prefix: str):
    ids = [created(api, prefix, priority=rank)["id"] for rank in (3, 1, 2)]

    listed, page = [], None
    while True:
        query = {"limit": 2, **({"page": page} if page else {})}
        response = api.get("/ingest-rules", params=query)
        listed += [rule["id"] for rule in response.json() if rule["id"] in ids]
        page = response.headers.get("x-paging-nextkey")
        if page is None:
            break

    assert listed == [ids[1], ids[2], ids[0]]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"bucket": "nowhere"}, "bucket"),
        ({"key": "{start}.ts"}, "key"),
        ({"flow": {"id": "nonsense"}}, "flow.id"),
        ({"flow": {"nmae": "x"}}, "flow.nmae"),
        ({"flow": {"name": "{camera}"}}, "flow.name"),
        ({"flow": {"name": "x", "create": {}}}, "flow.create.container"),
        (
            {"flow": {"name": "x", "create": {**CREATE, "essence_parameters": {}}}},
            "flow.create.essence_parameters.frame_width",
        ),
        ({"times": ["guess"]}, "times.0"),
        ({"times": ["playlist", "media"]}, "times"),
        ({"tolerance": "ten minutes"}, "tolerance"),
        ({"origin": "2026-13-01T00:00:00Z"}, "origin"),
        ({"priority": "first"}, "priority"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_a_rule_that_cannot_be_applied_is_400_naming_the_field(
    api: httpx.Client, prefix: str, change: dict[str, Any], field: str
):
    response = api.post("/ingest-rules", json=body(prefix, **change))

    assert response.status_code == 400
    assert response.json()["field"] == field


def test_trying_out_a_key_says_what_would_become_of_it(api: httpx.Client, prefix: str):
    flow_id = put_flow(api)
    rule = created(
        api,
        prefix,
        key="{start:s}_{duration:s}.ts",
        flow={"id": flow_id},
        times=["metadata", "key"],
    )

    response = api.post(
        "/ingest-rules/test", json={"bucket": "tams-media", "key": f"{prefix}{SECOND}_2.ts"}
    )

    found = response.json()
    assert (found["exists"], found["rule"], found["flow_id"]) == (False, rule["id"], flow_id)
    assert found["segment"]["timerange"] == f"[{SECOND}:0_{SECOND + 2}:0)"
    assert [trial["way"] for trial in found["tried"]] == ["metadata", "key"]
    assert found["tried"][0]["code"] == "no-time"
    assert api.get(f"/flows/{flow_id}/segments").json() == []


def test_trying_out_a_key_without_an_object_says_what_its_media_would_have_to_tell(
    api: httpx.Client, prefix: str
):
    created(api, prefix, key="{camera}/{start:s}.ts", flow={"name": "{camera}", "create": CREATE})

    wanted = {"bucket": "tams-media", "key": f"{prefix}7/{SECOND}.ts"}
    found = api.post("/ingest-rules/test", json=wanted).json()

    assert found["creates_flow"]
    assert found["tried"][-1] == {"way": "key", "found": f"start {SECOND}:0"}
    assert "there is no such object" in found["note"]
    assert "reason" not in found


def test_trying_out_says_why_an_object_would_be_refused(api: httpx.Client, prefix: str):
    created(api, prefix, key="{start:s}_{duration:s}.ts", check_media=False)

    def tried(name: str) -> dict[str, Any]:
        wanted = {"bucket": "tams-media", "key": f"{prefix}{name}"}
        return dict(api.post("/ingest-rules/test", json=wanted).json())

    assert tried("10_2.ts")["code"] == "implausible-time"
    assert tried(f"{SECOND}_2.ts")["code"] == "no-such-flow"
    assert tried("unlike.ts")["code"] == "no-flow"


def test_metadata_may_be_given_to_try_out(api: httpx.Client, prefix: str):
    flow_id = put_flow(api)
    metadata = {"tams-flow-id": flow_id, "tams-timerange": "[5:0_6:0)"}

    found = api.post(
        "/ingest-rules/test",
        json={"bucket": "tams-media", "key": f"{prefix}a.ts", "metadata": metadata},
    ).json()

    assert found["segment"]["timerange"] == "[5:0_6:0)"


def test_problems_are_filtered(api: httpx.Client):
    assert api.get("/ingest-problems", params={"bucket": "nowhere"}).json() == []
    assert api.get("/ingest-problems", params={"prefix": "nowhere/"}).json() == []
    assert api.get("/ingest-problems", params={"since": "2100-01-01T00:00:00Z"}).json() == []
    for name, value in {"reason": "bad luck", "since": "yesterday"}.items():
        response = api.get("/ingest-problems", params={name: value})
        assert (response.status_code, response.json()["field"]) == (400, name)
