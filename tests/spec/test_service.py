"""Rules of GET and POST /service."""

from typing import Any

import httpx
import pytest


def _said(api: httpx.Client) -> tuple[Any, Any]:
    service = api.get("/service").json()
    return service.get("name"), service.get("description")


def test_a_service_is_named_and_described_and_what_is_not_given_stays(api: httpx.Client):
    both = api.post("/service", json={"name": "Hall 3", "description": "All of it"})
    renamed = api.post("/service", json={"name": "Hall 4", "unheard": ["of"]})
    nothing = api.post("/service", json={})

    assert [answer.status_code for answer in (both, renamed, nothing)] == [200] * 3
    assert both.json()["name"] == "Hall 3"
    assert nothing.json() == renamed.json() == api.get("/service").json()
    assert _said(api) == ("Hall 4", "All of it")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"name": 5}', "name"),
        (b'{"name": null}', "name"),
        (b'{"name": "new", "description": ["a"]}', "description"),
        (b"[]", None),
        (b'"name"', None),
        (b"", None),
        (b"{", None),
    ],
)
def test_a_description_of_the_service_that_cannot_be_meant_changes_nothing(
    api: httpx.Client, body: bytes, field: str | None
):
    before = _said(api)

    refused = api.post("/service", content=body)

    assert (refused.status_code, refused.json().get("field")) == (400, field)
    assert _said(api) == before


def test_the_event_stream_that_is_offered_can_be_followed(api: httpx.Client):
    mechanisms = api.get("/service").json()["event_stream_mechanisms"]
    (offered,) = (m for m in mechanisms if m["name"] == "tams-server.server-sent-events")

    assert api.head(offered["config"]["url"]).headers["content-type"] == "text/event-stream"
    assert api.get(offered["docs"]).status_code == 200
