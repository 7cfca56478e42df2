"""Who waits for news of jobs takes a thread, and there are only so many."""

import httpx
import pytest

from infra.broker.connection import Broker
from infra.broker.jobs import RedisJobs
from tests.api.test_unavailable import client_of
from tests.services.running import Running
from tests.spec.conftest import create_job


@pytest.fixture
def job_id(store: Running) -> str:
    return create_job(RedisJobs(Broker(store.facts["redis"]), changes_kept=10_000))


def test_one_more_than_may_follow_is_503_until_another_has_left(store: Running, job_id: str):
    client = client_of({**store.environ, "TAMS_API_FOLLOWERS": "1"})
    path = f"/jobs/{job_id}/events"

    first = client.get(path, buffered=False)
    second = client.get(path)
    first.close()
    third = client.get(path, buffered=False)

    assert (first.status_code, second.status_code, third.status_code) == (200, 503, 200)
    assert second.headers["Retry-After"]
    assert "too many follow jobs" in second.json["summary"]
    third.close()


def test_a_stream_that_cannot_be_opened_takes_no_place(store: Running, job_id: str):
    client = client_of({**store.environ, "TAMS_API_FOLLOWERS": "1"})

    absent = [client.get("/jobs/00000000-0000-4000-8000-000000000000/events") for _ in range(2)]
    head = [client.head(f"/jobs/{job_id}/events") for _ in range(2)]
    opened = client.get(f"/jobs/{job_id}/events", buffered=False)

    assert [answer.status_code for answer in (*absent, *head)] == [404, 404, 200, 200]
    assert opened.status_code == 200
    opened.close()


def test_without_a_place_a_long_poll_is_answered_at_once(store: Running, job_id: str):
    client = client_of({**store.environ, "TAMS_API_FOLLOWERS": "0"})

    answer = client.get(f"/jobs/{job_id}", headers={"Prefer": "wait=20"})

    assert (answer.status_code, answer.headers["Preference-Applied"]) == (200, "wait=0")


def test_without_the_broker_jobs_are_503_and_never_absent(store: Running, dead: str):
    client = client_of({**store.environ, "TAMS_REDIS_URL": f"redis://{dead}/0"})
    job = "/jobs/00000000-0000-4000-8000-000000000000"

    for path in ("/jobs", job, f"{job}/events", "/jobs/events"):
        assert client.get(path).status_code == 503, path
    assert client.delete(job).status_code == 503


def test_an_open_stream_does_not_keep_the_others_from_being_answered(
    store: Running, api: httpx.Client, job_id: str
):
    with api.stream("GET", f"/jobs/{job_id}/events") as response:
        assert next(response.iter_lines())

        assert api.get("/flows").status_code == 200
