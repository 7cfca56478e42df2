"""`Idempotency-Key` (an extension): a POST that is repeated is answered, not done again."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.making import external, listed, new_id, put_flow


def repeated(
    api: httpx.Client, path: str, body: object, times: int = 2, **headers: str
) -> list[httpx.Response]:
    key = {"Idempotency-Key": new_id(), **headers}
    return [api.post(path, json=body, headers=key) for _ in range(times)]


def test_a_repeated_request_for_storage_allocates_once(api: httpx.Client):
    flow = put_flow(api)

    first, again, more = repeated(api, f"/flows/{flow}/storage", {"limit": 2}, 3)
    other = api.post(f"/flows/{flow}/storage", json={"limit": 2})

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json() == more.json() != other.json()
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["content-type"] == first.headers["content-type"]


def test_a_repeated_registration_nobody_waits_for_has_one_job(api: httpx.Client):
    flow = put_flow(api)
    body = [external(0, 1_000)]

    first, again = repeated(api, f"/flows/{flow}/segments", body, Prefer="respond-async")

    assert (first.status_code, again.status_code) == (202, 202)
    for name in ("location", "retry-after", "preference-applied"):
        assert first.headers[name] == again.headers[name]
    assert len(api.get("/jobs", params={"flow_id": flow}).json()) == 1


def test_an_answer_without_a_body_is_repeated_without_one(api: httpx.Client):
    flow = put_flow(api)

    first, again = repeated(api, f"/flows/{flow}/segments", external(0, 1_000))

    assert (first.status_code, again.status_code, again.content) == (201, 201, b"")
    assert "content-type" not in again.headers
    assert len(listed(api, flow)) == 1


def test_a_refusal_is_repeated_too(api: httpx.Client):
    flow, body = put_flow(api), {"limit": "all"}

    refused, again = repeated(api, f"/flows/{flow}/storage", body)
    absent, still = repeated(api, f"/flows/{new_id()}/storage", {})

    assert (refused.status_code, again.json()) == (400, refused.json())
    assert (absent.status_code, still.json()) == (404, absent.json())
    assert still.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("other", ["body", "path", "query"])
def test_a_key_of_another_request_is_refused(api: httpx.Client, other: str):
    flow, key = put_flow(api), {"Idempotency-Key": new_id()}
    path, body = f"/flows/{flow}/storage", {"limit": 1}
    assert api.post(path, json=body, headers=key).status_code == 201

    if other == "body":
        body = {"limit": 2}
    path = {"path": f"/flows/{put_flow(api)}/storage", "query": f"{path}?a=b"}.get(other, path)
    refused = api.post(path, json=body, headers=key)

    assert (refused.status_code, refused.json()["field"]) == (400, "Idempotency-Key")


@pytest.mark.parametrize("key", [b"", b"x" * 256, b"\xc3\xa9", b"a\tb"])
def test_a_key_that_is_none_is_refused(api: httpx.Client, key: bytes):
    flow = put_flow(api)

    refused = api.post(f"/flows/{flow}/storage", json={}, headers={b"Idempotency-Key": key})

    assert (refused.status_code, refused.json()["field"]) == (400, "Idempotency-Key")


def test_a_key_may_have_any_printable_characters(api: httpx.Client):
    key = {"Idempotency-Key": '"' + "~" * 200 + ' {}:,"'}
    flow = put_flow(api)

    answers = [api.post(f"/flows/{flow}/storage", json={}, headers=key) for _ in range(2)]

    assert answers[0].json() == answers[1].json()


def test_of_many_at_once_with_one_key_one_is_done(api: httpx.Client):
    flow, key = put_flow(api), {"Idempotency-Key": new_id()}

    def ask(_: int) -> Any:
        return api.post(f"/flows/{flow}/storage", json={"limit": 1}, headers=key)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(16)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert [answer.headers.get("idempotency-replayed") for answer in answers].count(None) == 1


def test_only_posts_are_repeatable(api: httpx.Client):
    key = {"Idempotency-Key": ""}

    assert api.get("/flows", headers=key).status_code == 200
