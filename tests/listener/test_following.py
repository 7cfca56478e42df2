"""A feed is followed whatever happens, and a message of ours to blame stands in nobody's way."""

import logging
from collections.abc import Callable
from threading import Event

import pytest

from infra.feeds.feed import Take, follow
from schemas.domain.errors import Unavailable
from tasks import notices
from tasks.ports import Intake
from workers.feeds import _take


class Feed:
    """Fails as often as it is told to, brings one message, and ends."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    def run(self, take: Take, stopped: Event) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionResetError("gone")
        take(b"message")
        stopped.set()


def test_a_feed_that_fails_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    taken: list[bytes] = []

    with caplog.at_level(logging.WARNING):
        follow(Feed(failures=3), "sqs://host/1/queue", taken.append, Event(), pause_s=0.001)

    assert taken == [b"message"]
    assert [record.getMessage() for record in caplog.records] == [
        f"sqs://host/1/queue: ConnectionResetError: gone; trying again in {pause:g} s"
        for pause in (0.001, 0.002, 0.004)
    ]


def test_a_message_that_meets_a_fault_of_the_store_is_kept(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "notifications", raising(ZeroDivisionError("a bug")))

    _take(intake, "amqp://host/queue", b"{}")

    (dead,) = intake.dead_notices.all()
    assert (dead.body, dead.origin) == (b"{}", "amqp://host/queue")
    assert "ZeroDivisionError('a bug')" in dead.reason


def test_a_message_that_cannot_be_made_durable_is_not_acknowledged(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices.ingest, "accept", raising(Unavailable()))

    with pytest.raises(Unavailable):
        _take(intake, "amqp://host/queue", b'{"Records": []}')


def raising(error: Exception) -> Callable[..., None]:
    def fails(*_: object) -> None:
        raise error

    return fails
