"""Our OpenAPI document: valid, complete beside the official one, and true."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate

import api as api_package
from infra.broker.jobs import RedisJobs
from schemas.domain.job import Fault
from tests.making import external, new_id, put_flow
from tests.spec.conftest import create_job
from tests.spec.official import Document, Official

# Ours beyond the specification.
EXTENSIONS = {
    *("jobs", "jobs-jobId", "jobs-events", "jobs-jobId-events"),
    *("ingest-problems", "health"),
}

# Paths of the specification that we have, but not with every method yet.
LATER = {
    "POST_service": "no name or description can be set yet",
}

# Statuses that only permissions would give; authentication is a later matter.
PERMISSIONS = {("POST_objects-instances", "403"), ("DELETE_objects-instances", "403")}

# Statuses that need more than a request; tests/api provokes 503.
NOT_PROVOKED = {
    (name, "503"): "a service must be down"
    for name in (
        *("HEAD_flows", "GET_flows", "HEAD_flows-flowId", "GET_flows-flowId", "PUT_flows-flowId"),
        *("HEAD_sources", "GET_sources", "HEAD_sources-sourceId", "GET_sources-sourceId"),
        *("HEAD_flows-flowId-segments", "GET_flows-flowId-segments", "POST_flows-flowId-segments"),
        *("POST_flows-flowId-storage", "HEAD_objects", "GET_objects", "HEAD_health", "GET_health"),
        *("DELETE_flows-flowId", "DELETE_flows-flowId-segments"),
        *("HEAD_flow-delete-requests", "GET_flow-delete-requests"),
        *("HEAD_flow-delete-requests-request-id", "GET_flow-delete-requests-request-id"),
        *("POST_objects-instances", "DELETE_objects-instances"),
        *("HEAD_jobs-jobId", "GET_jobs-jobId", "HEAD_ingest-problems", "GET_ingest-problems"),
        *("HEAD_jobs", "GET_jobs", "DELETE_jobs-jobId", "HEAD_jobs-events", "GET_jobs-events"),
        *("HEAD_jobs-jobId-events", "GET_jobs-jobId-events"),
    )
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

    assert theirs - set(served.operations) == set(LATER)


def test_official_parameters_and_statuses_are_ours_too(served: Document, official: Official):
    for name in served.operations.keys() & official.document.operations.keys():
        ours, theirs = served.operations[name], official.document.operations[name]
        assert theirs.parameters.keys() <= ours.parameters.keys(), name
        for status, response in theirs.responses.items():
            if (name, status) in PERMISSIONS:
                assert status not in ours.responses
                continue
            assert status in ours.responses, (name, status)
            headers = ours.responses[status].get("headers", {}).keys()
            assert response.get("headers", {}).keys() <= headers, name
        for parameter, standard in theirs.parameters.items():
            kind = standard["schema"].get("type", "string")
            assert ours.parameters[parameter]["schema"]["type"] == kind, (name, parameter)


def test_official_enumerations_and_defaults_of_parameters_are_ours(
    served: Document, official: Official
):
    for name in served.operations.keys() & official.document.operations.keys():
        ours, theirs = served.operations[name], official.document.operations[name]
        for parameter, standard in theirs.parameters.items():
            mine = ours.parameters[parameter]["schema"]
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
    assert set(schemas["Flow"]["required"]) == {"id", "source_id", "format"}
    assert schemas["Link"]["required"] == ["label", "url"]


def _provocations(
    api: httpx.Client, worker: RedisJobs, backend: dict[str, Any]
) -> dict[tuple[str, str], Callable[[], Any]]:
    """A request for every status an operation may answer with."""
    flow, locked, nobody = put_flow(api), put_flow(api, read_only=True), new_id()
    taken = external(0, 1_000)
    api.post(f"/flows/{flow}/segments", json=taken)
    job = api.post(
        f"/flows/{flow}/segments", json=external(5_000, 6_000), headers={"Prefer": "respond-async"}
    ).json()["id"]
    seen = api.get(f"/jobs/{job}", headers={"Prefer": "wait=30"}).headers["etag"]
    last_event = re.findall("(?m)^id: (.*)$", api.get(f"/jobs/{job}/events").text)[-1]
    going_on, cancelled = (create_job(worker) for _ in range(2))
    now = datetime.now(UTC)  # noqa: TID251 - tests have no Clock port
    worker.end(cancelled, now, Fault("Cancelled", "it was", now))
    source = api.get(f"/flows/{flow}").json()["source_id"]
    later = {"Prefer": "respond-async"}
    deletion = api.delete(f"/flows/{put_flow(api)}", headers=later).json()["id"]
    reads = {
        "root": {"200": "/"},
        "service": {"200": "/service"},
        "storage-backends": {
            "200": "/service/storage-backends",
            "400": "/service/storage-backends?limit=none",
        },
        "sources": {"200": "/sources", "400": "/sources?sort_by=size"},
        "sources-sourceId": {"200": f"/sources/{source}", "404": f"/sources/{nobody}"},
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
        "jobs-events": {"400": "/jobs/events?state=lost"},
        "jobs-jobId-events": {
            "200": f"/jobs/{job}/events",
            "204": f"/jobs/{job}/events?last_event_id={last_event}",
            "400": f"/jobs/{job}/events?last_event_id=yesterday",
            "404": f"/jobs/{nobody}/events",
        },
        "ingest-problems": {"200": "/ingest-problems", "400": "/ingest-problems?page=second"},
        "health": {"200": "/health"},
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

    def opened(method: str) -> Any:
        with api.stream(method, "/jobs/events") as response:
            return response

    refused = external(0, 2_000)
    cdn = {"url": "https://cdn.example/a", "label": "cdn"}
    return requests | {
        ("GET_jobs-events", "200"): lambda: opened("GET"),
        ("HEAD_jobs-events", "200"): lambda: opened("HEAD"),
        ("GET_jobs-jobId", "304"): lambda: api.get(f"/jobs/{job}", headers={"If-None-Match": seen}),
        ("HEAD_jobs-jobId", "304"): lambda: api.head(
            f"/jobs/{job}", headers={"If-None-Match": seen}
        ),
        ("DELETE_jobs-jobId", "202"): delete(f"/jobs/{going_on}", **later),
        ("DELETE_jobs-jobId", "204"): delete(f"/jobs/{cancelled}"),
        ("DELETE_jobs-jobId", "400"): delete(f"/jobs/{job}"),
        ("DELETE_jobs-jobId", "404"): delete(f"/jobs/{nobody}"),
        ("POST_objects-instances", "202"): instance(
            taken["object_id"], prefer="respond-async", storage_id=backend["id"]
        ),
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
        ("DELETE_flows-flowId-segments", "400"): delete(f"/flows/{flow}/segments?timerange=now"),
        ("DELETE_flows-flowId-segments", "403"): delete(f"/flows/{locked}/segments"),
        ("DELETE_flows-flowId-segments", "404"): delete(f"/flows/{new_id()}/segments"),
        ("POST_objects-instances", "201"): instance(taken["object_id"], **cdn),
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


def test_every_declared_status_is_answered_when_provoked(
    api: httpx.Client, served: Document, worker: RedisJobs, backend: dict[str, Any]
):
    requests = _provocations(api, worker, backend)
    declared = {
        (operation.name, status)
        for operation in served.operations.values()
        for status in operation.responses
        if status != "default"
    }

    assert requests.keys() | NOT_PROVOKED.keys() == declared
    for (name, status), request in requests.items():
        assert str(request().status_code) == status, name


def test_every_post_is_documented_as_repeatable(served: Document):
    posts = [each for each in served.operations.values() if each.method == "post"]

    assert posts
    for operation in posts:
        assert operation.parameters["Idempotency-Key"]["in"] == "header", operation.name
        for status, response in operation.responses.items():
            replayed = "Idempotency-Replayed" in response.get("headers", {})
            assert replayed == (status in {"200", "201", "202", "400", "403", "404"}), status


def test_unavailable_is_declared_with_when_to_try_again(served: Document):
    for name, status in NOT_PROVOKED:
        response = served.operations[name].responses[status]
        assert "Retry-After" in response.get("headers", {}) or name.endswith("_health")


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
