"""Rules of the single properties of sources and flows, each under a path of its own."""

from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.making import new_id, put_flow

NAMES = [
    *("plain", "a/b", "/", "//", "a/", ".", "..", "../label", "100%", "a%2Fb", "%", "a.b", " "),
    *("é字", "a b+c&d=e?f#g", "tags/x", '"', "line\nbreak", "x" * 1_500),
]
ABSENT = "not set"


@pytest.fixture(params=["flows", "sources"])
def thing(api: httpx.Client, request: pytest.FixtureRequest) -> str:
    """The path of a flow, and then of a source, of which nothing is said."""
    return _thing(api, request.param)


def _thing(api: httpx.Client, kind: str, **more: Any) -> str:
    flow = put_flow(api, **more)
    source = api.get(f"/flows/{flow}").json()["source_id"]
    return f"/flows/{flow}" if kind == "flows" else f"/sources/{source}"


def _value(api: httpx.Client, path: str) -> Any:
    """What stands under `path`; for what is not set, that its 404 says so."""
    response = api.get(path)
    if response.status_code == 404:
        assert "exists, but has no" in response.json()["summary"]
        return ABSENT
    assert response.status_code == 200, response.text
    return response.json()


def _statuses(*answers: httpx.Response) -> list[int]:
    return [answer.status_code for answer in answers]


# --- label, description, bit rates, collection -----------------------------------------


@pytest.mark.parametrize("name", ["label", "description"])
def test_a_text_is_set_read_and_removed(api: httpx.Client, thing: str, name: str):
    path = f"{thing}/{name}"

    unset = _value(api, path)
    put = api.put(path, json="né\n")
    value, in_whole = _value(api, path), api.get(thing).json()[name]
    removed = [api.delete(path), api.delete(path)]

    assert unset == ABSENT
    assert (put.status_code, put.content) == (204, b"")
    assert value == in_whole == "né\n"
    assert _statuses(*removed) == [204, 204]
    assert _value(api, path) == ABSENT
    assert name not in api.get(thing).json()


@pytest.mark.parametrize("name", ["max_bit_rate", "avg_bit_rate"])
@pytest.mark.parametrize("value", [0, 5_000, 2**63 - 1])
def test_a_bit_rate_is_set_read_and_removed(api: httpx.Client, name: str, value: int):
    flow = f"/flows/{put_flow(api)}"

    unset = _value(api, f"{flow}/{name}")
    put = api.put(f"{flow}/{name}", json=value)

    assert unset == ABSENT
    assert put.status_code == 204
    assert _value(api, f"{flow}/{name}") == api.get(flow).json()[name] == value
    assert api.delete(f"{flow}/{name}").status_code == 204
    assert _value(api, f"{flow}/{name}") == ABSENT


def test_an_empty_text_is_a_text(api: httpx.Client, thing: str):
    api.put(f"{thing}/label", json="").raise_for_status()

    assert _value(api, f"{thing}/label") == ""


def test_a_collection_is_set_in_order_with_roles_and_removed(api: httpx.Client):
    first, second, collector = put_flow(api), put_flow(api), put_flow(api)
    path = f"/flows/{collector}/flow_collection"
    collection = [
        {"id": second, "role": "talk", "container_mapping": {"track_index": 1}},
        {"id": first},
    ]

    unset = _value(api, path)
    put = api.put(path, json=collection)
    value = _value(api, path)
    collected_by = api.get(f"/flows/{first}").json()["collected_by"]
    removed = [api.delete(path), api.delete(path)]

    assert unset == []
    assert put.status_code == 204
    assert value == collection
    assert collected_by == [collector]
    assert _statuses(*removed) == [204, 204]
    assert _value(api, path) == []
    assert "collected_by" not in api.get(f"/flows/{first}").json()


