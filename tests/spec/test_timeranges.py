"""A timerange is either meant or refused, wherever it is given; no text is too odd to be answered.

The reference is schema `timerange`: an instant uses inclusive markers, an end is not before its
start, seconds have up to 48 bits.
"""

from typing import Any

import httpx
import pytest

from tests.making import external, new_id, put_flow

LAST = (1 << 48) - 1
STORABLE_S = (1 << 62) // 1_000_000_000  # a bound takes a bit of the 64

# Text, whether it can be meant, and whether a segment can be there.
MEANT = [
    ("_", False),
    ("()", False),
    ("[_]", False),
    ("(_)", False),
    ("2:0", True),
    ("[2:0]", True),
    ("[-2:0]", True),
    ("0:0", True),
    ("[0:0", True),
    ("0:0]", True),
    ("[0:0_0:1)", True),
    ("[0:0_0:0]", True),
    ("(0:0_0:1)", False),
    ("[0:0_0:1]", True),
    ("[0:999999999_1:0)", True),
    ("[0:999999999_1:0]", True),
    ("0:0_1:0", True),
    ("-2:0_-1:0", True),
    ("[-1:500000000_1:500000000)", True),
    ("[-0:1_0:1)", True),
    ("[-0:0_0:1)", True),
    ("[1:0_", False),
    ("(1:0_", False),
    ("_1:0)", False),
    ("_1:0]", False),
    ("[-1:0_", False),
    ("_-1:0)", False),
    ("_-1:0", False),
    (f"[{STORABLE_S - 1}:0_{STORABLE_S}:0)", True),
    (f"[-{STORABLE_S}:0_-{STORABLE_S - 1}:0)", True),
    (f"[{STORABLE_S}:0_{STORABLE_S + 1}:0)", False),
    (f"[{STORABLE_S + 1}:0_{STORABLE_S + 2}:0)", False),
    (f"[-{STORABLE_S + 2}:0_-{STORABLE_S + 1}:0)", False),
    (f"[{STORABLE_S + 1}:0_", False),
    (f"_-{STORABLE_S + 1}:0)", False),
    (f"[{LAST}:0]", False),
    (f"[{LAST}:999999999_", False),
    (f"_-{LAST}:999999999]", False),
    (f"[-{LAST}:999999999_{LAST}:999999999]", False),
]
NOT_MEANT = [
    *("", "[", "]", "(", ")", "[]", "[)", "(]", "__", "_2", "0", "1", "1.5", "0:0)_"),
    *("[5:0_5:0)", "(5:0_5:0]", "(5:0_5:0)", "(2:0)", "[2:0)", "(2:0]", "[2:0_1:0)", "[0:1_0:0]"),
    *("[1:-1_2:0)", "[1:1000000000_2:0)", "[01:0_2:0)", "[+1:0_2:0)", "[1:00_2:0)", "[-_1:0)"),
    *("[1: 0_2:0)", " [1:0_2:0)", "[1:0_2:0)\n", "[1:0-2:0)", "[1:0_2:0_3:0)", "now", "[a:b_c:d)"),
    *("[\u0661:0_2:0)", "[1\uff1a0_2:0)", "\ud7ff", "[1:0_2:0" + ")" * 5_000, "_" * 5_000),
    *(f"[{LAST + 1}:0]", f"[{'9' * 5_000}:0_", f"[0:{'9' * 5_000}_", "NaN", "null"),
]
CASES = [(text, True, storable) for text, storable in MEANT]
CASES += [(text, False, False) for text in NOT_MEANT]


def _name(value: Any) -> str:
    return repr(value)[:40] if isinstance(value, str) else ""


@pytest.fixture(scope="module")
def source() -> str:
    return new_id()


