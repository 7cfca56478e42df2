"""Identifiers (TAMS 8.2, schema `uuid`).

* Sources, flows, profiles, storage backends and jobs are named by UUIDs in lower case.
* Objects are named by any text their creator chose; `/` and other characters included.
"""

import re
from typing import Final, NewType

from schemas.domain.errors import Invalid

SourceId = NewType("SourceId", str)
FlowId = NewType("FlowId", str)
ProfileId = NewType("ProfileId", str)
ObjectId = NewType("ObjectId", str)
StorageId = NewType("StorageId", str)
JobId = NewType("JobId", str)
DeletionId = NewType("DeletionId", str)
EventId = NewType("EventId", str)
WebhookId = NewType("WebhookId", str)

UUID_PATTERN: Final = "[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
_UUID: Final = re.compile(UUID_PATTERN)


def parse_uuid(text: str, *, field: str) -> str:
    """`text`, if it is a UUID as the specification writes them.

    Raises:
        Invalid: naming `field`.
    """
    if _UUID.fullmatch(text) is None:
        raise Invalid(f"{field}: {text!r} is not a UUID in lower case", field=field)
    return text
