"""Notifications of every dialect come to one normal form, or say why not."""

import copy
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.domain.errors import Invalid
from schemas.domain.ingest import BucketEvent, Notification
from schemas.http.s3_events import Subscription, decoded, notifications, subscription
from tests.http import samples

AT = datetime(2026, 5, 4, 10, 11, 12, tzinfo=UTC)
MS = timedelta(milliseconds=1)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside),
    max_leaves=10,
)


def only(message: object) -> Notification:
    (notification,) = notifications(message)
    return notification


@pytest.mark.parametrize("dialect", samples.EVERY_DIALECT)
def test_every_dialect_tells_of_bucket_key_size_and_etag(dialect: str) -> None:
    found = only(samples.EVERY_DIALECT[dialect])

    assert found.bucket == "media"
    assert samples.KEY in found.keys
    assert found.size == 1024
    assert (found.etag or "").removesuffix("-2") == samples.ETAG
    assert found.event is BucketEvent.CREATED
    assert found.identity is not None


def test_aws_tells_of_version_and_order() -> None:
    assert only(samples.AWS) == Notification(
        "media",
        samples.KEY,
        "aws:s3",
        size=1024,
        etag=samples.ETAG,
        version_id=samples.VERSION,
        sequencer="0055AED6DCD90281E5",
        time=AT + 345 * MS,
    )


def test_an_event_that_comes_by_sns_or_eventbridge_as_well_is_the_same() -> None:
    direct = only(samples.AWS)

    assert only(samples.in_sns(samples.AWS)) == direct
    assert only(samples.in_sns(samples.in_sns(samples.AWS))) == direct
    assert only(samples.EVENTBRIDGE).identity == direct.identity
    assert only(samples.EVENTBRIDGE).origin == direct.origin


@pytest.mark.parametrize(
    ("message", "keys"),
    [
        (samples.MINIO, (samples.KEY,)),  # encoded, as it is known
        (samples.EVENTBRIDGE, (samples.KEY,)),  # not encoded, as it is known
        (samples.SEAWEEDFS, (samples.KEY,)),
        (samples.VAST, (samples.ENCODED, samples.KEY)),
        (samples.RUSTFS, (samples.ENCODED, samples.KEY)),
        (samples.CEPH, (samples.KEY, "drop/ä b cA.ts")),
    ],
)
def test_a_key_of_unknown_encoding_is_kept_both_ways(message: object, keys: tuple[str]) -> None:
    assert only(message).keys == keys


def test_a_key_that_reads_the_same_either_way_is_one_key() -> None:
    message = changed(samples.VAST, "object", key="drop/a.ts")

    assert only(message).keys == ("drop/a.ts",)


def test_a_key_that_cannot_be_an_encoded_one_is_none() -> None:
    assert only(changed(samples.CEPH, "object", key="100%/%ff")).keys == ("100%/%ff",)


def test_ceph_says_the_order_as_numbers_in_memory() -> None:
    early, late = AT, AT + timedelta(seconds=300)

    def at(time: datetime, order: Any) -> Notification:
        memory = int(time.timestamp()).to_bytes(4, order) + (7).to_bytes(4, order)
        message = changed(samples.CEPH, "object", sequencer=memory.hex().upper())
        message["Records"][0]["eventTime"] = time.isoformat()
        return only(message)

    for order in ("little", "big"):
        assert str(at(early, order).sequencer) < str(at(late, order).sequencer)
        assert at(early, order).sequencer == f"{int(early.timestamp()):08X}00000007"


@pytest.mark.parametrize("sequencer", ["0000000000000000", "not hexadecimal", "C070F869", None])
def test_a_sequencer_of_ceph_that_fits_no_time_says_nothing(sequencer: str | None) -> None:
    assert only(changed(samples.CEPH, "object", sequencer=sequencer)).sequencer is None


@pytest.mark.parametrize("version", ["", "null", None])
def test_an_object_without_versions_has_none(version: str | None) -> None:
    assert only(changed(samples.AWS, "object", versionId=version)).version_id is None


