"""Our OpenAPI document: valid, complete beside the official one, and true."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate

import api as api_package
from api.requests import LONGEST_BODY
from infra.broker.jobs import RedisJobs
from schemas.domain.job import Fault
from tests.making import a_profile, external, new_id, put_flow, put_linked_flow, put_profile
from tests.putting_aside import bury_message, bury_offers
from tests.services.running import Running
from tests.spec.conftest import create_job
from tests.spec.official import Document, Official

# Ours beyond the specification.
EXTENSIONS = {
    *("events", "jobs", "jobs-jobId", "jobs-events", "jobs-jobId-events"),
    *("ingest-problems", "health"),
    *("flows-flowId-timeline", "health-ingest", "health-ingest-stalls"),
    *("ingest-scans", "ingest-scans-scanId"),
    *("admin-dead-letters", "admin-dead-letters-letterId", "admin-dead-letters-letterId-replay"),
    *("ingest-rules", "ingest-rules-ruleId", "ingest-rules-test"),
    *(f"webhooks-webhookId-{name}" for name in ("test", "deliveries", "replay")),
}

# Parameters that take more than the specification says.
WIDER = {("HEAD_profiles", "format"): "HEAD takes what GET takes, formats no profile has included"}

# They say that there are no webhooks.
UNSUPPORTED = {(name, "404") for name in ("GET_webhooks", "HEAD_webhooks", "POST_webhooks")}

# Who may not change these is decided by permissions, which do not exist yet. 503 needs a service
# to be down, and is provoked in tests/api.
NOBODY_IS_REFUSED = {
    "POST_service",
    "POST_objects-instances",
    "DELETE_objects-instances",
    "PUT_flows-flowId-read-only",
    *("PUT_webhooks", "DELETE_webhooks-webhookId"),
    *(f"POST_webhooks-webhookId-{name}" for name in ("test", "replay")),
    *(
        f"{method}_sources-sourceId-{name}"
        for method in ("PUT", "DELETE")
        for name in ("tags-name", "description", "label")
    ),
}


def test_the_document_is_valid_openapi(served: Document):
    validate(dict(served.content))


def test_operations_have_the_names_and_tags_of_the_specification(
    served: Document, official: Official
):
    ours = {n: o for n, o in served.operations.items() if n.partition("_")[2] not in EXTENSIONS}

    for name, operation in ours.items():
        standard = official.document.operations[name]
        assert (operation.path, operation.method) == (standard.path, standard.method)
        assert operation.described["tags"] == standard.described["tags"]


def test_every_operation_is_described(served: Document):
    for operation in served.operations.values():
        assert operation.described["summary"], operation.name
        assert all(response["description"] for response in operation.responses.values())


def test_no_operation_of_our_paths_is_missing(served: Document, official: Official):
    ours = {operation.path for operation in served.operations.values()}
    theirs = {
        operation["operationId"]
        for path, item in official.document.content["paths"].items()
        for method, operation in item.items()
        if path in ours and method != "parameters"
    }

    assert theirs <= set(served.operations)


def test_official_parameters_and_statuses_are_ours_too(served: Document, official: Official):
    for name in served.operations.keys() & official.document.operations.keys():
        ours, theirs = served.operations[name], official.document.operations[name]
        assert theirs.parameters.keys() <= ours.parameters.keys(), name
        for status, response in theirs.responses.items():
            if (name, status) in UNSUPPORTED:
                continue
            assert status in ours.responses, (name, status)
            headers = ours.responses[status].get("headers", {}).keys()
            assert response.get("headers", {}).keys() <= headers, name
        for parameter, standard in theirs.parameters.items():
            kind = standard["schema"].get("type", "string")
            assert ours.parameters[parameter]["schema"]["type"] == kind, (name, parameter)


def test_every_parameter_and_header_says_what_it_means(served: Document):
    for name, operation in served.operations.items():
        headers = [
            header
            for response in operation.responses.values()
            for header in response.get("headers", {}).values()
        ]
        for described in [*operation.parameters.values(), *headers]:
            assert len(described["description"].split()) > 1, (name, described)


def test_official_enumerations_and_defaults_of_parameters_are_ours(
    served: Document, official: Official
):
    for name in served.operations.keys() & official.document.operations.keys():
        ours, theirs = served.operations[name], official.document.operations[name]
        for parameter, standard in theirs.parameters.items():
            mine = ours.parameters[parameter]["schema"]
            if (name, parameter) not in WIDER:
                assert mine.get("enum") == standard["schema"].get("enum", mine.get("enum"))
            assert mine.get("default", False) == standard["schema"].get("default", False) or (
                parameter in {"limit", "timerange"}
            )


def test_request_bodies_have_the_required_fields_of_the_specification(served: Document):
    schemas = served.content["components"]["schemas"]
    segments = served.operations["POST_flows-flowId-segments"].described["requestBody"]
    one, several = segments["content"]["application/json"]["schema"]["oneOf"]

    assert one == several["items"] == {"$ref": "#/components/schemas/SegmentPost"}
    assert set(schemas["SegmentPost"]["required"]) == {"object_id", "timerange"}
    assert set(schemas["Flow"]["required"]) == {"id", "source_id"}
    assert set(schemas["FlowGet"]["required"]) == {"id", "source_id", "format"}
    assert set(schemas["ProfilePost"]["required"]) == {"id", "flow_metadata"}
    assert schemas["Link"]["required"] == ["label", "url"]


RULE = {"bucket": "tams-media", "prefix": "provoked/", "flow": {"name": "provoked"}}


def _rule(api: httpx.Client) -> str:
    return str(api.post("/ingest-rules", json={**RULE, "enabled": False}).json()["id"])


# For every property: a value, and one that it cannot have.
PROPERTIES: dict[str, dict[str, tuple[Any, Any]]] = {
    "sources": {
        "tags": ({}, None),
        "tags/some": ("tag", 5),
        "description": ("text", 5),
        "label": ("text", ["text"]),
    },
    "flows": {
        "tags": ({}, None),
        "tags/some": (["a", "b"], {}),
        "description": ("text", None),
        "label": ("text", True),
        "flow_collection": ([], {}),
        "max_bit_rate": (5_000, -1),
        "avg_bit_rate": (4_000, 0.5),
        "read_only": (False, "false"),
    },
}


def _property_provocations(api: httpx.Client) -> dict[tuple[str, str], Callable[[], Any]]:
    """A request for every status that reading, putting and deleting a property may answer with."""
    everything = {"label": "l", "description": "d", "tags": {"some": "tag"}}
    everything |= {"max_bit_rate": 1, "avg_bit_rate": 1}
    flow, locked = put_flow(api, **everything), put_flow(api, **everything, read_only=True)
    source = api.get(f"/flows/{flow}").json()["source_id"]
    api.put(f"/sources/{source}/tags/some", json="tag")
    linked = put_linked_flow(api, put_profile(api))
    ids = {"sources": source, "flows": flow}

    def request(method: str, path: str, value: Any = None) -> Callable[[], Any]:
        body = {"json": value} if method == "PUT" else {}
        return lambda: api.request(method, path, **body)

    found: dict[tuple[str, str], Callable[[], Any]] = {}
    for owner, properties in PROPERTIES.items():
        for name, (good, bad) in properties.items():
            operation = f"{owner}-{owner[:-1]}Id-{name}".replace("/some", "-name")
            operation = operation.replace("_", "-")
            here, nowhere = f"/{owner}/{ids[owner]}/{name}", f"/{owner}/{new_id()}/{name}"
            for method in ("GET", "HEAD", *(("PUT", "DELETE") if name != "tags" else ())):
                if (method, name) == ("DELETE", "read_only"):
                    continue
                called = f"{method}_{operation}"
                well = "200" if method in {"GET", "HEAD"} else "204"
                found[called, well] = request(method, here, good)
                found[called, "404"] = request(method, nowhere, good)
                if method == "PUT":
                    found[called, "400"] = request(method, here, bad)
                if well == "204" and called not in NOBODY_IS_REFUSED:
                    found[called, "403"] = request(method, f"/flows/{locked}/{name}", good)
    found["DELETE_flows-flowId-avg-bit-rate", "400"] = request(
        "DELETE", f"/flows/{linked}/avg_bit_rate"
    )
    return found


WEBHOOK = {"url": "https://192.0.2.1/", "events": [], "status": "disabled"}


def _webhook(api: httpx.Client) -> str:
    known = {**WEBHOOK, "url": "https://hook.example/"}
    return str(api.post("/service/webhooks", json=known).json()["id"])


def _webhook_provocations(
    api: httpx.Client, webhook: str
) -> dict[tuple[str, str], Callable[[], Any]]:
    """A request for every status that changing and testing webhooks may be answered with."""
    known = {**WEBHOOK, "url": "https://hook.example/", "id": webhook}
    since = {"since": "2025-06-01T12:00:00Z"}
    enabled = str(api.post("/service/webhooks", json={**known, "status": "created"}).json()["id"])
    nowhere, doomed = f"/service/webhooks/{new_id()}", _webhook(api)
    here, there = f"/service/webhooks/{webhook}", f"/service/webhooks/{enabled}"
    return {
        ("POST_webhooks", "201"): partial(api.post, "/service/webhooks", json=known),
        ("POST_webhooks", "400"): partial(api.post, "/service/webhooks", json=WEBHOOK),
        ("PUT_webhooks", "201"): partial(api.put, here, json=known),
        ("PUT_webhooks", "400"): partial(api.put, here, json=WEBHOOK),
        ("PUT_webhooks", "404"): partial(api.put, nowhere, json=known),
        ("DELETE_webhooks-webhookId", "204"): partial(api.delete, f"/service/webhooks/{doomed}"),
        ("DELETE_webhooks-webhookId", "404"): partial(api.delete, nowhere),
        ("POST_webhooks-webhookId-test", "200"): partial(api.post, f"{here}/test"),
        ("POST_webhooks-webhookId-test", "404"): partial(api.post, f"{nowhere}/test"),
        ("POST_webhooks-webhookId-replay", "202"): partial(api.post, f"{there}/replay", json=since),
        ("POST_webhooks-webhookId-replay", "400"): partial(api.post, f"{here}/replay", json=since),
        ("POST_webhooks-webhookId-replay", "404"): partial(
            api.post, f"{nowhere}/replay", json=since
        ),
    }


def _malformed(
    api: httpx.Client, served: Document, ids: dict[str, str]
) -> dict[tuple[str, str], Callable[[], Any]]:
    """Requests that every operation refuses, if they can be made of it."""
    found: dict[tuple[str, str], Callable[[], Any]] = {}
    for operation in served.operations.values():
        path = re.sub("{(.*?)}", lambda name: ids.get(name[1], "x"), operation.path)
        call = partial(api.request, operation.method)
        found[operation.name, "400"] = partial(call, f"{path}?colour=red")
        if "requestBody" in operation.described:
            gzip = {"Content-Encoding": "gzip"}
            found[operation.name, "413"] = partial(call, path, content=b" " * (LONGEST_BODY + 1))
            found[operation.name, "415"] = partial(call, path, content=b"...", headers=gzip)
    return found


def _job_provocations(
    api: httpx.Client, job: str, worker: RedisJobs
) -> dict[tuple[str, str], Callable[[], Any]]:
    """A request for every status that following and cancelling jobs may be answered with."""
    seen = api.get(f"/jobs/{job}", headers={"Prefer": "wait=30"}).headers["etag"]
    last_event = re.findall("(?m)^id: (.*)$", api.get(f"/jobs/{job}/events").text)[-1]
    going_on, cancelled = (create_job(worker) for _ in range(2))
    now = datetime.now(UTC)  # noqa: TID251 - tests have no Clock port
    worker.end(cancelled, now, Fault("Cancelled", "it was", now))
    later, known = {"Prefer": "respond-async"}, {"If-None-Match": seen}

    def opened(method: str, path: str) -> Any:
        with api.stream(method, path) as response:
            return response

    found: dict[tuple[str, str], Callable[[], Any]] = {
        ("DELETE_jobs-jobId", "202"): partial(api.delete, f"/jobs/{going_on}", headers=later),
        ("DELETE_jobs-jobId", "204"): partial(api.delete, f"/jobs/{cancelled}"),
        ("DELETE_jobs-jobId", "400"): partial(api.delete, f"/jobs/{job}"),
        ("DELETE_jobs-jobId", "404"): partial(api.delete, f"/jobs/{new_id()}"),
    }
    for method in ("GET", "HEAD"):
        one, events = f"{method}_jobs-jobId", f"{method}_jobs-jobId-events"
        call, after = partial(api.request, method), f"/jobs/{job}/events?last_event_id="
        found |= {
            (one, "304"): partial(call, f"/jobs/{job}", headers=known),
            (f"{method}_events", "200"): partial(opened, method, "/events"),
            (f"{method}_events", "400"): partial(call, "/events?events=all"),
            (f"{method}_jobs-events", "200"): partial(opened, method, "/jobs/events"),
            (f"{method}_jobs-events", "400"): partial(call, "/jobs/events?state=lost"),
            (events, "200"): partial(call, f"/jobs/{job}/events"),
            (events, "204"): partial(call, f"{after}{last_event}"),
            (events, "400"): partial(call, f"{after}yesterday"),
            (events, "404"): partial(call, f"/jobs/{new_id()}/events"),
        }
    return found


def _provocations(
    api: httpx.Client, store: Running, served: Document, worker: RedisJobs
) -> dict[tuple[str, str], Callable[[], Any]]:
    """A request for every status an operation may answer with."""
    flow, locked, nobody = put_flow(api), put_flow(api, read_only=True), new_id()
    taken = external(0, 1_000)
    api.post(f"/flows/{flow}/segments", json=taken)
    job = api.post(
        f"/flows/{flow}/segments", json=external(5_000, 6_000), headers={"Prefer": "respond-async"}
    ).json()["id"]
    source = api.get(f"/flows/{flow}").json()["source_id"]
    later = {"Prefer": "respond-async"}
    deletion = api.delete(f"/flows/{put_flow(api)}", headers=later).json()["id"]
    profile = put_profile(api)
    webhook = _webhook(api)
    scanned = {"bucket": "tams-media", "prefix": "of/nobody/"}
    scan = api.post("/ingest-scans", json=scanned).json()["id"]
    letters = [bury_message(store, body) for body in (b"1", b"2")]
    put_aside = bury_offers(store, flow)
    reads = {
        "root": {"200": "/"},
        "service": {"200": "/service"},
        "profiles": {"200": "/service/profiles", "400": "/service/profiles?format=film"},
        "profiles-profileId": {
            "200": f"/service/profiles/{profile}",
            "404": f"/service/profiles/{nobody}",
        },
        "storage-backends": {
            "200": "/service/storage-backends",
            "400": "/service/storage-backends?limit=none",
        },
        "webhooks": {"200": "/service/webhooks", "400": "/service/webhooks?limit=0"},
        "webhooks-webhookId": {
            "200": f"/service/webhooks/{webhook}",
            "404": f"/service/webhooks/{nobody}",
        },
        "webhooks-webhookId-deliveries": {
            "200": f"/service/webhooks/{webhook}/deliveries",
            "404": f"/service/webhooks/{nobody}/deliveries",
        },
        "sources": {"200": "/sources", "400": "/sources?sort_by=size"},
        "sources-sourceId": {
            "200": f"/sources/{source}",
            "404": f"/sources/{nobody}",
        },
        "flows": {"200": "/flows", "400": "/flows?format=film"},
        "flows-flowId": {
            "200": f"/flows/{flow}",
            "400": f"/flows/{flow}?timerange=now",
            "404": f"/flows/{nobody}",
        },
        "flows-flowId-segments": {
            "200": f"/flows/{flow}/segments",
            "400": f"/flows/{flow}/segments?presigned=maybe",
            "404": "/flows/not-an-id/segments",
        },
        "objects": {
            "200": f"/objects/{taken['object_id']}",
            "400": f"/objects/{taken['object_id']}?limit=0",
            "404": f"/objects/{nobody}",
        },
        "flow-delete-requests": {
            "200": "/flow-delete-requests",
            "400": "/flow-delete-requests?sort_by=flow",
        },
        "flow-delete-requests-request-id": {
            "200": f"/flow-delete-requests/{deletion}",
            "404": f"/flow-delete-requests/{nobody}",
        },
        "jobs": {"200": "/jobs", "400": "/jobs?kind=chore"},
        "jobs-jobId": {"200": f"/jobs/{job}", "404": f"/jobs/{nobody}"},
        "admin-dead-letters": {
            "200": "/admin/dead-letters",
            "400": "/admin/dead-letters?reverse_order=perhaps",
        },
        "admin-dead-letters-letterId": {
            "200": f"/admin/dead-letters/{letters[0]}",
            "404": f"/admin/dead-letters/{nobody}",
        },
        "ingest-problems": {"200": "/ingest-problems", "400": "/ingest-problems?page=second"},
        "ingest-rules": {"200": "/ingest-rules", "400": "/ingest-rules?limit=0"},
        "ingest-rules-ruleId": {
            "200": f"/ingest-rules/{_rule(api)}",
            "404": f"/ingest-rules/{nobody}",
        },
        "health": {"200": "/health"},
        "health-ingest": {"200": "/health/ingest", "400": "/health/ingest?state=tired"},
        "health-ingest-stalls": {
            "200": "/health/ingest/stalls",
            "400": "/health/ingest/stalls?flow_id=camera",
        },
        "flows-flowId-timeline": {
            "200": f"/flows/{flow}/timeline",
            "400": f"/flows/{flow}/timeline?tolerance=-1:0",
            "404": f"/flows/{nobody}/timeline",
        },
        "ingest-scans": {"200": "/ingest-scans", "400": "/ingest-scans?sort_by=bucket"},
        "ingest-scans-scanId": {"200": f"/ingest-scans/{scan}", "404": f"/ingest-scans/{nobody}"},
    }
    requests: dict[tuple[str, str], Callable[[], Any]] = {
        (f"{method}_{name}", status): lambda method=method, path=path: api.request(method, path)
        for name, paths in reads.items()
        for status, path in paths.items()
        for method in ("GET", "HEAD")
    }

    def post(what: str, of: str, body: object, **headers: str) -> Callable[[], Any]:
        return lambda: api.post(f"/flows/{of}/{what}", json=body, headers=headers)

    def put(flow_id: str, **fields: Any) -> Callable[[], Any]:
        body = api.get(f"/flows/{flow}").json() | {"id": flow_id, **fields}
        return lambda: api.put(f"/flows/{flow_id}", json=body)

    def delete(path: str, **headers: str) -> Callable[[], Any]:
        return lambda: api.delete(path, headers=headers)

    def instance(object_id: str, prefer: str = "", **body: str) -> Callable[[], Any]:
        path, headers = f"/objects/{object_id}/instances", {"Prefer": prefer}
        return lambda: api.post(path, json=body, headers=headers)

    def profiled(profile_id: str, **fields: Any) -> Callable[[], Any]:
        return lambda: api.post(f"/service/profiles/{profile_id}", json=a_profile(nobody, **fields))

    def rules(method: str, path: str, body: object = None) -> Callable[[], Any]:
        sent = {} if body is None else {"json": body}
        return lambda: api.request(method, f"/ingest-rules{path}", **sent)

    refused = external(0, 2_000)
    cdn = {"url": "https://cdn.example/a", "label": "cdn"}
    backend = api.get("/service/storage-backends").json()[0]["id"]
    ids = {"flowId": flow, "sourceId": source, "profileId": profile, "jobId": job}
    ids["ruleId"] = _rule(api)
    ids["scanId"] = scan
    ids["webhookId"] = webhook
    requests |= _property_provocations(api)
    requests |= _job_provocations(api, job, worker)
    requests |= _webhook_provocations(api, webhook)
    return (
        _malformed(api, served, ids | {"request-id": deletion})
        | requests
        | {
            ("POST_service", "200"): lambda: api.post("/service", json={}),
            ("POST_service", "400"): lambda: api.post("/service", json={"name": 5}),
            ("POST_ingest-scans", "202"): lambda: api.post("/ingest-scans", json=scanned),
            ("POST_ingest-scans", "400"): lambda: api.post(
                "/ingest-scans", json={"bucket": "of-nobody"}
            ),
            ("POST_profiles-profileId", "201"): profiled(nobody),
            ("POST_profiles-profileId", "400"): profiled(profile),
            ("POST_profiles-profileId", "404"): profiled("not-an-id"),
            ("PUT_flows-flowId", "201"): put(nobody),
            ("PUT_flows-flowId", "204"): put(flow),
            ("PUT_flows-flowId", "400"): put(flow, format="film"),
            ("PUT_flows-flowId", "403"): put(locked),
            ("PUT_flows-flowId", "404"): put("not-an-id"),
            ("DELETE_flows-flowId", "202"): delete(f"/flows/{put_flow(api)}", **later),
            ("DELETE_flows-flowId", "204"): delete(f"/flows/{put_flow(api)}"),
            ("DELETE_flows-flowId", "403"): delete(f"/flows/{locked}"),
            ("DELETE_flows-flowId", "404"): delete(f"/flows/{new_id()}"),
            ("DELETE_flows-flowId-segments", "202"): delete(
                f"/flows/{put_flow(api)}/segments", **later
            ),
            ("DELETE_flows-flowId-segments", "204"): delete(f"/flows/{put_flow(api)}/segments"),
            ("DELETE_flows-flowId-segments", "400"): delete(
                f"/flows/{flow}/segments?timerange=now"
            ),
            ("DELETE_flows-flowId-segments", "403"): delete(f"/flows/{locked}/segments"),
            ("DELETE_flows-flowId-segments", "404"): delete(f"/flows/{new_id()}/segments"),
            ("POST_admin-dead-letters-letterId-replay", "204"): lambda: api.post(
                f"/admin/dead-letters/{put_aside}/replay"
            ),
            ("POST_admin-dead-letters-letterId-replay", "400"): lambda: api.post(
                f"/admin/dead-letters/{letters[0]}/replay"
            ),
            ("POST_admin-dead-letters-letterId-replay", "404"): lambda: api.post(
                f"/admin/dead-letters/{nobody}/replay"
            ),
            ("DELETE_admin-dead-letters-letterId", "204"): delete(
                f"/admin/dead-letters/{letters[1]}"
            ),
            ("DELETE_admin-dead-letters-letterId", "404"): delete(f"/admin/dead-letters/{nobody}"),
            ("POST_ingest-rules", "201"): rules("POST", "", {**RULE, "enabled": False}),
            ("POST_ingest-rules", "400"): rules("POST", "", {**RULE, "times": ["guess"]}),
            ("POST_ingest-rules-test", "200"): rules(
                "POST", "/test", {"bucket": "tams-media", "key": "nothing/here.ts"}
            ),
            ("POST_ingest-rules-test", "400"): rules("POST", "/test", {"bucket": "x", "key": "y"}),
            ("PUT_ingest-rules-ruleId", "200"): rules(
                "PUT", f"/{_rule(api)}", {**RULE, "enabled": False}
            ),
            ("PUT_ingest-rules-ruleId", "400"): rules("PUT", f"/{_rule(api)}", {"bucket": "x"}),
            ("PUT_ingest-rules-ruleId", "404"): rules("PUT", f"/{nobody}", RULE),
            ("DELETE_ingest-rules-ruleId", "204"): rules("DELETE", f"/{_rule(api)}"),
            ("DELETE_ingest-rules-ruleId", "404"): rules("DELETE", f"/{nobody}"),
            ("POST_objects-instances", "201"): instance(taken["object_id"], **cdn),
            ("POST_objects-instances", "202"): instance(
                taken["object_id"], prefer="respond-async", storage_id=backend
            ),
            ("POST_objects-instances", "400"): instance(taken["object_id"], label="cdn"),
            ("POST_objects-instances", "404"): instance(new_id(), **cdn),
            ("DELETE_objects-instances", "204"): delete(
                f"/objects/{taken['object_id']}/instances?label=cdn"
            ),
            ("DELETE_objects-instances", "400"): delete(f"/objects/{taken['object_id']}/instances"),
            ("DELETE_objects-instances", "404"): delete(f"/objects/{new_id()}/instances?label=cdn"),
            ("POST_flows-flowId-storage", "201"): post("storage", flow, {}),
            ("POST_flows-flowId-storage", "400"): post("storage", flow, {"limit": "all"}),
            ("POST_flows-flowId-storage", "403"): post("storage", locked, {}),
            ("POST_flows-flowId-storage", "404"): post("storage", new_id(), {}),
            ("POST_flows-flowId-segments", "200"): post("segments", flow, [refused]),
            ("POST_flows-flowId-segments", "201"): post("segments", flow, external(2_000, 3_000)),
            ("POST_flows-flowId-segments", "202"): post(
                "segments", flow, external(3_000, 4_000), Prefer="respond-async"
            ),
            ("POST_flows-flowId-segments", "400"): post("segments", flow, refused),
            ("POST_flows-flowId-segments", "403"): post("segments", locked, refused),
            ("POST_flows-flowId-segments", "404"): post("segments", new_id(), refused),
        }
    )


def test_every_declared_status_is_answered_when_provoked(
    api: httpx.Client, store: Running, served: Document, worker: RedisJobs
):
    requests = _provocations(api, store, served, worker)
    declared = {
        (operation.name, status)
        for operation in served.operations.values()
        for status in operation.responses
        if status not in {"default", "503"}
    }

    assert requests.keys() | {(name, "403") for name in NOBODY_IS_REFUSED} == declared
    for (name, status), request in requests.items():
        assert str(request().status_code) == status, name


def test_every_post_is_documented_as_repeatable(served: Document):
    posts = [each for each in served.operations.values() if each.method == "post"]

    assert posts
    for operation in posts:
        assert operation.parameters["Idempotency-Key"]["in"] == "header", operation.name
        for status, response in operation.responses.items():
            replayed = "Idempotency-Replayed" in response.get("headers", {})
            assert replayed == (status not in {"413", "415", "503", "default"}), status


def test_unavailable_is_declared_with_when_to_try_again(served: Document):
    declared = {
        name: operation.responses["503"]
        for name, operation in served.operations.items()
        if "503" in operation.responses
    }

    assert {"GET_flows", "PUT_flows-flowId", "DELETE_flows-flowId-label"} <= declared.keys()
    for name, response in declared.items():
        assert "Retry-After" in response.get("headers", {}) or name.endswith("_health")


def test_an_access_token_may_come_with_any_request_and_nothing_unknown(
    api: httpx.Client, served: Document
):
    for operation in served.operations.values():
        assert "access_token" in operation.parameters, operation.name
        path = re.sub("{[^}]*}", new_id(), operation.path)
        with api.stream(operation.method, path, params={"access_token": "x"}) as known:
            if known.headers.get("content-type") != "text/event-stream":  # it may have no end
                assert "access_token" not in known.read().decode()
        unknown = api.request(operation.method, path, params={"colour": "x"})
        assert unknown.status_code == 400


def test_a_method_that_is_not_there_is_told_which_are(api: httpx.Client):
    response = api.patch("/flows")

    assert response.status_code == 405
    assert {"GET", "HEAD"} <= set(response.headers["allow"].split(", "))


@pytest.mark.parametrize("path", ["/nothing", "/flows/", "/flows/NOT-AN-ID", "/objects/"])
def test_a_path_that_is_not_there_is_404_in_json(api: httpx.Client, path: str):
    assert api.get(path).status_code == 404


class _Assets(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in {"src", "href"} and value]


def test_the_viewer_loads_nothing_from_elsewhere(api: httpx.Client):
    page = api.get("/docs")
    assets = _Assets()
    assets.feed(page.text)

    assert len(assets.found) == 3
    assert not re.search(r"https?://", page.text)
    for path in assets.found:
        assert path.startswith("/static/swagger-ui/")
        assert api.get(path).status_code == 200
    assert '"validatorUrl": null' in page.text


def test_the_viewer_says_its_version_and_licence():
    directory = Path(api_package.__file__).parent / "static" / "swagger-ui"
    version = re.search(
        r"^# Swagger UI ([\d.]+)$", (directory / "README.md").read_text(), re.MULTILINE
    )

    assert version is not None
    assert f'"{version[1]}"' in (directory / "swagger-ui-bundle.js").read_text()
    assert (directory / "LICENSE").exists()
    assert (directory / "NOTICE").exists()
