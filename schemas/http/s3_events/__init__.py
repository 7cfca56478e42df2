"""Bucket notifications of every dialect -> the normal form.

* `notifications` recognises the dialect by the shape of the message; nobody has to say which.
* A message tells of no object (a test event, a change of tags), of one or of several. What
  cannot be read raises `Invalid` naming the part at fault, and nothing else is ever raised.
* Names of events lose their `s3:`, sizes become numbers, empty texts are absent ones.
* A key is decoded where its dialect says that keys are encoded; where it says nothing, both
  readings are kept.
"""

from collections.abc import Mapping

import orjson

from schemas.domain.errors import Invalid
from schemas.domain.ingest import Notification
from schemas.http.s3_events.eventbridge import from_eventbridge
from schemas.http.s3_events.part import Part
from schemas.http.s3_events.records import from_access_log, from_records
from schemas.http.s3_events.seaweedfs import from_filer
from schemas.http.s3_events.sns import Subscription

__all__ = ["Subscription", "decoded", "notifications", "subscription"]


def decoded(body: bytes | str) -> object:
    """The JSON that `body` is.

    Raises:
        Invalid: when it is none.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Invalid(f"the message is not JSON: {error}") from error


def notifications(message: object) -> list[Notification]:
    """The objects `message` tells of.

    Raises:
        Invalid: when it is of no known form, or lacks something its form has.
    """
    if isinstance(message, list):
        return from_access_log(message)
    part = Part.of(message)
    match part.fields:
        case {"Type": "Notification", "TopicArn": _}:
            return notifications(decoded(part.text("Message")))
        case {"Records": _}:
            return from_records(part)
        case {"source": "aws.s3"}:
            return from_eventbridge(part)
        case {"event_type": _}:
            return from_filer(part)
        case {"Event": "s3:TestEvent"} | {
            "Type": "SubscriptionConfirmation" | "UnsubscribeConfirmation",
            "TopicArn": _,
        }:
            return []
    raise Invalid("the message is no bucket notification of a known form")


def subscription(message: object) -> Subscription | None:
    """What `message` asks to confirm; None if it is no `SubscriptionConfirmation` of SNS.

    Raises:
        Invalid: when it lacks the topic or the address.
    """
    if not isinstance(message, Mapping) or message.get("Type") != "SubscriptionConfirmation":
        return None
    part = Part.of(message)
    return Subscription(part.text("TopicArn"), part.text("SubscribeURL"))