@pytest.fixture(scope="module")
def flow(api: httpx.Client, source: str) -> str:
    """A flow with content on both sides of zero."""
    flow_id = put_flow(api, source_id=source)
    for text in ("[-1:0_0:0)", "[0:0_1:0)", "[1:0_2:0]"):
        body = {**external(0, 1_000), "timerange": text}
        api.post(f"/flows/{flow_id}/segments", json=body).raise_for_status()
    return flow_id


@pytest.mark.parametrize(("text", "meant", "storable"), CASES, ids=_name)
def test_a_timerange_asked_for_is_answered_or_refused(
    api: httpx.Client, flow: str, source: str, text: str, meant: bool, storable: bool
):
    queries = {
        "/flows": {"source_id": source},
        f"/flows/{flow}": {"include_timerange": "true"},
        f"/flows/{flow}/segments": {"limit": "2"},
    }

    for path, more in queries.items():
        answer = api.get(path, params={**more, "timerange": text})

        assert answer.status_code == (200 if meant else 400), (path, answer.text)
        assert meant or answer.json()["field"] == "timerange"


@pytest.mark.parametrize("text", [text for text, _ in MEANT])
def test_a_timerange_has_content_for_all_who_ask_or_for_none(
    api: httpx.Client, flow: str, source: str, text: str
):
    query = {"timerange": text, "limit": 2}

    forth = api.get(f"/flows/{flow}/segments", params=query).json()
    back = api.get(f"/flows/{flow}/segments", params={**query, "reverse_order": "true"}).json()
    hull = api.get(f"/flows/{flow}", params={"timerange": text, "include_timerange": "true"})
    listed = api.get("/flows", params={**query, "source_id": source}).json()

    assert bool(forth) == bool(back) == (hull.json()["timerange"] != "()")
    assert bool(listed) == bool(forth)


@pytest.mark.parametrize(("text", "meant", "storable"), CASES, ids=_name)
def test_a_segment_is_where_a_segment_can_be(
    api: httpx.Client, flow: str, text: str, meant: bool, storable: bool
):
    flow_id = put_flow(api) if storable else flow
    body = {**external(0, 1_000), "timerange": text}

    answer = api.post(f"/flows/{flow_id}/segments", json=body)

    assert answer.status_code == (201 if storable else 400), answer.text
    if storable:
        (found,) = api.get(f"/flows/{flow_id}/segments", params={"timerange": text}).json()
        whole = api.get(f"/flows/{flow_id}?include_timerange=true").json()["timerange"]
        assert found["timerange"] == whole
        again = {**body, "timerange": whole}
        assert api.post(f"/flows/{flow_id}/segments", json=again).status_code == 201
    else:
        assert answer.json()["field"] == "timerange"


@pytest.mark.parametrize(
    "text", [text for text, storable in MEANT if not storable and "(0:0" not in text] + NOT_MEANT
)
def test_the_timerange_of_an_object_is_refused_when_it_cannot_be(
    api: httpx.Client, flow: str, text: str
):
    body = external(900_000, 901_000, object_timerange=text)

    refused = api.post(f"/flows/{flow}/segments", json=body)

    assert (refused.status_code, refused.json()["field"]) == (400, "object_timerange")


@pytest.mark.parametrize(
    "offset",
    [
        *("", "1", "1:1000000000", "--1:0", "1:0:0", f"{LAST + 1}:0", "9" * 5_000 + ":0"),
        *(f"{LAST}:0", f"-{LAST}:0", f"{1 << 33}:0", "9223372036:854775807", "-9223372036:0"),
    ],
    ids=_name,
)
def test_an_offset_that_leads_out_of_all_time_is_400_and_stops_nobody(
    api: httpx.Client, offset: str
):
    flow_id = put_flow(api)

    refused = api.post(f"/flows/{flow_id}/segments", json=external(0, 1_000, ts_offset=offset))

    assert (refused.status_code, refused.json()["field"]) == (400, "ts_offset")
    assert api.post(f"/flows/{flow_id}/segments", json=external(0, 1_000)).status_code == 201