def test_a_flow_collects_others_that_exist_and_each_once(api: httpx.Client):
    member, collector, absent = put_flow(api), put_flow(api), new_id()
    path = f"/flows/{collector}/flow_collection"
    whole = api.get(f"/flows/{collector}").json()

    for collection in ([collector], [absent], [member, member], [member, absent, collector]):
        items = [{"id": each} for each in collection]
        for refused in (
            api.put(path, json=items),
            api.put(f"/flows/{collector}", json={**whole, "flow_collection": items}),
        ):
            assert (refused.status_code, refused.json()["field"]) == (400, "flow_collection")
    assert _value(api, path) == []


def test_a_collection_that_conflicts_with_another_flow_of_the_source_is_refused(api: httpx.Client):
    source, a, b = new_id(), put_flow(api), put_flow(api)
    put_flow(api, source_id=source, flow_collection=[{"id": a, "role": "x"}, {"id": b}])
    flow = put_flow(api, source_id=source)
    whole = api.get(f"/flows/{flow}").json()

    def put(*collection: dict[str, str]) -> list[httpx.Response]:
        return [
            api.put(f"/flows/{flow}/flow_collection", json=collection),
            api.put(f"/flows/{flow}", json={**whole, "flow_collection": collection}),
        ]

    for refused in [*put({"id": a, "role": "y"}), *put({"id": b}, {"id": a})]:
        assert (refused.status_code, refused.json()["field"]) == (400, "flow_collection")
    other = put_flow(api)
    accepted = [*put({"id": a}), *put({"id": a, "role": "x"}, {"id": other}, {"id": b})]
    assert _statuses(*accepted) == [204] * 4
    sources = {each: api.get(f"/flows/{each}").json()["source_id"] for each in (a, b, other)}
    assert api.get(f"/sources/{source}").json()["source_collection"] == [
        {"id": sources[a], "role": "x"},
        {"id": sources[other]},
        {"id": sources[b]},
    ]


def test_a_member_may_move_to_another_source_even_if_collections_then_disagree(api: httpx.Client):
    source, a, b, c = new_id(), put_flow(api), put_flow(api), put_flow(api)
    put_flow(api, source_id=source, flow_collection=[{"id": a}, {"id": b}])
    put_flow(api, source_id=source, flow_collection=[{"id": c}, {"id": a}])
    sources = {each: api.get(f"/flows/{each}").json()["source_id"] for each in (a, b)}

    moved = api.put(f"/flows/{c}", json={**api.get(f"/flows/{c}").json(), "source_id": sources[b]})
    collection = api.get(f"/sources/{source}").json()["source_collection"]

    assert moved.status_code == 204
    assert {item["id"] for item in collection} == set(sources.values())


# --- tags ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:20]))
def test_the_name_of_a_tag_may_be_any_text(api: httpx.Client, name: str):
    for kind in ("flows", "sources"):
        thing = _thing(api, kind, tags={"other": "stays"})
        if kind == "sources":
            api.put(f"{thing}/tags/other", json="stays").raise_for_status()
        path = f"{thing}/tags/{quote(name, safe='').replace('.', '%2E')}"

        unset = _value(api, path)
        put = [api.put(path, json=value) for value in ("one", ["two", "three"])]
        value, tags = _value(api, path), _value(api, f"{thing}/tags")
        in_whole = api.get(thing).json()["tags"]
        removed = [api.delete(path), api.delete(path)]

        assert unset == ABSENT
        assert _statuses(*put) == [204, 204]
        assert value == ["two", "three"]
        assert tags == in_whole == {"other": "stays", name: value}
        assert _statuses(*removed) == [204, 404]
        assert _value(api, f"{thing}/tags") == {"other": "stays"}


@pytest.mark.parametrize("value", ["", "text", [], [""], ["a", "a", "b"]])
def test_a_tag_is_a_text_or_a_list_of_texts(api: httpx.Client, thing: str, value: Any):
    api.put(f"{thing}/tags/a", json=value).raise_for_status()

    assert _value(api, f"{thing}/tags/a") == value


