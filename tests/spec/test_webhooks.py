"""Webhooks: registered, filtered, told of events, and never showing a key."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.making import external, new_id, pages, put_flow, segment
from tests.receiving import Answer, Received, Receiver, receiving
from tests.services.running import Running
from tests.spec.official import Official
from tests.waiting import eventually

EVERYTHING = [
    *("flows/created", "flows/updated", "flows/deleted"),
    *("flows/segments_added", "flows/segments_deleted"),
    *("sources/created", "sources/updated", "sources/deleted"),
]

Register = Callable[..., dict[str, Any]]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
def register(api: httpx.Client, receiver: Receiver) -> Iterator[Register]:
    """Registers webhooks, and deletes them in the end."""
    made = []

    def registered(**more: Any) -> dict[str, Any]:
        answer = api.post("/service/webhooks", json=_webhook(receiver, **more))
        assert answer.status_code == 201, answer.text
        made.append(answer.json()["id"])
        return dict(answer.json())

    yield registered
    for webhook_id in made:
        api.delete(f"/service/webhooks/{webhook_id}")


def _webhook(receiver: Receiver, **more: Any) -> dict[str, Any]:
    return {"url": receiver.url, "events": EVERYTHING, **more}


def _path(webhook: dict[str, Any], *parts: str) -> str:
    return "/".join((f"/service/webhooks/{webhook['id']}", *parts))


def _status(api: httpx.Client, webhook: dict[str, Any], wanted: str) -> dict[str, Any]:
    """The webhook, once it has the status wanted."""

    def found() -> dict[str, Any] | None:
        shown = api.get(_path(webhook)).json()
        return dict(shown) if shown["status"] == wanted else None

    return dict(eventually(found))


def _of(receiver: Receiver, kind: str, name: str, value: str) -> list[Received]:
    """Events of a type about the flow or source called `value`."""
    found = []
    for each in list(receiver.received):
        event = each.event
        about = event["event"].get(name.removesuffix("_id"), event["event"])
        if event["event_type"] == kind and about.get("id", about.get(name)) == value:
            found.append(each)
    return found


# --- the resource ----------------------------------------------------------------------


def test_the_examples_of_webhooks_are_accepted_and_given_back_without_the_key(
    api: httpx.Client, official: Official
):
    body = official.example("webhook-post")

    created = api.post("/service/webhooks", json=body)
    path = _path(created.json())
    changed = api.put(path, json={**official.example("webhook-put"), "id": created.json()["id"]})
    shown = api.get(path)
    listed = api.get("/service/webhooks").json()
    deleted = api.delete(path)

    kept = {name: value for name, value in body.items() if name != "api_key_value"}
    assert created.status_code == changed.status_code == 201
    assert created.json() == {**kept, "id": created.json()["id"], "status": "created"}
    assert changed.json() == created.json()
    assert {**shown.json(), "status": "created"} == created.json()
    assert shown.json()["id"] in {each["id"] for each in listed}
    assert set(official.example("webhook-get-200")) == set(shown.json())
    assert deleted.status_code == 204
    assert api.get(path).status_code == 404


def test_what_is_said_of_a_webhook_is_given_back(api: httpx.Client, register: Register):
    said = {
        "api_key_name": "X-Key",
        "flow_ids": [new_id()],
        "source_ids": [new_id()],
        "flow_collected_by_ids": [],
        "source_collected_by_ids": [new_id()],
        "accept_get_urls": [],
        "accept_storage_ids": [new_id()],
        "presigned": False,
        "verbose_storage": True,
        "include_object_timerange": True,
        "tags": {"colour": ["red", "blue"], "größe": "1 m"},
    }

    webhook = register(**said)

    assert {name: webhook[name] for name in said} == said


def test_webhooks_are_listed_by_url_in_pages_and_in_reverse(
    api: httpx.Client, register: Register, receiver: Receiver
):
    urls = [f"{receiver.url}{name}" for name in ("b", "a", "c", "a")]
    ids = [register(url=url, tags={"of": "this test"})["id"] for url in urls]
    query = {"tag.of": "this test", "limit": 1}

    listed = list(pages(api, "/service/webhooks", query))
    backwards = list(pages(api, "/service/webhooks", {**query, "reverse_order": "true"}))

    assert [each["url"] for each in listed] == sorted(urls)
    assert {each["id"] for each in listed} == set(ids)
    assert [each["id"] for each in backwards] == [each["id"] for each in listed[::-1]]


def test_webhooks_are_found_by_their_tags(api: httpx.Client, register: Register):
    red = register(tags={"a, b=c": ["red", "blue"]})["id"]
    green = register(tags={"a, b=c": "green"})["id"]
    bare = register()["id"]
    name = quote("a, b=c", safe="")

    def found(query: str) -> set[str]:
        answer = api.get(f"/service/webhooks?{query}")
        assert answer.status_code == 200, answer.text
        return {each["id"] for each in answer.json()} & {red, green, bare}

    assert found(f"tag.{name}=blue") == {red}
    assert found(f"tag.{name}=blue,green") == {red, green}
    assert found(f"tag.{name}=gree") == set()
    assert found(f"tag_exists.{name}=true") == {red, green}
    assert found(f"tag_exists.{name}=false") == {bare}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", None),
        ("url", 5),
        ("url", "mailto:me@example.com"),
        ("url", "https://user:password@hook.example/"),
        ("url", "https://hook.example:99999/"),
        ("events", None),
        ("events", "flows/created"),
        ("events.0", ["flows/renamed"]),
        ("flow_ids", "all"),
        ("flow_ids.0", ["NOT-AN-ID"]),
        ("source_ids.0", [5]),
        ("flow_collected_by_ids.1", [new_id(), ""]),
        ("source_collected_by_ids", {}),
        ("accept_get_urls.0", [None]),
        ("accept_storage_ids.0", ["default"]),
        ("presigned", "true"),
        ("verbose_storage", 1),
        ("include_object_timerange", None),
        ("tags", {"colour": 5}),
        ("api_key_name", "Not a header"),
        ("api_key_name", "Content-Length"),
        ("api_key_name", "webhook-signature"),
        ("api_key_value", "two\r\nlines"),
        ("api_key_value", "é"),
        ("signing_key", "whsec_not base64"),
        ("status", "started"),
        ("status", "error"),
        ("flow_labels", ["camera"]),
    ],
)
def test_a_webhook_that_breaks_a_rule_is_refused_by_field(
    api: httpx.Client, receiver: Receiver, register: Register, field: str, value: Any
):
    name = field.partition(".")[0]
    body = {"url": receiver.url, "events": ["flows/created"], name: value}
    body = {key: each for key, each in body.items() if each is not None or key != name}
    if value is None and name not in {"url", "events"}:
        body[name] = None
    known = register()

    created = api.post("/service/webhooks", json=body)
    changed = api.put(_path(known), json={"status": "created", **body, "id": known["id"]})

    for answer in (created, changed):
        assert answer.status_code == 400
        assert answer.json()["field"] == field
    shown = api.get(_path(known)).json()
    assert {**shown, "status": "created"} == known


@pytest.mark.parametrize(
    "host",
    [
        *("10.0.0.1", "192.168.0.1", "169.254.169.254", "0.0.0.0", "167772161", "0x0a000001"),
        *("012.0.0.1", "10.1", "[::1]", "[::ffff:10.0.0.1]", "[fe80::1]", "[64:ff9b::a00:1]"),
    ],
)
def test_a_url_that_leads_inside_is_refused(
    api: httpx.Client, register: Register, receiver: Receiver, host: str
):
    known = register()
    body = _webhook(receiver, url=f"https://{host}/")

    answers = [
        api.post("/service/webhooks", json=body),
        api.put(_path(known), json={**body, "id": known["id"], "status": "created"}),
    ]

    for answer in answers:
        assert answer.status_code == 400
        assert answer.json()["field"] == "url"


def test_a_webhook_is_changed_only_under_its_own_id(api: httpx.Client, register: Register):
    webhook = register()

    answers = [
        api.put(_path(webhook), json={**webhook, "id": new_id()}),
        api.put(_path(webhook), json={k: v for k, v in webhook.items() if k != "id"}),
        api.put(_path(webhook), json={k: v for k, v in webhook.items() if k != "status"}),
    ]

    assert [(each.status_code, each.json()["field"]) for each in answers] == [
        (400, "id"),
        (400, "id"),
        (400, "status"),
    ]


def test_what_is_not_said_in_a_change_is_gone(api: httpx.Client, register: Register):
    webhook = register(tags={"colour": "red"}, presigned=True)
    body = {name: webhook[name] for name in ("id", "url", "events", "status")}

    changed = api.put(_path(webhook), json=body)

    assert changed.status_code == 201
    assert changed.json() == body


def test_what_was_read_of_a_webhook_in_error_enables_it_with_another_status(
    api: httpx.Client, register: Register, receiver: Receiver
):
    receiver.answer = lambda _: Answer(410)
    webhook = register()
    put_flow(api)
    failed = _status(api, webhook, "error")
    receiver.answer = lambda _: Answer(200)

    refused = api.put(_path(webhook), json={**failed, "status": "disabled"})
    enabled = api.put(_path(webhook), json={**failed, "status": "created"})

    assert failed["error"]["type"] == "DeliveryFailed"
    assert "410" in failed["error"]["summary"]
    assert (refused.status_code, refused.json()["field"]) == (400, "status")
    assert enabled.status_code == 201
    assert "error" not in enabled.json()
    assert _status(api, webhook, "started")


def test_a_webhook_is_created_then_started_and_may_be_disabled_and_enabled(
    api: httpx.Client, register: Register, receiver: Receiver
):
    witness = register(url=f"{receiver.url}witness")
    webhook = register()
    started = _status(api, webhook, "started")

    disabled = api.put(_path(webhook), json={**started, "status": "disabled"}).json()
    unseen = put_flow(api)
    eventually(lambda: _of(receiver, "flows/created", "flow_id", unseen))
    enabled = api.put(_path(webhook), json={**started, "status": "created"}).json()
    _status(api, webhook, "started")
    seen = put_flow(api)
    eventually(lambda: len(_of(receiver, "flows/created", "flow_id", seen)) == 2)

    assert webhook["status"] == enabled["status"] == witness["status"] == "created"
    assert disabled["status"] == "disabled"
    (only,) = _of(receiver, "flows/created", "flow_id", unseen)
    assert only.path == "/witness"


def test_a_webhook_may_be_registered_disabled(
    api: httpx.Client, register: Register, receiver: Receiver
):
    webhook, other = register(status="disabled"), register(url=f"{receiver.url}other")

    flow = put_flow(api)
    eventually(lambda: _of(receiver, "flows/created", "flow_id", flow))

    assert api.get(_path(webhook)).json()["status"] == "disabled"
    assert other["status"] == "created"
    assert {each.path for each in receiver.received} == {"/other"}


def test_a_key_is_shown_nowhere(
    api: httpx.Client, register: Register, receiver: Receiver, store: Running
):
    keys = {"api_key_value": "Bearer top-secret", "signing_key": "top-secret-too"}
    webhook = register(api_key_name="Authorization", **keys)
    shown = _status(api, webhook, "started")
    changed = api.put(_path(webhook), json={**shown, **keys, "status": "created"})
    refused = api.put(_path(webhook), json={**shown, **keys, "status": "no such status"})
    flow = put_flow(api)
    eventually(lambda: _of(receiver, "flows/created", "flow_id", flow))

    texts = [str(webhook), changed.text, refused.text, store.log]
    paths = ("", "deliveries")
    texts += [api.get(_path(webhook, *([part] if part else []))).text for part in paths]
    texts += [api.get("/service/webhooks").text]

    assert refused.status_code == 400
    assert not [text for text in texts if "top-secret" in text]


# --- events ----------------------------------------------------------------------------


def test_events_of_every_type_arrive_and_fit_the_official_schemas(
    api: httpx.Client, register: Register, receiver: Receiver, official: Official
):
    register()

    flow = put_flow(api, label="camera")
    source = api.get(f"/flows/{flow}").json()["source_id"]
    api.put(f"/flows/{flow}/label", json="other").raise_for_status()
    api.put(f"/sources/{source}/label", json="other").raise_for_status()
    api.post(f"/flows/{flow}/segments", json=external(0, 1_000)).raise_for_status()
    api.delete(f"/flows/{flow}/segments").raise_for_status()
    api.delete(f"/flows/{flow}").raise_for_status()

    def arrived() -> dict[str, Received]:
        about = {flow, source}
        found = {}
        for each in list(receiver.received):
            told = each.event["event"]
            inside = told.get("flow", told.get("source", {})).get("id")
            if {inside, told.get("flow_id"), told.get("source_id")} & about:
                found.setdefault(each.event["event_type"], each)
        return found if found.keys() >= set(EVERYTHING) else {}

    for kind, each in eventually(arrived).items():
        described = official.document.content["webhooks"][kind]["post"]["requestBody"]
        schema = described["content"]["application/json"]["schema"]
        assert official.document.faults(schema, each.event) == [], kind
        assert each.headers["content-type"] == "application/json"


def test_the_api_key_goes_with_every_event_in_the_header_that_was_named(
    api: httpx.Client, register: Register, receiver: Receiver
):
    register(api_key_name="X-My-Key", api_key_value="secret 1", url=f"{receiver.url}named")
    register(api_key_value="secret 2", url=f"{receiver.url}unnamed")

    flow = put_flow(api)
    found = eventually(
        lambda: len(each := _of(receiver, "flows/created", "flow_id", flow)) == 2 and each
    )

    by_path = {each.path: each.headers for each in found}
    assert by_path["/named"]["x-my-key"] == "secret 1"
    assert not [value for value in by_path["/unnamed"].values() if "secret" in value]


def test_a_webhook_is_told_of_what_its_filters_let_through(
    api: httpx.Client, register: Register, receiver: Receiver
):
    kinds = ["flows/segments_added", "sources/updated"]
    member = put_flow(api)
    collector = put_flow(api, flow_collection=[{"id": member}])
    other = put_flow(api)
    flows = {"member": member, "other": other}
    sources = {n: api.get(f"/flows/{f}").json()["source_id"] for n, f in flows.items()}
    collecting = api.get(f"/flows/{collector}").json()["source_id"]
    filters = {
        "all": {},
        "flow": {"flow_ids": [member]},
        "source": {"source_ids": [sources["member"]]},
        "collected": {"flow_collected_by_ids": [collector]},
        "uncollected": {"flow_collected_by_ids": []},
        "by-source": {"source_collected_by_ids": [collecting]},
        "by-no-source": {"source_collected_by_ids": []},
        "both": {"source_ids": [sources["other"]], "flow_collected_by_ids": [collector]},
        "nothing": {"flow_ids": [], "source_ids": []},
        "typed": {"events": ["sources/updated"]},
    }
    for name, wanted in filters.items():
        register(url=f"{receiver.url}{name}", **{"events": kinds, **wanted})

    for name, flow in flows.items():
        api.post(f"/flows/{flow}/segments", json=external(0, 1_000)).raise_for_status()
        api.put(f"/sources/{sources[name]}/label", json=name).raise_for_status()
    end = put_flow(api)
    register(url=f"{receiver.url}end", events=["flows/updated"])
    api.put(f"/flows/{end}/label", json="the end").raise_for_status()
    eventually(lambda: _of(receiver, "flows/updated", "flow_id", end))

    def let_through() -> dict[str, set[str]]:
        ids = {member: "M", other: "O", sources["member"]: "m", sources["other"]: "o"}
        found: dict[str, set[str]] = {name: set() for name in filters}
        for each in list(receiver.received):
            told = each.event["event"]
            about = told.get("flow_id") or told.get("source", {}).get("id")
            if about in ids:
                found[each.path[1:]].add(ids[about])
        return found

    expected = {
        "all": set("MOmo"),
        "flow": set("Mmo"),  # sources are not limited by flows
        "source": set("Mm"),
        "collected": set("Mmo"),
        "uncollected": set("Omo"),
        "by-source": set("Mm"),
        "by-no-source": set("Oo"),
        "both": set("o"),
        "nothing": set(),
        "typed": set("mo"),
    }
    eventually(lambda: let_through() == expected or None)


def test_segments_come_with_the_urls_that_were_asked_for(
    api: httpx.Client, register: Register, receiver: Receiver, backend: dict[str, Any]
):
    wanted = {
        "all": {},
        "none": {"accept_get_urls": []},
        "labelled": {"accept_get_urls": ["elsewhere"]},
        "stored": {"accept_storage_ids": [backend["id"]]},
        "plain": {"presigned": False},
        "verbose": {"verbose_storage": True, "include_object_timerange": True},
    }
    for name, more in wanted.items():
        register(url=f"{receiver.url}{name}", events=["flows/segments_added"], **more)
    flow = put_flow(api)
    (item,) = api.post(f"/flows/{flow}/storage", json={"limit": 1}).json()["media_objects"]
    put = item["put_url"]
    httpx.put(put["url"], content=b"x", headers={"Content-Type": put["content-type"]})
    elsewhere = [{"label": "elsewhere", "url": "http://elsewhere.example/x"}]
    offered = segment(item["object_id"], 0, 1_000, get_urls=elsewhere)
    api.post(f"/flows/{flow}/segments", json=offered).raise_for_status()

    found = eventually(
        lambda: len(each := _of(receiver, "flows/segments_added", "flow_id", flow)) == 6 and each
    )

    told = {each.path[1:]: each.event["event"]["segments"][0] for each in found}
    labels = {name: [url["label"] for url in one["get_urls"]] for name, one in told.items()}
    assert labels == {
        "all": ["default", "elsewhere"],
        "none": [],
        "labelled": ["elsewhere"],
        "stored": ["default"],
        "plain": ["elsewhere"],
        "verbose": ["default", "elsewhere"],
    }
    assert httpx.get(told["stored"]["get_urls"][0]["url"]).content == b"x"
    assert told["verbose"]["get_urls"][0]["storage_id"] == backend["id"]
    assert "storage_id" not in told["all"]["get_urls"][0]
    assert told["verbose"]["object_timerange"] == "[0:0_1:0)"
    assert "object_timerange" not in told["all"]


# --- extensions ------------------------------------------------------------------------


def test_a_test_is_sent_at_once_whatever_the_status(
    api: httpx.Client, register: Register, receiver: Receiver
):
    webhook = register(status="disabled", signing_key="key")
    receiver.answer = lambda _: Answer(418)

    tried = api.post(_path(webhook, "test"))
    receiver.answer = lambda _: Answer(204)
    again = api.post(_path(webhook, "test")).json()

    (first, _) = receiver.received
    assert tried.status_code == 200
    assert first.event["event_type"] == tried.json()["event_type"] == "webhooks/test"
    assert first.event["event"] == {"webhook_id": webhook["id"]}
    assert "webhook-signature" in first.headers
    assert (tried.json()["delivered"], tried.json()["status_code"]) == (False, 418)
    assert tried.json()["reason"] == "the receiver answers 418"
    assert (again["delivered"], again["status_code"]) == (True, 204)
    assert api.get(_path(webhook)).json() == webhook


def test_the_history_of_a_webhook_tells_what_was_tried(
    api: httpx.Client, register: Register, receiver: Receiver
):
    answers = [Answer(200), Answer(500)]
    receiver.answer = lambda _: answers.pop(0) if answers else Answer()
    webhook = register(events=["flows/created"])
    put_flow(api)
    put_flow(api)

    tried = eventually(
        lambda: len(each := api.get(_path(webhook, "deliveries")).json()) >= 3 and each
    )

    assert [each["delivered"] for each in tried] == [True, False, True]
    assert [each["attempt"] for each in tried] == [2, 1, 1]
    assert [each["event_id"] for each in tried] == [
        each.headers["webhook-id"] for each in reversed(receiver.received)
    ]
    assert tried[1]["reason"] == "the receiver answers 500"


def test_events_since_a_moment_are_sent_again(
    api: httpx.Client, register: Register, receiver: Receiver
):
    webhook = register(events=["flows/created"])
    flow = put_flow(api)
    since = api.get(f"/flows/{flow}").json()["created"]
    (first,) = eventually(lambda: _of(receiver, "flows/created", "flow_id", flow))

    answer = api.post(_path(webhook, "replay"), json={"since": since})
    found = eventually(
        lambda: len(each := _of(receiver, "flows/created", "flow_id", flow)) == 2 and each
    )

    assert answer.status_code == 202
    assert {each.id for each in found} == {first.id}
    assert {each.body for each in found} == {first.body}


@pytest.mark.parametrize("since", [None, 5, "yesterday", "2025-06-01T12:00:00"])
def test_a_replay_needs_a_moment(api: httpx.Client, register: Register, since: Any):
    webhook = register()

    answer = api.post(_path(webhook, "replay"), json={"since": since})

    assert (answer.status_code, answer.json()["field"]) == (400, "since")
