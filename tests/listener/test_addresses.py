"""Addresses of feeds say what they are, and nothing secret of them prints."""

import json
from pathlib import Path

import pytest

from infra.feeds.address import FeedAddress, Scheme, parse_feeds
from infra.settings import Settings, SettingsError

SQS = "sqs://AKIDEXAMPLE:s%2Fcret@sqs.eu-west-1.amazonaws.com/123456789012/media?region=eu-west-1"
AMQP = "amqps://tams:s%2Fcret@rabbit.example:5671/studio/media"
KAFKA = "confluentkafka://tams:s%2Fcret@kafka.example/media?sasl.mechanism=PLAIN"
REDIS = "redis-list://:s%2Fcret@minio.example:6380/2/bucket%2Fevents"


def test_an_address_has_parts() -> None:
    sqs, amqp, kafka, listed = parse_feeds(json.dumps([SQS, AMQP, KAFKA, REDIS]))

    assert (sqs.scheme, sqs.path, sqs.user) == (
        Scheme.SQS,
        ("123456789012", "media"),
        "AKIDEXAMPLE",
    )
    assert sqs.options == {"region": "eu-west-1"}
    assert (amqp.host, amqp.port, amqp.path) == ("rabbit.example", 5671, ("studio", "media"))
    assert (kafka.port, kafka.path, kafka.options) == (
        None,
        ("media",),
        {"sasl.mechanism": "PLAIN"},
    )
    assert (listed.user, listed.password, listed.path) == ("", "s/cret", ("2", "bucket/events"))


def test_addresses_may_stand_between_commas() -> None:
    assert parse_feeds(f"{SQS}, {REDIS},") == parse_feeds(json.dumps([SQS, REDIS]))
    assert parse_feeds(" ") == ()


@pytest.mark.parametrize("url", [SQS, AMQP, KAFKA, REDIS])
def test_nothing_secret_prints(url: str) -> None:
    address = FeedAddress.parse(url)

    for text in (str(address), repr(address)):
        assert "cret" not in text
        assert "AKID" not in text
    assert address.host in str(address)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("https://secret@example/queue", "address 1: does not begin with one of sqs://, amqp://"),
        ("secret", "does not begin with one of"),
        ("amqp://user:sec/ret@host/queue", "the port is not a number"),
        ("amqp://user:secret@/queue", "amqp:// needs a host"),
        ("amqp://user:secret@host/", "the path of amqp://host is not .VHOST/.QUEUE"),
        ("amqp://user:secret@host/a/b/c", "is not .VHOST/.QUEUE"),
        ("sqs://user:secret@host/queue", "is not ACCOUNT/QUEUE"),
        ("redis-list://:secret@host/list", "is not DB/LIST"),
        ("redis-list://:secret@host/db/list", "with a number as DB"),
        (f"{SQS}&secret=secret", "has no option 'secret'"),
        (f"{AMQP},amqp://user:secret@host:99999999/queue", "address 2: the port"),
        ('["sqs://user:secret@host/queue"', "begins like a JSON list"),
        ('[{"secret": "secret"}]', "is not a list of texts"),
        ("amqp://[secret/queue", "does not begin with one of"),
    ],
)
def test_an_address_that_is_wrong_is_named_without_its_secrets(
    text: str, reason: str, tmp_path: Path
) -> None:
    environ = {"TAMS_DATA_DIR": str(tmp_path), "TAMS_INGEST_SOURCES": text}

    with pytest.raises(SettingsError, match=f"TAMS_INGEST_SOURCES: .*{reason}") as raised:
        Settings.from_env(environ)

    said = str(raised.value).replace("option 'secret'", "")
    assert "secret" not in said
    assert "sec/ret" not in said
    assert raised.value.__cause__ is None
