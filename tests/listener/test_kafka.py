"""A topic of Kafka is consumed by kombu: a cluster of librdkafka's own, spoken to by its client.

It speaks Kafka's protocol over TCP, with consumer groups and their offsets, in this process.
"""

import builtins
import json
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Producer

from infra.feeds.address import FeedAddress
from infra.feeds.feed import open_feed
from infra.settings import SettingsError
from tasks import notices
from tasks.ports import Intake
from tests.http import samples
from tests.listener.conftest import taken
from tests.listener.following import Taker, followed
from tests.making import new_id
from tests.waiting import eventually


@pytest.fixture(scope="module")
def kafka() -> Iterator[str]:
    cluster = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "unused", "log_level": 0})
    (broker,) = cluster.list_topics(timeout=10).brokers.values()
    yield f"{broker.host}:{broker.port}"
    cluster.flush()


class Topic:
    """A topic of its own for one test."""

    def __init__(self, kafka: str) -> None:
        self.name = f"media-{new_id()}"
        # This cluster believes a consumer that left to be there until its session times out.
        options = f"group.id={self.name}&session.timeout.ms=6000"
        self.feed = f"confluentkafka://{kafka}/{self.name}?{options}"
        self._producer = Producer({"bootstrap.servers": kafka, "log_level": 0})

    def send(self, *bodies: bytes | None) -> None:
        for body in bodies:
            self._producer.produce(self.name, body, partition=0)
        assert self._producer.flush(10) == 0


@pytest.fixture
def topic(kafka: str) -> Topic:
    return Topic(kafka)


def test_notifications_are_taken_over(topic: Topic, intake: Intake) -> None:
    topic.send(json.dumps(samples.VAST).encode(), b"nonsense", json.dumps(samples.VAST).encode())
    taker = Taker()

    def take(body: bytes) -> None:
        notices.take(intake, body, "test")
        taker(body)

    with followed(topic.feed, take):
        eventually(lambda: len(taker.taken) == 3)

    (found,) = taken(intake)
    assert (found.origin, found.keys) == ("vast:s3", (samples.ENCODED, samples.KEY))


def test_what_was_taken_does_not_come_again_and_what_was_not_does(topic: Topic) -> None:
    first, second = Taker(refuse=1), Taker()
    topic.send(b"a", b"b")

    with followed(topic.feed, first):
        eventually(lambda: len(first.taken) == 2)
    topic.send(b"c")
    with followed(topic.feed, second):
        eventually(lambda: second.taken)

    assert first.refused == [b"a"]
    assert first.taken == [b"a", b"b"]
    assert second.taken == [b"c"]


def test_messages_come_as_they_are_whatever_kombu_may_think_of_them(topic: Topic) -> None:
    taker = Taker()
    topic.send(b"\xff", b"7", b'{"properties": 1}', None)

    with followed(topic.feed, taker):
        eventually(lambda: len(taker.taken) == 4)

    assert taker.taken == [b"\xff", b"7", b'{"properties": 1}', b""]


def test_without_its_package_the_feed_says_which_extra_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    imported = builtins.__import__

    def without_kafka(name: str, *args: Any) -> Any:
        if name == "infra.feeds.kafka":
            raise ModuleNotFoundError("No module named 'confluent_kafka'")
        return imported(name, *args)

    monkeypatch.setattr(builtins, "__import__", without_kafka)

    with pytest.raises(SettingsError, match=r"pip install 'tams-server\[kafka\]'"):
        open_feed(FeedAddress.parse("confluentkafka://host/topic"))