def test_without_any_tags_there_is_an_empty_set_of_them(api: httpx.Client, thing: str):
    before = _value(api, f"{thing}/tags")
    api.put(f"{thing}/tags/a", json="b").raise_for_status()
    api.delete(f"{thing}/tags/a").raise_for_status()

    assert before == _value(api, f"{thing}/tags") == {}


def test_the_tags_of_sources_and_flows_are_found_by_their_values(api: httpx.Client):
    flow, value = put_flow(api), new_id()
    source = api.get(f"/flows/{flow}").json()["source_id"]

    for thing in (f"/flows/{flow}", f"/sources/{source}"):
        api.put(f"{thing}/tags/crew", json=["Ada", value]).raise_for_status()

    for path, identity in (("/flows", flow), ("/sources", source)):
        found = api.get(path, params={"tag.crew": value}).json()
        assert [each["id"] for each in found] == [identity]


def test_a_tag_without_a_name_is_no_tag(api: httpx.Client, thing: str):
    assert api.get(f"{thing}/tags/").status_code == 404
    assert api.put(f"{thing}/tags/", json="a").status_code == 404
    assert api.put(f"{thing}/tags", json={}).status_code == 405


# --- read-only -------------------------------------------------------------------------


def test_read_only_is_false_until_set_and_works_both_ways(api: httpx.Client):
    flow = f"/flows/{put_flow(api)}"

    def set_to(value: bool) -> tuple[int, Any, int]:
        put = api.put(f"{flow}/read_only", json=value).status_code
        return put, _value(api, f"{flow}/read_only"), api.put(f"{flow}/label", json="l").status_code

    assert _value(api, f"{flow}/read_only") is False
    assert set_to(False) == (204, False, 204)
    assert set_to(True) == (204, True, 403)
    assert set_to(True) == (204, True, 403)
    assert set_to(False) == (204, False, 204)
    assert api.delete(f"{flow}/read_only").status_code == 405


def test_no_property_of_a_read_only_flow_changes(api: httpx.Client):
    given = {"label": "l", "description": "d", "max_bit_rate": 1, "avg_bit_rate": 2}
    flow = f"/flows/{put_flow(api, **given, tags={'a': 'b'}, read_only=True)}"
    before = api.get(flow).json()

    properties = {**given, "tags/a": "b", "tags/absent": "c", "flow_collection": []}
    for name, value in properties.items():
        assert api.put(f"{flow}/{name}", json=value).status_code == 403, name
        assert api.delete(f"{flow}/{name}").status_code == 403, name
    assert api.get(flow).json() == before


# --- what a change leaves behind -------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("label", "l"),
        ("description", "d"),
        ("tags/a", "b"),
        ("max_bit_rate", 1),
        ("avg_bit_rate", 1),
        ("flow_collection", []),
        ("read_only", True),
    ],
)
def test_a_change_of_a_property_is_a_change_of_the_flow(api: httpx.Client, name: str, value: Any):
    flow_id = put_flow(api, updated_by="somebody else", created_by="somebody")
    flow = f"/flows/{flow_id}"
    states = [api.get(flow).json()]

    answers = [api.put(f"{flow}/{name}", json=value)]
    states.append(api.get(flow).json())
    if name != "read_only":
        answers.append(api.delete(f"{flow}/{name}"))
        states.append(api.get(flow).json())

    assert _statuses(*answers) == [204] * len(answers)
    moments = [state["metadata_updated"] for state in states]
    assert moments == sorted(set(moments))
    assert len({state["metadata_version"] for state in states}) == len(states)
    assert {state["updated_by"] for state in states[1:]} == {"anonymous"}
    assert {(state["created"], state["created_by"]) for state in states} == {
        (states[0]["created"], "somebody")
    }


def test_a_change_of_a_property_is_a_change_of_the_source(api: httpx.Client):
    flow = put_flow(api, updated_by="somebody else", created_by="somebody")
    source = f"/sources/{api.get(f'/flows/{flow}').json()['source_id']}"
    before_flow, before = api.get(f"/flows/{flow}").json(), api.get(source).json()

    for name in ("label", "description", "tags/a"):
        api.put(f"{source}/{name}", json="new").raise_for_status()
        after = api.get(source).json()
        assert after["updated"] > before["updated"]
        assert (after["created"], after["updated_by"]) == (before["created"], "anonymous")
        before = after
    assert api.get(f"/flows/{flow}").json() == before_flow


