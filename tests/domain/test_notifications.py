"""Which notifications are news, and which were heard before or come too late."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.domain.ingest import BucketEvent, Handled, Notification

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def told(**fields: Any) -> Notification:
    return Notification("media", "drop/a.ts", **{"origin": "aws:s3", **fields})


@pytest.mark.parametrize(
    ("last", "next_", "covered"),
    [
        # the same again
        (told(version_id="v1"), told(version_id="v1"), True),
        (told(etag="e", sequencer="0A"), told(etag="e", sequencer="0A"), True),
        (told(etag="e", time=NOON), told(etag="e", time=NOON), True),
        (told(version_id="v1"), told(version_id="v1", origin="elsewhere"), True),
        # something else
        (told(version_id="v1"), told(version_id="v2"), False),
        (told(version_id="v1"), told(version_id="v1", event=BucketEvent.REMOVED), False),
        (told(etag="e", time=NOON), told(etag="f", time=NOON), False),
        (told(etag="e", time=NOON), told(etag="e", time=NOON.replace(hour=13)), False),
        (told(etag="e", sequencer="0A"), told(etag="f", sequencer="0A"), False),
        # in or out of order
        (told(etag="e", sequencer="0A"), told(etag="e", sequencer="0B"), False),
        (told(etag="e", sequencer="0B"), told(etag="e", sequencer="0A"), True),
        (told(version_id="v2", sequencer="0B"), told(version_id="v1", sequencer="0A"), True),
        (told(etag="e", sequencer="FF"), told(etag="e", sequencer="0100"), False),
        (told(etag="e", sequencer="0100"), told(etag="e", sequencer="FF"), True),
        (told(sequencer="0B"), told(sequencer="0A", event=BucketEvent.REMOVED), True),
        # that cannot be compared
        (told(etag="e", sequencer="0B"), told(etag="e", sequencer="0A", origin="vast:s3"), False),
        (told(etag="e", sequencer="0B"), told(etag="e", time=NOON), False),
        (told(etag="e"), told(etag="e"), False),
        (told(), told(), False),
    ],
)
def test_what_was_heard_or_overtaken_is_covered(
    last: Notification, next_: Notification, covered: bool
) -> None:
    assert Handled.after(last).covers(next_) is covered


@given(st.integers(0, 2**80), st.integers(0, 2**80), st.integers(0, 8))
def test_sequencers_order_like_numbers_however_long_they_are(a: int, b: int, zeros: int) -> None:
    last = told(etag="a", sequencer="0" * zeros + f"{a:X}")

    assert Handled.after(last).covers(told(etag="b", sequencer=f"{b:X}")) is (b < a)