def test_the_etag_of_a_multipart_upload_stays_as_it_is() -> None:
    assert only(samples.CEPH).etag == f"{samples.ETAG}-2"


@pytest.mark.parametrize(
    "message",
    [
        samples.AWS_TEST,
        samples.in_sns(samples.AWS_TEST),
        samples.SNS_CONFIRMATION,
        {"Records": []},
        {"Records": [{**samples.AWS["Records"][0], "eventName": "ObjectTagging:Put"}]},
        {**samples.EVENTBRIDGE, "detail-type": "Object Tags Added"},
    ],
)
def test_what_tells_of_no_object_is_dropped(message: object) -> None:
    assert notifications(message) == []


@pytest.mark.parametrize(
    ("message", "key"),
    [
        (samples.AWS_REMOVED, "drop/gone.ts"),
        (
            {"Records": [{**samples.AWS["Records"][0], "eventName": "LifecycleExpiration:Delete"}]},
            samples.KEY,
        ),
        ({**samples.EVENTBRIDGE, "detail-type": "Object Deleted"}, samples.KEY),
        (samples.SEAWEEDFS_DELETE, samples.KEY),
    ],
)
def test_removals_are_told_apart(message: object, key: str) -> None:
    found = only(message)

    assert (found.event, found.key) == (BucketEvent.REMOVED, key)
    assert found.identity is not None
    assert found.identity.startswith("removed ")


def test_several_records_are_several_notifications() -> None:
    records = samples.AWS["Records"] + samples.AWS_REMOVED["Records"]

    assert len(notifications({"Records": records})) == 2


@pytest.mark.parametrize(
    "key", ["/buckets/media", "/buckets/.system/owners/x", "/buckets/media/.uploads/1/a.part", "/x"]
)
def test_what_is_no_file_of_a_bucket_of_seaweedfs_is_dropped(key: str) -> None:
    assert notifications({**samples.SEAWEEDFS, "key": key}) == []


def test_a_directory_of_seaweedfs_is_dropped() -> None:
    message = copy.deepcopy(samples.SEAWEEDFS)
    message["message"]["new_entry"]["is_directory"] = True

    assert notifications(message) == []


def test_a_file_that_moved_within_seaweedfs_went_and_came() -> None:
    message = copy.deepcopy(samples.SEAWEEDFS)
    message["event_type"] = "rename"
    message["message"]["old_entry"] = copy.deepcopy(message["message"]["new_entry"])
    message["message"]["new_entry"]["name"] = "b.ts"
    message["message"]["new_parent_path"] = "/buckets/media/done"

    went, came = notifications(message)

    assert (went.event, went.key) == (BucketEvent.REMOVED, samples.KEY)
    assert (came.event, came.key) == (BucketEvent.CREATED, "done/b.ts")


def test_seaweedfs_tells_when_the_last_byte_was_written() -> None:
    assert only(samples.SEAWEEDFS).time == AT + timedelta(microseconds=345678)


