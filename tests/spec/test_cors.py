"""Web pages of the allowed origins may use the API, errors included; others may not."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from celery import Celery
from flask.testing import FlaskClient

from api import Options, create_app
from infra.bootstrap import build_ports
from tests.making import new_id
from tests.services.running import Running

HERE = "http://localhost:5173"
PREFLIGHT = {"Origin": HERE, "Access-Control-Request-Method": "PUT"}


@pytest.fixture(scope="module")
def client_of(store: Running) -> Callable[..., FlaskClient]:
    """A client of an API that allows the origins given, over the running store."""
    settings = store.settings
    ports = build_ports(settings, Celery(broker=settings.redis_url))

    def client(*origins: str, **broken: Any) -> FlaskClient:
        return create_app(replace(ports, **broken), Options(cors_origins=origins)).test_client()

    return client


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/flows", 200),
        ("/flows?limit=none", 400),
        (f"/flows/{new_id()}", 404),
        ("/nowhere", 404),
        ("/openapi.json", 200),
    ],
)
def test_a_page_of_an_allowed_origin_may_read_every_answer(
    api: httpx.Client, path: str, status: int
):
    answer = api.get(path, headers={"Origin": HERE})

    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == HERE
    assert answer.headers["vary"] == "Origin"
    assert {
        *("Link", "Location", "ETag", "Retry-After", "Preference-Applied", "X-Paging-Limit"),
        "Idempotency-Replayed",
        *("X-Paging-Count", "X-Paging-NextKey", "X-Paging-Reverse-Order", "X-Paging-Timerange"),
    } == set(answer.headers["access-control-expose-headers"].split(", "))


def test_a_page_may_read_of_a_wrong_method_and_of_bugs_too(client_of: Callable[..., FlaskClient]):
    origin = {"Origin": "https://app.example"}
    client = client_of("https://app.example", metadata=None)

    answers = [client.delete("/flows", headers=origin), client.get("/flows", headers=origin)]

    assert [answer.status_code for answer in answers] == [405, 500]
    for answer in answers:
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"


@pytest.mark.parametrize("path", ["/flows", "/flows/{}", "/nowhere", "/objects/a%2Fb", "/service"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"])
def test_a_preflight_is_answered_for_any_path_and_method(api: httpx.Client, path: str, method: str):
    wanted = "authorization, content-type, prefer, idempotency-key, last-event-id"
    headers = {
        "Origin": HERE,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": wanted,
    }

    answer = api.options(path.format(new_id()), headers=headers)

    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == HERE
    assert method in answer.headers["access-control-allow-methods"].split(", ")
    assert set(wanted.split(", ")) <= set(
        answer.headers["access-control-allow-headers"].lower().split(", ")
    )


@pytest.mark.parametrize(
    "origin",
    [
        *("http://localhost", "http://127.0.0.1", "http://127.0.0.1:4010", "http://localhost:80"),
    ],
)
def test_pages_of_this_machine_are_allowed_unless_set_otherwise(api: httpx.Client, origin: str):
    answer = api.get("/service", headers={"Origin": origin})

    assert answer.headers["access-control-allow-origin"] == origin


@pytest.mark.parametrize(
    "origin",
    [
        *("http://localhost.evil.example", "http://localhost:80.evil.example", "null", ""),
        *("https://localhost:5173", "http://localhost:5173/", "http://evil.example", "http://l"),
        *("xhttp://localhost:1", "http://127x0.0.1"),
    ],
)
def test_pages_of_other_origins_may_read_nothing(api: httpx.Client, origin: str):
    got = api.get("/service", headers={"Origin": origin})
    asked = api.options("/service", headers={**PREFLIGHT, "Origin": origin})

    for answer in (got, asked):
        assert not any(name.startswith("access-control") for name in answer.headers)
        assert answer.headers["vary"] == "Origin"


def test_caches_are_told_that_answers_differ_by_origin_even_if_none_was_named(api: httpx.Client):
    answer = api.get("/service")

    assert answer.headers["vary"] == "Origin"
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://app.tams.example", True),
        ("https://a.b.tams.example", True),
        ("https://tams.example", False),
        ("https://evil.example/.tams.example", False),
        ("https://evil-tams.example", False),
        ("https://app.tams.example:8443", False),
        ("https://other.example", True),
        ("https://otherxexample", False),
    ],
)
def test_subdomains_may_be_allowed(
    client_of: Callable[..., FlaskClient], origin: str, allowed: bool
):
    client = client_of("https://*.tams.example", "https://other.example")

    answer = client.get("/service", headers={"Origin": origin})

    assert answer.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)


def test_any_origin_may_be_allowed(client_of: Callable[..., FlaskClient]):
    client = client_of("*")

    for headers in ({}, {"Origin": "https://anywhere.example"}):
        answer = client.get("/service", headers=headers)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Vary" not in answer.headers


def test_origins_may_be_none(client_of: Callable[..., FlaskClient]):
    answer = client_of().get("/service", headers={"Origin": HERE})

    assert "Access-Control-Allow-Origin" not in answer.headers
