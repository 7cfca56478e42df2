"""S3 notifies SQS, and the queue is consumed: S3 and SQS as moto has them."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest

from schemas.domain.ingest import BucketEvent
from tasks import notices
from tasks.ports import Intake
from tests.http import samples
from tests.listener.conftest import taken
from tests.listener.following import Taker, followed
from tests.listener.servers import moto_server
from tests.making import new_id
from tests.waiting import eventually

REGION = "eu-west-1"


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with moto_server(tmp_path_factory.mktemp("moto") / "log") as endpoint:
        yield {
            "endpoint_url": endpoint,
            "region_name": REGION,
            "aws_access_key_id": "AKIDEXAMPLE",
            "aws_secret_access_key": "a/secret+key",
        }


class Queue:
    """A queue of its own for one test; what nobody acknowledges comes again after a second."""

    def __init__(self, aws: dict[str, str]) -> None:
        self._sqs = boto3.client("sqs", **aws)
        self.url = self._sqs.create_queue(
            QueueName=f"media-{new_id()}", Attributes={"VisibilityTimeout": "1"}
        )["QueueUrl"]
        self.arn = self._attribute("QueueArn")
        where = urlsplit(self.url)
        self.feed = f"sqs://AKIDEXAMPLE:a%2Fsecret%2Bkey@{where.netloc}{where.path}"
        self.feed += f"?region={REGION}&tls=no"

    def send(self, body: str) -> None:
        self._sqs.send_message(QueueUrl=self.url, MessageBody=body)

    @property
    def length(self) -> int:
        """Messages that were not acknowledged, whether begun or not."""
        begun = self._attribute("ApproximateNumberOfMessagesNotVisible")
        return int(begun) + int(self._attribute("ApproximateNumberOfMessages"))

    def _attribute(self, name: str) -> str:
        found = self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=[name])
        return str(found["Attributes"][name])


@pytest.fixture
def queue(aws: dict[str, str]) -> Queue:
    return Queue(aws)


@pytest.fixture
def bucket(aws: dict[str, str]) -> Any:
    bucket = boto3.resource("s3", **aws).Bucket(f"media-{new_id()}")
    bucket.create(CreateBucketConfiguration={"LocationConstraint": REGION})
    return bucket


EVENTS = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]


def test_what_happens_in_a_bucket_is_taken_over(queue: Queue, bucket: Any, intake: Intake) -> None:
    told = {"QueueConfigurations": [{"QueueArn": queue.arn, "Events": EVENTS}]}
    bucket.Notification().put(NotificationConfiguration=told)  # which sends a test event
    bucket.put_object(Key=samples.KEY, Body=b"x" * 1_000)
    bucket.Object("drop/b.ts").put(Body=b"y")
    bucket.Object("drop/b.ts").delete()

    with followed(queue.feed, lambda body: notices.take(intake, body, "test")):
        eventually(lambda: queue.length == 0)

    first, *others = sorted(taken(intake), key=lambda each: (each.time, each.event))
    assert (first.bucket, first.key, first.size) == (bucket.name, samples.KEY, 1_000)
    assert [(each.key, each.event) for each in others] == [
        ("drop/b.ts", BucketEvent.CREATED),
        ("drop/b.ts", BucketEvent.REMOVED),
    ]
    assert intake.dead_notices.all() == []


def test_what_comes_by_a_topic_of_sns_is_taken_over(
    aws: dict[str, str], queue: Queue, bucket: Any, intake: Intake
) -> None:
    sns = boto3.client("sns", **aws)
    topic = sns.create_topic(Name=f"media-{new_id()}")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    told = {"TopicConfigurations": [{"TopicArn": topic, "Events": EVENTS}]}
    bucket.Notification().put(NotificationConfiguration=told)
    bucket.put_object(Key=samples.KEY, Body=b"x")

    with followed(queue.feed, lambda body: notices.take(intake, body, "test")):
        eventually(lambda: queue.length == 0)

    assert [found.key for found in taken(intake)] == [samples.KEY]


def test_what_was_not_taken_comes_again(queue: Queue) -> None:
    taker = Taker(refuse=2)
    queue.send("a")

    with followed(queue.feed, taker):
        eventually(lambda: taker.taken)
        eventually(lambda: queue.length == 0)

    assert taker.refused == [b"a", b"a"]
    assert taker.taken == [b"a"]


def test_messages_come_as_they_are_whatever_kombu_may_think_of_them(queue: Queue) -> None:
    taker = Taker()
    bodies = ["{", '"text"', '{"properties": 1, "body": 2}', '{"properties": {}}', "[]"]
    for body in bodies:
        queue.send(body)

    with followed(queue.feed, taker):
        eventually(lambda: queue.length == 0)

    assert sorted(taker.taken) == sorted(body.encode() for body in bodies)
