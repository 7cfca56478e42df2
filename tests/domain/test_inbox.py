"""Offers come out of the inbox as they went in."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.domain.identifiers import FlowId, ObjectId, StorageId
from schemas.domain.placing import Anchor, Following, Listed, Restart, Running, Stated
from schemas.domain.segment import Dropped, Link, Offer, Segment
from schemas.domain.timerange import TimeRange
from schemas.inbox import decode_offers, encode_offers

FLOW = FlowId("10000000-0000-4000-8000-000000000001")
INTEGERS = st.integers(-(2**60), 2**60)
TIMERANGES = st.builds(
    lambda start, length: TimeRange(2 * start, 2 * start + length),
    st.integers(-(2**60), 2**60),
    st.integers(1, 2**60),
)
DROPPED = st.builds(
    Dropped,
    st.text().map(StorageId),
    st.text(),
    st.text(),
    st.text(),
    st.none() | st.text(),
    st.integers(0, 2**60),
    st.none() | st.text(),
    st.none() | INTEGERS,
    st.none() | st.text(),
    st.none() | st.text(),
)
ANCHORS = st.builds(Anchor, INTEGERS, st.booleans())
STATED = st.builds(Stated, INTEGERS, INTEGERS)
NEAR = st.lists(st.tuples(st.text(), INTEGERS), max_size=3).map(tuple)
BEARINGS = st.one_of(
    STATED,
    st.builds(Running, INTEGERS, st.booleans(), ANCHORS, st.sampled_from(Restart), INTEGERS),
    st.builds(Listed, INTEGERS, NEAR, ANCHORS, st.none() | STATED),
    st.builds(Following, ANCHORS, st.none() | INTEGERS),
)
OFFERS = st.builds(
    Offer,
    st.builds(
        Segment,
        st.just(FLOW),
        st.text().map(ObjectId),
        TIMERANGES,
        INTEGERS,
        st.none() | st.integers(0, 2**60),
        st.none() | INTEGERS,
        st.none() | INTEGERS,
    ),
    object_timerange=st.none() | TIMERANGES,
    init_object_id=st.none() | st.text().map(ObjectId),
    key_frame_count=st.none() | INTEGERS,
    links=st.lists(st.builds(Link, st.text(), st.text()), max_size=3).map(tuple),
    dropped=st.none() | DROPPED,
    bearing=st.none() | BEARINGS,
    init=st.none() | DROPPED,
)


@given(st.lists(OFFERS, max_size=5))
def test_offers_survive_the_inbox(offers: list[Offer]) -> None:
    assert decode_offers(FLOW, encode_offers(offers)) == offers