def changed(message: dict[str, Any], part: str, **fields: Any) -> dict[str, Any]:
    """`message` with other `fields` in the `part` of its first record's `s3`."""
    copied = copy.deepcopy(message)
    copied["Records"][0]["s3"][part].update(fields)
    return copied


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (7, "the message is not an object"),
        ({}, "of a known form"),
        ([], "access log"),
        ({"Type": [], "TopicArn": ""}, "of a known form"),
        ({"Records": {}}, "Records is not a list"),
        ({"Records": [1]}, r"Records\[0\] is not an object"),
        ({"Records": [{}]}, r"Records\[0\].eventName is missing"),
        (changed(samples.AWS, "bucket", name=""), r"Records\[0\].s3.bucket.name is missing"),
        (changed(samples.AWS, "bucket", name=7), r"s3.bucket.name is not a text"),
        (changed(samples.AWS, "object", key=None), r"s3.object.key is missing"),
        (changed(samples.AWS, "object", key="%ff"), "is not encoded UTF-8"),
        (changed(samples.AWS, "object", key="a" * 1025), "1025 bytes"),
        (changed(samples.AWS, "object", key="a/../b"), "no object can be asked for"),
        (changed(samples.AWS, "object", key="a%00b"), "no object can be asked for"),
        (changed(samples.VAST, "object", size="many"), "size is not a count"),
        (changed(samples.VAST, "object", size=-1), "size is not a count"),
        (changed(samples.VAST, "object", size=True), "size is not a count"),
        ({"Records": [{**samples.AWS["Records"][0], "eventTime": "noon"}]}, "not a time: 'noon'"),
        ({**samples.EVENTBRIDGE, "detail": None}, "detail.bucket.name is missing"),
        ({**samples.SEAWEEDFS, "message": 1}, "message is not an object"),
        ({**samples.SEAWEEDFS, "key": None}, "key is missing"),
        ({**samples.in_sns({}), "Message": "Hello"}, "not JSON"),
    ],
)
def test_what_cannot_be_read_says_why(message: object, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        notifications(message)


@given(st.binary() | st.text())
def test_bytes_are_json_or_invalid(body: bytes | str) -> None:
    with suppress(Invalid):
        decoded(body)


@given(JSON)
def test_any_json_is_read_or_invalid(message: object) -> None:
    with suppress(Invalid):
        notifications(message)
    with suppress(Invalid):
        subscription(message)


@given(st.data())
def test_a_message_with_anything_in_place_of_a_part_is_read_or_invalid(data: st.DataObject) -> None:
    message = copy.deepcopy(data.draw(st.sampled_from(list(samples.EVERY_DIALECT.values()))))
    place, name = data.draw(st.sampled_from(list(places(message))))
    place[name] = data.draw(JSON | st.just("9999-12-31T23:59:59-23:59") | st.just("0" * 16))

    with suppress(Invalid):
        notifications(message)


def places(value: Any) -> Any:
    """Every container and name or number in it, within `value`."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, inside in items:
        yield value, name
        if isinstance(inside, dict | list):
            yield from places(inside)


def test_deeply_nested_json_is_invalid() -> None:
    with pytest.raises(Invalid, match="not JSON"):
        decoded("[" * 100_000)


def test_a_subscription_says_what_to_open_for_which_topic() -> None:
    assert subscription(samples.SNS_CONFIRMATION) == Subscription(
        samples.TOPIC, samples.CONFIRM_URL
    )
    assert subscription(samples.in_sns(samples.AWS)) is None
    assert subscription(json.loads(json.dumps(samples.MINIO_REDIS_ACCESS))) is None


@pytest.mark.parametrize(
    ("url", "trusted"),
    [
        (samples.CONFIRM_URL, True),
        (samples.CONFIRM_URL.replace(".amazonaws.com", ".amazonaws.com.cn"), True),
        (samples.CONFIRM_URL.replace("https:", "http:"), False),
        (samples.CONFIRM_URL.replace("sns.", "sqs."), False),
        (samples.CONFIRM_URL.replace("sns.eu-west-1.", "sns."), False),
        (samples.CONFIRM_URL.replace(".amazonaws.com", ".amazonaws.com.evil.example"), False),
        (samples.CONFIRM_URL.replace("https://", "https://evil.example/?"), False),
        (samples.CONFIRM_URL.replace("https://", "https://evil.example#"), False),
        (samples.CONFIRM_URL.replace("https://", "https://me@"), False),
        (samples.CONFIRM_URL.replace(".com/", ".com:8443/"), False),
        (samples.CONFIRM_URL.replace(":media", ":other"), False),
        (samples.CONFIRM_URL.replace("ConfirmSubscription", "Unsubscribe"), False),
        ("https://[", False),
        ("", False),
    ],
)
def test_only_an_address_of_sns_that_confirms_the_topic_is_trusted(url: str, trusted: bool) -> None:
    assert Subscription(samples.TOPIC, url).can_be_trusted is trusted
