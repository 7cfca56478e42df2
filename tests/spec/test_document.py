"""Our OpenAPI document: valid, complete beside the official one, and true."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate

import api as api_package
from api.requests import LONGEST_BODY
from tests.making import external, new_id, put_flow
from tests.spec.official import Document, Official

# Ours beyond the specification.
EXTENSIONS = {"jobs-jobId", "ingest-problems", "health"}

# Paths of the specification that we have, but not with every method yet.
LATER = {
    "POST_service": "no name or description can be set yet",
    "DELETE_flows-flowId": "nothing is deleted yet",
    "DELETE_flows-flowId-segments": "nothing is deleted yet",
}

# Statuses that need more than a request; tests/api provokes 503.
NOT_PROVOKED = {
    (name, "503"): "a service must be down"
    for name in (
        *("HEAD_flows", "GET_flows", "HEAD_flows-flowId", "GET_flows-flowId", "PUT_flows-flowId"),
        *("HEAD_sources", "GET_sources", "HEAD_sources-sourceId", "GET_sources-sourceId"),
        *("HEAD_flows-flowId-segments", "GET_flows-flowId-segments", "POST_flows-flowId-segments"),
        *("POST_flows-flowId-storage", "HEAD_objects", "GET_objects", "HEAD_health", "GET_health"),
        *("HEAD_jobs-jobId", "GET_jobs-jobId", "HEAD_ingest-problems", "GET_ingest-problems"),
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
        assert theirs.responses.keys() <= ours.responses.keys(), name
        for status, response in theirs.responses.items():
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


def _provocations(api: httpx.Client) -> dict[tuple[str, str], Callable[[], Any]]:
    """A request for every status an operation may answer with."""
    flow, locked, nobody = put_flow(api), put_flow(api, read_only=True), new_id()
    taken = external(0, 1_000)
    api.post(f"/flows/{flow}/segments", json=taken)
    job = api.post(
        f"/flows/{flow}/segments", json=external(5_000, 6_000), headers={"Prefer": "respond-async"}
    ).json()["id"]
    source = api.get(f"/flows/{flow}").json()["source_id"]
    reads = {
        "root": {"200": "/", "400": "/?colour=red"},
        "service": {"200": "/service", "400": "/service?colour=red"},
        "storage-backends": {
            "200": "/service/storage-backends",
            "400": "/service/storage-backends?limit=none",
        },
        "sources": {"200": "/sources", "400": "/sources?sort_by=size"},
        "sources-sourceId": {
            "200": f"/sources/{source}",
            "400": f"/sources/{source}?colour=red",
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
        "jobs-jobId": {
            "200": f"/jobs/{job}",
            "400": f"/jobs/{job}?colour=red",
            "404": f"/jobs/{nobody}",
        },
        "ingest-problems": {"200": "/ingest-problems", "400": "/ingest-problems?page=second"},
        "health": {"200": "/health", "400": "/health?colour=red"},
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

    def send(method: str, path: str, status: str) -> Callable[[], Any]:
        body = b" " * (LONGEST_BODY + 1) if status == "413" else b""
        headers = {"Content-Encoding": "gzip"} if status == "415" else {}
        return lambda: api.request(method, path, content=body, headers=headers)

    bodies = {
        "PUT_flows-flowId": f"/flows/{flow}",
        "POST_flows-flowId-storage": f"/flows/{flow}/storage",
        "POST_flows-flowId-segments": f"/flows/{flow}/segments",
    }
    requests |= {
        (name, status): send(name.partition("_")[0], path, status)
        for name, path in bodies.items()
        for status in ("413", "415")
    }
    refused = external(0, 2_000)
    return requests | {
        ("PUT_flows-flowId", "201"): put(nobody),
        ("PUT_flows-flowId", "204"): put(flow),
        ("PUT_flows-flowId", "400"): put(flow, format="film"),
        ("PUT_flows-flowId", "403"): put(locked),
        ("PUT_flows-flowId", "404"): put("not-an-id"),
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


def test_every_declared_status_is_answered_when_provoked(api: httpx.Client, served: Document):
    requests = _provocations(api)
    declared = {
        (operation.name, status)
        for operation in served.operations.values()
        for status in operation.responses
        if status != "default"
    }

    assert requests.keys() | NOT_PROVOKED.keys() == declared
    for (name, status), request in requests.items():
        assert str(request().status_code) == status, name


def test_unavailable_is_declared_with_when_to_try_again(served: Document):
    for name, status in NOT_PROVOKED:
        response = served.operations[name].responses[status]
        assert "Retry-After" in response.get("headers", {}) or name.endswith("_health")


def test_an_access_token_may_come_with_any_request_and_nothing_unknown(
    api: httpx.Client, served: Document
):
    for operation in served.operations.values():
        assert "access_token" in operation.parameters, operation.name
        path = re.sub("{[^}]*}", new_id(), operation.path)
        answers = [
            api.request(operation.method, path, params={name: "x"})
            for name in ("access_token", "colour")
        ]
        assert "access_token" not in answers[0].text
        assert answers[1].status_code == 400


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
