"""A body is looked at closely only where it may hold what cannot be given out again."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from api.blueprint import _DEEPEST, _NUL, _levels, _require_plain
from schemas.domain.errors import Invalid

BODIES = st.recursive(
    st.none() | st.integers(0, 9) | st.text(st.sampled_from("a\\u0\0"), max_size=8),
    lambda each: (
        st.lists(each, max_size=3)
        | st.dictionaries(st.text(st.sampled_from("a\0"), max_size=2), each, max_size=3)
    ),
)


def _refused(body: object) -> bool:
    try:
        _require_plain(body, "", _DEEPEST)
    except Invalid:
        return True
    return False


@given(BODIES, st.integers(_DEEPEST - 4, _DEEPEST + 1))
def test_what_would_be_refused_is_looked_at(body: object, around: int) -> None:
    for _ in range(around):
        body = [body]

    looked_at = _NUL in orjson.dumps(body) or _levels(body) > _DEEPEST

    assert looked_at or not _refused(body)
    assert (_levels(body) > _DEEPEST) <= _refused(body)
