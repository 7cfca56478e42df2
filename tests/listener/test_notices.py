"""What repeats or is overtaken is let go; what cannot be read is kept with its reason."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from infra.broker.connection import Broker
from infra.broker.dead_notices import RedisDeadNotices
from schemas.domain.errors import Invalid, NotFound, Unavailable
from schemas.domain.ingest import BucketEvent, Notification
from tasks import notices
from tasks.ports import Intake
from tests.http import samples
from tests.listener.conftest import taken
from tests.services.running import Running

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def told(key: str = "drop/a.ts", **fields: Any) -> Notification:
    return Notification("media", key, "aws:s3", **fields)


def test_a_notification_waits_as_it_was_told(intake: Intake) -> None:
    everything = Notification(
        "media",
        "ä b",
        "vast:s3",
        BucketEvent.REMOVED,
        size=0,
        etag="e",
        version_id="v",
        sequencer="0A",
        time=NOW,
        decoded_key="ä%20b",
    )

    intake.notices.append([everything, told()])

    assert taken(intake) == [everything, told()]


def test_one_of_an_earlier_release_can_still_be_read(intake: Intake, client: redis.Redis) -> None:
    client.xadd("tams:notices", {"bucket": "media", "key": "a", "origin": "seaweedfs"})

    assert taken(intake) == [Notification("media", "a", "seaweedfs")]


def test_the_same_event_a_thousand_times_is_taken_once(intake: Intake) -> None:
    for _ in range(1_000):
        intake.notices.append([told(etag="e", sequencer="0A")])

    assert taken(intake) == [told(etag="e", sequencer="0A")]


def test_an_event_that_comes_again_later_is_let_go(intake: Intake) -> None:
    intake.notices.append([told(version_id="v1", sequencer="0B")])
    assert len(taken(intake)) == 1

    intake.notices.append([told(version_id="v1", sequencer="0B")])
    intake.notices.append([told(version_id="v0", sequencer="0A")])  # overtaken
    intake.notices.append([told("drop/b.ts", version_id="v0", sequencer="0A")])

    assert [found.key for found in taken(intake)] == ["drop/b.ts"]


def test_what_is_no_news_does_not_hide_what_is(intake: Intake) -> None:
    repeated = told(etag="e", sequencer="0A")
    intake.notices.append([repeated])
    taken(intake)
    intake.notices.append([repeated] * 200 + [told("drop/b.ts", etag="e", sequencer="0A")])

    with intake.notices.take(50) as batch:
        assert [noticed.notification.key for noticed in batch] == ["drop/b.ts"]


def test_order_is_kept_within_one_batch(intake: Intake) -> None:
    order = ["0B", "0A", "0C", "0B"]

    intake.notices.append([told(etag="e", sequencer=each) for each in order])

    assert [found.sequencer for found in taken(intake)] == ["0B", "0C"]


def test_what_cannot_be_told_apart_is_taken_every_time(intake: Intake) -> None:
    intake.notices.append([told(), told()])

    assert len(taken(intake)) == 2


def test_nothing_is_remembered_of_what_was_not_done(intake: Intake) -> None:
    once = told(etag="e", sequencer="0A")
    intake.notices.append([once, once])

    with suppress(Unavailable), intake.notices.take(50):
        raise Unavailable

    with intake.notices.take(50) as batch:
        assert [(noticed.notification, noticed.attempts) for noticed in batch] == [(once, 1)]
    assert not intake.notices.waiting()


def test_what_is_remembered_is_forgotten_by_itself(intake: Intake, client: redis.Redis) -> None:
    intake.notices.append([told(etag="e", sequencer="0A")])
    taken(intake)

    (key,) = client.keys("tams:notices:handled:*")
    assert 0 < client.ttl(key) <= 3_600


@pytest.mark.parametrize("dialect", samples.EVERY_DIALECT)
def test_every_dialect_is_made_durable(intake: Intake, dialect: str) -> None:
    notices.take(intake, json.dumps(samples.EVERY_DIALECT[dialect]).encode(), "test")

    (found,) = taken(intake)
    assert samples.KEY in found.keys


def test_a_message_that_cannot_be_read_is_kept_with_its_reason(intake: Intake) -> None:
    notices.take(intake, b"\xff{", "sqs://host/1/queue")

    assert taken(intake) == []
    (dead,) = intake.dead_notices.all()
    assert (dead.body, dead.origin) == (b"\xff{", "sqs://host/1/queue")
    assert "not JSON" in dead.reason
    assert abs((dead.time - intake.clock.now()).total_seconds()) < 60
    assert intake.dead_notices.get(dead.id) == dead


def test_a_dead_notice_that_can_be_read_now_is_taken_over(intake: Intake) -> None:
    notices.bury(intake, json.dumps(samples.AWS).encode(), "test", "an earlier release could not")
    (dead,) = intake.dead_notices.all()

    notices.replay(intake, dead.id)

    assert [found.key for found in taken(intake)] == [samples.KEY]
    assert intake.dead_notices.all() == []


def test_a_dead_notice_that_still_cannot_be_read_stays(intake: Intake) -> None:
    notices.take(intake, b"{}", "test")
    (dead,) = intake.dead_notices.all()

    with pytest.raises(Invalid, match="of a known form"):
        notices.replay(intake, dead.id)

    assert intake.dead_notices.get(dead.id) == dead


def test_a_dead_notice_can_be_discarded_once(intake: Intake) -> None:
    notices.take(intake, b"{}", "test")
    (dead,) = intake.dead_notices.all()

    discarded = [intake.dead_notices.discard(name) for name in (dead.id, dead.id, "no id at all")]

    assert discarded == [True, False, False]
    assert intake.dead_notices.get(dead.id) is None
    with pytest.raises(NotFound, match=dead.id):
        notices.replay(intake, dead.id)


def test_dead_notices_do_not_grow_for_ever(
    intake: Intake, broker: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RedisDeadNotices, "_MOST", 3)
    monkeypatch.setattr(RedisDeadNotices, "_LONGEST", 4)
    dead = RedisDeadNotices(Broker(broker.facts["redis"]))

    for number in range(5):
        dead.add(b"%d" % number * 10, "test", "long", NOW)

    assert [each.body for each in dead.all()] == [b"2222", b"3333", b"4444"]
    assert "first 4 of 10 bytes" in dead.all()[0].reason
