"""Whatever is wrong with a request, it is a 4xx in JSON that says what."""

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from celery import Celery

from api import create_app
from infra.bootstrap import build_ports
from tests.making import external, new_id, put_flow, video
from tests.services.running import Running
from tests.spec.official import Official

MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def flow(api: httpx.Client) -> str:
    return put_flow(api)


def raw(api: httpx.Client, head: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    """The answer to a request that no client would make: status, headers, body."""
    url = api.base_url
    with socket.create_connection((url.host, url.port), timeout=30) as connection:
        connection.sendall(f"{head}\r\nConnection: close\r\n\r\n".encode("latin-1") + body)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    status, _, rest = answer.partition(b"\r\n")
    names, _, payload = rest.partition(b"\r\n\r\n")
    lines = (line.split(": ", 1) for line in names.decode("latin-1").split("\r\n"))
    return int(status.split()[1]), {name.lower(): text for name, text in lines}, payload


def test_an_error_says_its_summary_under_every_name_that_clients_look_for(api: httpx.Client):
    error = api.get(f"/flows/{new_id()}").json()

    assert error["summary"] == error["message"] == error["detail"]
    assert error["type"] == "FlowNotFound"


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b" ", b"{", b"{nope}", b"[] []", b"'text'", b"NaN", b'{"label": Infinity}'),
        *(b'{"label": "\xff"}', b'{"label": "\\ud800"}', '{"label": "ä"}'.encode("utf-16")),
        *(b"\xef\xbb\xbf{}", b"1e999", b"[" * 100_000, b'{"a":' * 100 + b"1" + b"}" * 100),
        *(b"null", b"true", b"1", b'"text"', b"[]", b"[[]]", b"{}", b"[null]"),
    ],
    ids=lambda body: str(body[:20]),
)
@pytest.mark.parametrize("operation", ["PUT /flows/{}", "POST /flows/{}/segments"])
def test_a_body_that_is_not_what_is_wanted_is_400(
    api: httpx.Client, flow: str, operation: str, body: bytes
):
    method, path = operation.format(flow).split()

    assert api.request(method, path, content=body).status_code == 400


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"label": 1}, "label"),
        ({"label": None}, "label"),
        ({"label": "a\0b"}, "label"),
        ({"tags": {"a\0b": "c"}}, "tags"),
        ({"tags": {"a": ["b", "c\0"]}}, "tags.a.1"),
        ({"tags": {"a": 1}}, "tags"),
        ({"tags": []}, "tags"),
        ({"generation": 10**30}, "generation"),
        ({"generation": 1 << 63}, "generation"),
        ({"generation": 1.5}, "generation"),
        ({"generation": "1"}, "generation"),
        ({"generation": True}, "generation"),
        ({"read_only": "true"}, "read_only"),
        ({"essence_parameters": []}, "essence_parameters"),
        ({"flow_collection": {}}, "flow_collection"),
        ({"flow_collection": ["id"]}, "flow_collection.0"),
    ],
)
def test_a_flow_with_a_value_that_cannot_be_meant_is_400_naming_the_field(
    api: httpx.Client, change: dict[str, Any], field: str
):
    flow_id = new_id()

    refused = api.put(f"/flows/{flow_id}", content=json.dumps(video(flow_id, **change)))

    assert (refused.status_code, refused.json().get("field")) == (400, field)
    assert api.get(f"/flows/{flow_id}").status_code == 404


@pytest.mark.parametrize(
    "query", ["label=%ff", "label=%00", "label=%ed%a0%80", "%ff=1", "label=a&label=b"]
)
def test_a_query_that_is_no_text_is_400(api: httpx.Client, query: str):
    assert api.get(f"/flows?{query}").status_code == 400


@pytest.mark.parametrize("path", ["/objects/%ff", "/objects/a%00b", "/%ff"])
def test_a_path_that_is_no_text_is_400(api: httpx.Client, path: str):
    assert api.get(path).status_code == 400


@pytest.mark.parametrize(
    "query", ["frame_width=" + "9" * 30, "frame_width=1_0", "frame_width=%2B1"]
)
def test_a_number_in_a_query_is_of_digits_and_64_bits(api: httpx.Client, query: str):
    refused = api.get(f"/flows?{query}")

    assert (refused.status_code, refused.json()["field"]) == (400, "frame_width")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_long_is_413(api: httpx.Client, flow: str, chunked: bool):
    def chunks() -> Iterator[bytes]:
        yield from [b" " * MEBIBYTE] * 17

    body = chunks() if chunked else b" " * 17 * MEBIBYTE

    refused = api.put(f"/flows/{flow}", content=body)

    assert (refused.status_code, refused.json()["type"]) == (413, "RequestEntityTooLarge")


def test_a_body_that_comes_in_chunks_is_read(api: httpx.Client, flow: str):
    body = json.dumps(external(0, 1_000)).encode()

    answer = api.post(f"/flows/{flow}/segments", content=iter([body[:20], body[20:]]))

    assert answer.status_code == 201


def test_a_compressed_body_is_415(api: httpx.Client, flow: str):
    refused = api.put(f"/flows/{flow}", content=b"...", headers={"Content-Encoding": "gzip"})

    assert (refused.status_code, refused.json()["type"]) == (415, "UnsupportedMediaType")


@pytest.mark.parametrize("path", ["/flows/", "/docs/", "/static/", "/sources//", "/service/"])
def test_no_path_is_redirected_to_another(api: httpx.Client, path: str):
    assert api.get(path).status_code == 404


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("path", ["/", "/sources", "/sources/{}", "/flows", "/health", "/docs"])
def test_a_method_nobody_answers_is_405_naming_those_that_are(
    api: httpx.Client, method: str, path: str
):
    refused = api.request(method, path.format(new_id()))

    assert refused.status_code == 405
    assert set(refused.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    assert refused.headers["content-type"] == "application/json"


@pytest.mark.parametrize("host", ["a>b", "a b", "a,b", "a:b", "a:99999", "ä"])
def test_a_host_that_is_none_is_400(api: httpx.Client, host: str):
    status, headers, body = raw(api, f"GET /flows HTTP/1.1\r\nHost: {host}")

    assert (status, headers["content-type"]) == (400, "application/json")
    assert json.loads(body)["field"] == "Host"


def test_a_client_of_http_1_0_need_not_name_a_host(api: httpx.Client, flow: str):
    put_flow(api)

    status, headers, _ = raw(api, "GET /flows?limit=1 HTTP/1.0")

    assert status == 200
    assert headers["link"].startswith(f"<{str(api.base_url).rstrip('/')}/flows?limit=1&page=")


def test_a_bug_is_500_without_a_traceback(store: Running, official: Official):
    settings = store.settings
    ports = build_ports(settings, Celery(broker=settings.redis_url))
    broken: Any = replace(ports, metadata=None)

    answer = create_app(broken).test_client().get("/flows")

    assert answer.status_code == 500
    assert official.faults("error", answer.json) == []
    assert "Traceback" not in answer.text
    assert "NoneType" not in answer.text
