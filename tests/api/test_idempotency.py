"""Answers are kept for who repeats a request, as far as they are worth it."""

import random
from dataclasses import replace
from typing import Any

import pytest
import redis

from infra.broker.answers import RedisAnswers
from infra.broker.connection import Broker
from tests.api.test_unavailable import client_of
from tests.making import new_id, video
from tests.services.running import Running

DAY_S = 86_400


@pytest.fixture
def answers(store: Running) -> RedisAnswers:
    """Room for about a mebibyte, and 16 KiB each."""
    client = redis.Redis.from_url(store.facts["redis"])
    client.delete(*client.keys("tams:answer*"), "tams:answers")
    return RedisAnswers(Broker(store.facts["redis"]), working_s=30, most_bytes=1 << 20)


def noise(size: int) -> bytes:
    """Bytes that cannot be made smaller."""
    return random.Random(size).randbytes(size)


def test_an_answer_is_kept_for_a_day(answers: RedisAnswers):
    assert answers.begin("a", "f") is None
    answers.keep("a", "f", b"done")

    kept = answers.begin("a", "f")

    assert (kept.fingerprint, kept.answer) == ("f", b"done")  # type: ignore[union-attr]
    assert DAY_S - 60 < answers._broker.redis.ttl("tams:answer:a") <= DAY_S


def test_a_request_that_goes_on_is_known_by_its_fingerprint_only_and_given_up_in_time(
    answers: RedisAnswers,
):
    answers.begin("a", "f")

    kept = answers.begin("a", "other")

    assert (kept.fingerprint, kept.answer) == ("f", None)  # type: ignore[union-attr]
    assert 0 < answers._broker.redis.ttl("tams:answer:a") <= 30


def test_a_request_that_was_dropped_is_taken_on_by_the_next(answers: RedisAnswers):
    answers.begin("a", "f")
    answers.drop("a", "f")

    assert answers.begin("a", "g") is None
    answers.drop("a", "f")  # late, and no longer its own
    answers.keep("a", "f", b"late")
    assert answers.begin("a", "g").answer is None  # type: ignore[union-attr]


def test_an_answer_that_is_too_large_is_not_kept(answers: RedisAnswers):
    answers.begin("a", "f")
    answers.keep("a", "f", noise(1 << 15))

    assert answers.begin("a", "f") is None


def test_the_oldest_answers_go_when_all_together_are_too_large(answers: RedisAnswers):
    for number in range(100):
        answers.begin(str(number), "f")
        answers.keep(str(number), "f", noise(15_000))

    kept = [n for n in range(100) if answers._broker.redis.exists(f"tams:answer:{n}")]

    assert kept == list(range(kept[0], 100))
    assert 60 <= len(kept) <= 70
    size = sum(answers._broker.redis.strlen(f"tams:answer:{n}") for n in kept)
    assert int(answers._broker.redis.get("tams:answers:size") or 0) == size <= 1 << 20


def test_an_answer_of_500_and_more_is_not_kept(store: Running, dead: str):
    flow = video(new_id())
    client = client_of(store.environ)
    client.put(f"/flows/{flow['id']}", json=flow)
    down = client_of({**store.environ, "TAMS_VAST_ENDPOINT": f"http://{dead}"})
    request: dict[str, Any] = {"json": {"limit": 1}, "headers": {"Idempotency-Key": new_id()}}

    answered = [
        app.post(f"/flows/{flow['id']}/storage", **request) for app in (down, client, client)
    ]

    assert [answer.status_code for answer in answered] == [503, 201, 201]
    assert "Idempotency-Replayed" not in answered[1].headers
    assert answered[2].headers["Idempotency-Replayed"] == "true"


def test_a_repeat_while_the_first_still_goes_on_is_503(store: Running, answers: RedisAnswers):
    client = client_of(store.environ)
    ports = client.application.extensions["tams"]
    path, request = f"/flows/{new_id()}/storage", {"json": {}, "headers": {"Idempotency-Key": "k"}}
    seen: list[Any] = []

    class Slow:
        """The first request takes on its key, and is repeated before it is answered."""

        def __getattr__(self, name: str) -> Any:
            return getattr(ports.answers, name)

        def keep(self, *arguments: Any) -> None:
            seen.append(repeater.post(path, **request))
            ports.answers.keep(*arguments)

    limits = replace(ports.limits, async_after_s=0.05)
    client.application.extensions["tams"] = replace(ports, answers=Slow())
    repeater = client_of(store.environ)
    repeater.application.extensions["tams"] = replace(ports, limits=limits)
    first = client.post(path, **request)

    assert (first.status_code, seen[0].status_code) == (404, 503)
    assert seen[0].headers["Retry-After"]
    assert repeater.post(path, **request).headers["Idempotency-Replayed"] == "true"


def test_without_the_broker_a_request_with_a_key_is_not_begun(store: Running, dead: str):
    flow = video(new_id())
    client_of(store.environ).put(f"/flows/{flow['id']}", json=flow)
    down = client_of({**store.environ, "TAMS_REDIS_URL": f"redis://{dead}/0"})

    with_key = down.post(f"/flows/{flow['id']}/storage", json={}, headers={"Idempotency-Key": "k"})
    without = down.post(f"/flows/{flow['id']}/storage", json={})

    assert (with_key.status_code, without.status_code) == (503, 201)
