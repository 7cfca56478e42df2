"""`/jobs` (an extension): lists, long polls, events, cancelling."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Thread
from typing import Any

import httpx
import pytest

from infra.broker.connection import Broker
from infra.broker.jobs import RedisJobs
from schemas.domain.identifiers import JobId
from schemas.domain.job import Fault
from tests.making import external, listed, new_id, pages, put_flow
from tests.services.running import Running
from tests.spec.conftest import create_job
from tests.spec.streams import opened

LATER = {"Prefer": "respond-async"}
_DEADLINE_S = 60.0


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - tests have no Clock port


def waiting_for(api: httpx.Client, job_id: str, **headers: str) -> httpx.Response:
    return api.get(f"/jobs/{job_id}", headers=headers)


def ended(api: httpx.Client, location: str) -> dict[str, Any]:
    """The job at `location` once it ended."""
    deadline = time.monotonic() + _DEADLINE_S
    while time.monotonic() < deadline:
        job: dict[str, Any] = api.get(location, headers={"Prefer": "wait=10"}).json()
        if "ended" in job:
            return job
    raise AssertionError(f"{location} does not end: {job}")


def registered(api: httpx.Client, flow: str, *bodies: dict[str, Any]) -> dict[str, Any]:
    """The ended job of a registration."""
    accepted = api.post(f"/flows/{flow}/segments", json=list(bodies), headers=LATER)
    assert accepted.status_code == 202
    return ended(api, accepted.headers["location"])


# --- lists -----------------------------------------------------------------------------


def test_jobs_are_listed_latest_first_in_pages_while_they_go_on_and_afterwards(
    api: httpx.Client, worker: RedisJobs
):
    flow = put_flow(api)
    made = [registered(api, flow, external(n * 1_000, (n + 1) * 1_000))["id"] for n in range(3)]
    made += [create_job(worker, flow_id=flow) for _ in range(2)]

    def found(**query: Any) -> list[str]:
        return [job["id"] for job in pages(api, "/jobs", {"limit": 2, "flow_id": flow, **query})]

    assert found() == made[::-1]
    assert found(reverse_order="true", sort_by="created") == made
    assert found(state="created") == made[:2:-1]
    assert found(state="done", kind="segments.register") == made[2::-1]
    assert found(kind="objects.copy") == []


def test_every_header_of_pages_is_given_with_jobs(api: httpx.Client, worker: RedisJobs):
    flow = new_id()
    for _ in range(2):
        create_job(worker, flow_id=flow)

    page = api.get("/jobs", params={"limit": 1, "flow_id": flow})

    told = {name: page.headers[f"x-paging-{name}"] for name in ("limit", "count", "reverse-order")}
    assert told == {"limit": "1", "count": "1", "reverse-order": "false"}
    assert page.headers["x-paging-nextkey"] in page.links["next"]["url"]
    assert page.links["next"]["url"].startswith(str(api.base_url))


def test_a_request_that_was_waited_for_has_no_job_in_the_list(api: httpx.Client):
    flow = put_flow(api)

    assert api.post(f"/flows/{flow}/segments", json=external(0, 1_000)).status_code == 201

    assert api.get("/jobs", params={"flow_id": flow}).json() == []


def test_an_archived_job_tells_timing_result_and_every_failure(api: httpx.Client, store: Running):
    flow = put_flow(api)
    bodies = [external(0, 10_000), external(1_000, 2_000), external(3_000, 4_000)]
    before = registered(api, flow, *bodies)

    _archived(store, before["id"])
    after = api.get(f"/jobs/{before['id']}").json()

    assert after == before
    assert (after["total"], after["done"], after["failed"]) == (3, 3, 2)
    failed = [failure["object_id"] for failure in after["failed_segments"]]
    assert failed == [body["object_id"] for body in bodies[1:]]
    assert after["created"] <= after["started"] <= after["ended"]
    assert after["duration_s"] > 0
    assert api.get(after["result"]).status_code == 200


def _archived(store: Running, job_id: str) -> None:
    """Wait until a job is on record, and have the broker forget it, as it would after minutes."""
    client = RedisJobs(Broker(store.facts["redis"]), changes_kept=1)._broker.redis
    deadline = time.monotonic() + _DEADLINE_S
    while client.zscore("tams:jobs", job_id) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    client.delete(f"tams:job:{job_id}", f"tams:job:{job_id}:failures")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("kind=chore", "kind"),
        ("state=lost", "state"),
        ("flow_id=me", "flow_id"),
        ("sort_by=size", "sort_by"),
        ("page=second", "page"),
        ("page=WzAsImxhYmVsIiwieCJd", "page"),
        ("colour=red", "colour"),
    ],
)
def test_a_list_of_jobs_that_cannot_be_meant_is_400(api: httpx.Client, query: str, field: str):
    refused = api.get(f"/jobs?{query}")

    assert (refused.status_code, refused.json()["field"]) == (400, field)


# --- one job ---------------------------------------------------------------------------


def test_a_version_that_is_known_is_304_until_there_is_another(
    api: httpx.Client, worker: RedisJobs
):
    job_id = create_job(worker)

    first = waiting_for(api, job_id)
    known = {"If-None-Match": first.headers["etag"]}
    same = waiting_for(api, job_id, **known)
    worker.advance(job_id, 1, now())
    other = waiting_for(api, job_id, **known)

    assert first.headers["etag"] == '"1"'
    assert first.headers["retry-after"] == "1"
    assert (same.status_code, same.headers["etag"]) == (304, '"1"')
    assert (other.status_code, other.headers["etag"], other.json()["done"]) == (200, '"2"', 1)


def test_a_long_poll_is_answered_as_soon_as_there_is_another_version(
    api: httpx.Client, worker: RedisJobs
):
    job_id = create_job(worker)
    with ThreadPoolExecutor(2) as pool:
        began = time.monotonic()
        until_changed = pool.submit(
            waiting_for, api, job_id, **{"Prefer": "wait=20", "If-None-Match": '"1"'}
        )
        until_ended = pool.submit(waiting_for, api, job_id, Prefer="wait=20")
        worker.advance(job_id, 1, now())
        changed = until_changed.result()
        worker.end(job_id, now())
        done = until_ended.result()
        took_s = time.monotonic() - began

    assert took_s < 10
    assert (changed.json()["state"], changed.headers["preference-applied"]) == (
        "started",
        "wait=20",
    )
    assert done.json()["state"] == "done"
    assert "retry-after" not in done.headers


def test_a_long_poll_ends_when_its_time_is_over(api: httpx.Client, worker: RedisJobs):
    job_id = create_job(worker)
    began = time.monotonic()

    known = waiting_for(api, job_id, **{"Prefer": "wait=1", "If-None-Match": '"1"'})
    unknown = waiting_for(api, job_id, Prefer="wait=1")

    assert (known.status_code, unknown.status_code) == (304, 200)
    assert 1.9 < time.monotonic() - began < 10


def test_nobody_waits_longer_than_the_service_lets_them(api: httpx.Client, worker: RedisJobs):
    job_id = create_job(worker)
    Thread(target=worker.end, args=(job_id, now())).start()

    granted = waiting_for(api, job_id, Prefer="wait=86400")

    assert granted.headers["preference-applied"] == "wait=30"


@pytest.mark.parametrize("prefer", ["wait=soon", "wait=-1", "wait", "wait=1.5", "handling=strict"])
def test_a_preference_that_cannot_be_meant_is_none(
    api: httpx.Client, worker: RedisJobs, prefer: str
):
    answer = waiting_for(api, create_job(worker), Prefer=prefer)

    assert answer.status_code == 200
    assert "preference-applied" not in answer.headers


def test_a_request_waits_as_long_as_is_preferred_before_it_is_202(api: httpx.Client):
    flow = put_flow(api)
    short = {"Prefer": "wait=0"}
    long = {"Prefer": "respond-async, wait=20"}

    at_once = api.post(f"/flows/{flow}/segments", json=external(0, 1_000), headers=short)
    in_time = api.post(f"/flows/{flow}/segments", json=external(1_000, 2_000), headers=long)
    deleted = api.delete(f"/flows/{flow}/segments", headers=long)
    deleting = api.delete(f"/flows/{flow}/segments", headers=short)

    assert (at_once.status_code, at_once.headers["preference-applied"]) == (202, "wait=0")
    assert (in_time.status_code, deleted.status_code) == (201, 204)
    assert (deleting.status_code, deleting.headers["preference-applied"]) == (202, "wait=0")


def test_a_copy_nobody_waits_for_is_a_job(api: httpx.Client, backend: dict[str, Any]):
    urls = [{"label": "elsewhere", "url": "gopher://elsewhere.example/a"}]
    flow, body = put_flow(api), external(0, 1_000) | {"get_urls": urls}
    assert api.post(f"/flows/{flow}/segments", json=body).status_code == 201

    accepted = api.post(
        f"/objects/{body['object_id']}/instances", json={"storage_id": backend["id"]}, headers=LATER
    )
    job = ended(api, accepted.headers["location"])

    assert (accepted.status_code, accepted.headers["preference-applied"]) == (202, "respond-async")
    assert accepted.headers["location"].startswith(str(api.base_url))
    assert (job["kind"], job["state"], job["total"], job["done"]) == ("objects.copy", "error", 1, 0)
    assert "gopher" in job["error"]["summary"]
    assert api.get(job["result"]).json()["id"] == body["object_id"]


# --- events ----------------------------------------------------------------------------


def test_events_of_a_job_arrive_while_it_goes_on_and_end_with_it(
    api: httpx.Client, worker: RedisJobs
):
    job_id = create_job(worker)

    with opened(api, f"/jobs/{job_id}/events") as events:
        seen = [next(events)]
        for done in (1, 2):  # each is received before the next is made
            worker.advance(job_id, done, now())
            seen.append(next(events))
        worker.end(job_id, now(), Fault("Invalid", "it cannot be", now()))
        seen += list(events)

    assert [(name, job["state"], job["done"]) for name, job in seen] == [
        ("job", "created", 0),
        ("job", "started", 1),
        ("job", "started", 2),
        ("job", "error", 2),
    ]
    assert seen[-1][1]["error"]["summary"] == "it cannot be"
    assert seen[-1][1] == api.get(f"/jobs/{job_id}").json()


def test_events_go_on_after_the_last_that_was_received(api: httpx.Client, worker: RedisJobs):
    job_id = create_job(worker)
    with opened(api, f"/jobs/{job_id}/events") as events:
        next(events)
    worker.advance(job_id, 1, now())
    worker.end(job_id, now())

    with opened(api, f"/jobs/{job_id}/events", **{"Last-Event-ID": events.last_id}) as again:
        missed = [(job["state"], job["done"]) for _, job in again]
    by_query = api.get(f"/jobs/{job_id}/events", params={"last_event_id": events.last_id})
    nothing = api.get(f"/jobs/{job_id}/events", headers={"Last-Event-ID": again.last_id})

    assert missed == [("started", 1), ("done", 1)]
    assert by_query.text.count("event: job") == 2
    assert nothing.status_code == 204


def test_a_client_that_missed_what_was_forgotten_is_told_to_begin_anew(
    api: httpx.Client, worker: RedisJobs
):
    job_id = create_job(worker)
    worker.end(job_id, now())
    worker._broker.redis.xtrim("tams:jobs:changes", maxlen=1, approximate=False)

    with opened(api, f"/jobs/{job_id}/events", **{"Last-Event-ID": "1-0"}) as events:
        seen = list(events)

    assert [name for name, _ in seen] == ["reset", "job"]
    assert seen[1][1]["state"] == "done"


def test_events_of_all_jobs_are_those_that_the_filters_let_through(
    api: httpx.Client, worker: RedisJobs
):
    flow = put_flow(api)
    with opened(api, f"/jobs/events?flow_id={flow}&kind=segments.register") as events:
        create_job(worker, flow_id=flow)
        accepted = api.post(f"/flows/{flow}/segments", json=external(0, 1_000), headers=LATER)
        seen = [next(events)[1] for _ in range(2)]

    assert {job["id"] for job in seen} == {accepted.json()["id"]}
    assert [job["state"] for job in seen] == ["created", "done"]


@pytest.mark.parametrize("path", ["/jobs/events", "/jobs/{}/events"])
@pytest.mark.parametrize("last", ["yesterday", "1", "-1-0", "1-0-0", "9" * 30 + "-0"])
def test_an_id_of_an_event_that_was_never_given_out_is_400(
    api: httpx.Client, worker: RedisJobs, path: str, last: str
):
    here = path.format(create_job(worker))

    by_header = api.get(here, headers={"Last-Event-ID": last})
    by_query = api.get(here, params={"last_event_id": last})

    assert (by_header.status_code, by_header.json()["field"]) == (400, "Last-Event-ID")
    assert (by_query.status_code, by_query.json()["field"]) == (400, "last_event_id")


def test_streams_that_were_left_make_place_for_others(api: httpx.Client, worker: RedisJobs):
    """Twice as many as may be open in all processes, one after the other."""
    job_id = create_job(worker)

    for _ in range(2 * 2 * 8):
        deadline = time.monotonic() + _DEADLINE_S
        while True:
            with api.stream("GET", f"/jobs/{job_id}/events") as response:
                if response.status_code == 200:
                    break
                assert (response.status_code, bool(response.headers["retry-after"])) == (503, True)
            worker.advance(job_id, 1, now())  # whose sending shows that nobody listens
            assert time.monotonic() < deadline


# --- cancel ----------------------------------------------------------------------------


def test_a_job_that_is_to_be_cancelled_says_so_until_it_is(api: httpx.Client, worker: RedisJobs):
    job_id = create_job(worker)

    asked = api.delete(f"/jobs/{job_id}", headers=LATER)
    meanwhile = api.get(asked.headers["location"])
    worker.end(job_id, now(), Fault("Cancelled", "it was cancelled", now()))
    again = api.delete(f"/jobs/{job_id}")
    job = api.get(f"/jobs/{job_id}").json()

    assert (asked.status_code, asked.headers["preference-applied"]) == (202, "respond-async")
    assert asked.json()["cancelling"] is True
    assert meanwhile.json()["cancelling"] is True
    assert again.status_code == 204
    assert (job["state"], job["error"]["type"]) == ("cancelled", "Cancelled")
    assert "cancelling" not in job


def test_a_deletion_of_many_segments_is_cancelled_and_what_it_left_stays(api: httpx.Client):
    flow = put_flow(api)
    registered(api, flow, *(external(n * 1_000, (n + 1) * 1_000) for n in range(2_500)))
    asked = api.delete(f"/flows/{flow}/segments", headers=LATER)

    cancelled = api.delete(f"/jobs/{asked.json()['id']}")

    request = api.get(asked.headers["location"]).json()
    if cancelled.status_code == 204:  # else the deletion was quicker
        assert (request["status"], request["error"]["type"]) == ("error", "Cancelled")
        assert listed(api, flow, limit=1000)
    else:
        assert (cancelled.status_code, request["status"]) == (400, "done")


def test_what_has_ended_and_the_deletion_of_a_flow_are_not_cancelled(api: httpx.Client):
    flow = put_flow(api)
    done = registered(api, flow, external(0, 1_000))
    going = api.delete(f"/flows/{flow}", headers=LATER).json()

    ended_before = api.delete(f"/jobs/{done['id']}")
    hidden_already = api.delete(f"/jobs/{going['id']}")

    assert (ended_before.status_code, hidden_already.status_code) == (400, 400)
    assert "has ended" in ended_before.json()["summary"]
    assert "hidden already" in hidden_already.json()["summary"]
    assert api.delete(f"/jobs/{JobId(new_id())}").status_code == 404
