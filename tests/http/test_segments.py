"""Offers of segments are read alike, however they are read."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from schemas.domain.identifiers import FlowId
from schemas.domain.segment import Offer
from schemas.http import segments

_FLOW = FlowId("11111111-1111-1111-1111-111111111111")
_TEXTS = st.sampled_from(["", "a", "[0:0_1:0)", "[5:0_2:0)", "_", "()", "(0:0_1:0]"])
_VALUES = _TEXTS | st.none() | st.integers() | st.lists(_TEXTS, max_size=2)
_LINKS = st.lists(
    st.dictionaries(st.sampled_from(["label", "url", "presigned"]), _VALUES, max_size=3)
    | st.fixed_dictionaries({"label": _TEXTS, "url": _TEXTS}),
    max_size=2,
)
_ITEMS = (
    st.dictionaries(
        st.sampled_from(["object_id", "timerange", "get_urls", "ts_offset", "other"]),
        _VALUES | _LINKS,
    )
    | st.fixed_dictionaries(
        {"object_id": _TEXTS, "timerange": _TEXTS}, optional={"get_urls": _LINKS | _VALUES}
    )
    | _VALUES
)


@given(_ITEMS)
def test_an_item_read_the_short_way_is_what_the_schema_makes_of_it(item: Any) -> None:
    plain = segments._plain_offer(_FLOW, item)

    if plain is not None:
        assert plain == _checked(item)


def test_the_usual_item_is_read_the_short_way() -> None:
    item = {"object_id": "o", "timerange": "[0:0_1:0)", "get_urls": [{"label": "l", "url": "u"}]}

    plain = segments._plain_offer(_FLOW, item)

    assert plain is not None
    assert plain == _checked(item)


def _checked(item: Any) -> Offer | None:
    try:
        return segments._checked_offer(_FLOW, item)
    except ValidationError:
        return None