@pytest.mark.parametrize("name", ["label", "description", "max_bit_rate", "flow_collection"])
def test_removing_what_is_not_set_changes_nothing(api: httpx.Client, name: str):
    flow = f"/flows/{put_flow(api)}"
    before = api.get(flow).json()

    assert api.delete(f"{flow}/{name}").status_code == 204
    assert api.get(flow).json() == before


# --- what cannot be meant --------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "bodies"),
    [
        ("label", [b"5", b"null", b'["a"]', b"true", b'{"label": "a"}']),
        ("description", [b"5", b"null", b"{}"]),
        ("tags/a", [b"5", b"null", b"true", b"{}", b"[1]", b'["a", null]', b'[["a"]]']),
        ("read_only", [b"1", b"0", b'"true"', b"null", b"[]"]),
        ("max_bit_rate", [b"-1", b"1.0", b"true", b'"1"', b"null", b"9223372036854775808"]),
        ("avg_bit_rate", [b"-1", b"0.5", b"false", b"[]", b"1e3"]),
        ("flow_collection", [b"{}", b"null", b'"a"', b'["a"]', b'[{"role": "a"}]', b'[{"id": 1}]']),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(
    api: httpx.Client, name: str, bodies: list[bytes]
):
    things = [_thing(api, "flows")]
    if name in {"label", "description", "tags/a"}:
        things.append(_thing(api, "sources"))

    for thing in things:
        before = api.get(thing).json()
        for body in bodies:
            refused = api.put(f"{thing}/{name}", content=body)
            assert refused.status_code == 400, body
            assert refused.json()["field"].startswith(name.replace("/", ".")), body
        assert api.get(thing).json() == before


@pytest.mark.parametrize("name", ["label", "tags/a", "max_bit_rate", "flow_collection"])
@pytest.mark.parametrize("body", [b"", b"{", b"'a'", b"[" * 100_000], ids=["none", "{", "'", "["])
def test_a_value_that_is_not_json_is_refused(api: httpx.Client, name: str, body: bytes):
    flow = put_flow(api)

    assert api.put(f"/flows/{flow}/{name}", content=body).status_code == 400


# --- sources that flows leave ----------------------------------------------------------


def test_a_source_vanishes_when_its_last_flow_moves_to_another(api: httpx.Client):
    old, new = new_id(), new_id()
    first, second = put_flow(api, source_id=old), put_flow(api, source_id=old)

    def move(flow: str, source: str) -> int:
        body = {**api.get(f"/flows/{flow}").json(), "source_id": source}
        return api.put(f"/flows/{flow}", json=body).status_code

    def there() -> tuple[bool, bool]:
        old_status, new_status = _statuses(api.get(f"/sources/{old}"), api.get(f"/sources/{new}"))
        return old_status == 200, new_status == 200

    assert there() == (True, False)
    assert move(first, new) == 204
    assert there() == (True, True)
    assert move(second, new) == 204
    assert there() == (False, True)
    assert move(second, old) == 204
    assert there() == (True, True)


def test_a_flow_does_not_move_to_a_source_of_another_format(api: httpx.Client):
    audio = {
        "format": "urn:x-nmos:format:audio",
        "essence_parameters": {"sample_rate": 48_000, "channels": 2},
    }
    flow, other = put_flow(api), put_flow(api, **audio)
    before = api.get(f"/flows/{flow}").json()
    source = api.get(f"/flows/{other}").json()["source_id"]

    refused = api.put(f"/flows/{flow}", json={**before, "source_id": source})

    assert (refused.status_code, refused.json()["field"]) == (400, "format")
    assert api.get(f"/flows/{flow}").json() == before
