"""Links lead back to where the client found us, whatever stands between."""

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from celery import Celery
from flask.testing import FlaskClient

from api import Options, create_app
from infra.bootstrap import build_ports
from tests.making import external, new_id, put_flow
from tests.services.running import Running

Clients = Callable[[Options], FlaskClient]


@pytest.fixture(scope="module")
def client_of(store: Running) -> Clients:
    """A client of an API with the options given, over the running store."""
    settings = store.settings
    ports = build_ports(settings, Celery(broker=settings.redis_url))
    return lambda options: create_app(ports, options).test_client()


@pytest.fixture(scope="module")
def source(api: httpx.Client) -> str:
    """A source with three flows."""
    source_id = new_id()
    for _ in range(3):
        put_flow(api, source_id=source_id)
    return source_id


def _next(client: FlaskClient, source: str, **headers: str) -> str:
    query = {"source_id": source, "limit": "2"}
    answer = client.get("/flows", query_string=query, headers=_as_header(headers))
    assert answer.status_code == 200, answer.text
    return str(answer.headers["Link"])


def _as_header(names: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): text for name, text in names.items()}


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        ({}, "http://localhost/flows?"),
        ({"Host": "tams.example:8080"}, "http://tams.example:8080/flows?"),
        ({"X_Forwarded_Proto": "https"}, "https://localhost/flows?"),
        ({"X_Forwarded_Host": "tams.example"}, "http://tams.example/flows?"),
        (
            {"X_Forwarded_Host": "tams.example", "X_Forwarded_Port": "8443"},
            "http://tams.example:8443/flows?",
        ),
        (
            {
                "X_Forwarded_Proto": "https",
                "X_Forwarded_Host": "tams.example",
                "X_Forwarded_Prefix": "/media/tams",
            },
            "https://tams.example/media/tams/flows?",
        ),
        ({"X_Forwarded_Host": "evil.example, tams.example"}, "http://tams.example/flows?"),
        ({"Host": "[::1]:4010"}, "http://[::1]:4010/flows?"),
    ],
)
def test_links_are_made_of_what_the_last_proxy_says(
    client_of: Clients, source: str, headers: dict[str, str], base: str
):
    assert _next(client_of(Options()), source, **headers).startswith(f"<{base}")


def test_no_proxy_is_believed_when_there_is_none(client_of: Clients, source: str):
    link = _next(client_of(Options(proxies=0)), source, X_Forwarded_Host="tams.example")

    assert link.startswith("<http://localhost/flows?")


@pytest.mark.parametrize("url", ["https://tams.example/media", "https://tams.example/media/"])
def test_the_public_url_comes_first(client_of: Clients, source: str, url: str):
    client = client_of(Options(public_url=url))

    link = _next(client, source, Host="a>b", X_Forwarded_Host="other.example")

    assert link.startswith("<https://tams.example/media/flows?")
    assert client.get("/openapi.json").json["servers"] == [{"url": url}]


def test_a_link_has_one_relation_and_nothing_in_it_that_would_end_it(
    client_of: Clients, api: httpx.Client
):
    label = 'a"b>; rel="next", <http://evil.example>\r\nX: y ä+&='
    for _ in range(2):
        put_flow(api, label=label)
    query = {"label": label, "limit": "1", "tag_exists.a b>": "false", "access_token": "t&t"}

    answer = client_of(Options()).get("/flows", query_string=query)
    url, relation = answer.headers["Link"].split("; ")

    assert relation == 'rel="next"'
    assert url[0] + url[-1] == "<>"
    assert not set(url[1:-1]) & set(' "<>\\^`{|}\r\n')
    assert url.isascii()
    kept = dict(httpx.URL(url[1:-1]).params)
    assert kept == {**query, "page": answer.headers["X-Paging-NextKey"]}


@pytest.mark.parametrize(
    "prefix",
    [
        '/a>; rel="x"; <http://evil.example/',
        "/a b",
        "/%0d%0aX:y",
        "@evil.example",
        "//evil.example",
    ],
)
def test_a_prefix_cannot_end_the_link_it_is_part_of(client_of: Clients, source: str, prefix: str):
    link = _next(client_of(Options()), source, X_Forwarded_Prefix=prefix)

    assert re.fullmatch(r'<http://localhost/[^<>"\s]+>; rel="next"', link)


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ({"X_Forwarded_Host": "a>b"}, "Host"),
        ({"X_Forwarded_Port": "1 2"}, "Host"),
        ({"X_Forwarded_Proto": "javascript"}, "X-Forwarded-Proto"),
    ],
)
def test_an_address_that_is_none_is_400(client_of: Clients, headers: dict[str, str], field: str):
    answer = client_of(Options()).get("/flows", headers=_as_header(headers))

    assert (answer.status_code, answer.json["field"]) == (400, field)


def test_the_location_of_a_job_is_absolute(api: httpx.Client, client_of: Clients):
    path = f"/flows/{put_flow(api)}/segments"
    request: dict[str, Any] = {"json": external(0, 1_000), "headers": {"Prefer": "respond-async"}}

    found = api.post(path, **request)
    proxied = client_of(Options(public_url="https://tams.example/x")).post(path, **request)

    assert found.headers["location"] == f"{str(api.base_url).rstrip('/')}/jobs/{found.json()['id']}"
    assert api.get(found.headers["location"]).json()["id"] == found.json()["id"]
    assert proxied.headers["Location"] == f"https://tams.example/x/jobs/{proxied.json['id']}"
