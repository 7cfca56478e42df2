"""Rules of POST and GET /flows/{flowId}/segments."""

from typing import Any

import httpx
import pytest

from tests.making import allocate, external, listed, new_id, put_flow, segment, timeranges

CONTROLLED = {"url", "label", "presigned", "storage_id", "controlled", "store_type", "provider"} | {
    "region",
    "store_product",
}
INIT = {
    "frame_width": 640,
    "frame_height": 360,
    "frame_rate": {"numerator": 25},
    "init_segments": True,
}


def _post(api: httpx.Client, flow: str, *bodies: Any) -> httpx.Response:
    return api.post(f"/flows/{flow}/segments", json=bodies[0] if len(bodies) == 1 else [*bodies])


def _register(api: httpx.Client, flow: str, *bodies: Any) -> None:
    response = _post(api, flow, *bodies)
    assert response.status_code == 201, response.text


def _segments(api: httpx.Client, flow: str, query: str = "") -> list[dict[str, Any]]:
    response = api.get(f"/flows/{flow}/segments{query}")
    assert response.status_code == 200, response.text
    return list(response.json())


@pytest.fixture(scope="module")
def empty(api: httpx.Client) -> str:
    """A flow that stays without segments."""
    return put_flow(api)


# --- registering -----------------------------------------------------------------------


def test_segments_that_are_all_registered_are_201_without_a_body(api: httpx.Client):
    flow = put_flow(api)

    one = _post(api, flow, external(0, 1_000))
    several = _post(api, flow, external(1_000, 2_000), external(2_000, 3_000))

    assert (one.status_code, one.content) == (201, b"")
    assert (several.status_code, several.content) == (201, b"")
    assert len(listed(api, flow)) == 3


def test_one_segment_that_is_refused_is_400_and_of_a_list_the_others_are_registered(
    api: httpx.Client,
):
    flow = put_flow(api)
    first, overlapping, second = external(0, 1_000), external(500, 1_500), external(1_000, 2_000)

    partly = _post(api, flow, first, overlapping, second)
    alone = _post(api, flow, overlapping)
    (failed,) = partly.json()["failed_segments"]

    assert partly.status_code == 200
    assert (failed["object_id"], failed["timerange"]) == (
        overlapping["object_id"],
        overlapping["timerange"],
    )
    assert alone.status_code == 400
    assert alone.json()["field"] == failed["error"]["field"] == "timerange"
    assert alone.json()["summary"] == failed["error"]["summary"]
    assert timeranges(listed(api, flow)) == [first["timerange"], second["timerange"]]


def test_a_list_of_one_that_is_refused_is_200(api: httpx.Client):
    flow = put_flow(api)

    refused = api.post(f"/flows/{flow}/segments", json=[segment(new_id(), 0, 1_000)])

    assert refused.status_code == 200
    assert len(refused.json()["failed_segments"]) == 1


def test_the_same_segment_posted_again_is_the_same_registration(api: httpx.Client):
    flow, body = put_flow(api), external(0, 1_000)
    _register(api, flow, body)

    again = _post(api, flow, body)
    other = _post(api, flow, {**body, "ts_offset": "1:0"})

    assert (again.status_code, other.status_code) == (201, 400)
    assert len(listed(api, flow)) == 1


def test_segments_that_touch_do_not_overlap(api: httpx.Client):
    flow = put_flow(api)
    bodies = [
        {**external(0, 1), "timerange": timerange}
        for timerange in ("[1:0_2:0)", "[2:0]", "[2:1_3:0]", "[3:1_4:0)", "[0:0_1:0)")
    ]

    _register(api, flow, *bodies)

    assert [
        _post(api, flow, {**external(0, 1), "timerange": timerange}).status_code
        for timerange in ("[3:0_3:1)", "[2:0_2:1)", "[3:999999999]")
    ] == [400, 400, 400]


@pytest.mark.parametrize(
    ("fields", "at_fault"),
    [
        ({"object_id": None}, "object_id"),
        ({"object_id": ""}, "object_id"),
        ({"object_id": 5}, "object_id"),
        ({"timerange": None}, "timerange"),
        ({"timerange": "(0:0_1:0)"}, "timerange"),
        ({"timerange": "[1:0_0:0)"}, "timerange"),
        ({"timerange": "()"}, "timerange"),
        ({"timerange": "_"}, "timerange"),
        ({"timerange": "[0:0_"}, "timerange"),
        ({"timerange": "[0:0_99999999999:0)"}, "timerange"),
        ({"ts_offset": "1.5"}, "ts_offset"),
        ({"ts_offset": 1}, "ts_offset"),
        ({"last_duration": "-0:1"}, "last_duration"),
        ({"object_timerange": "()"}, "object_timerange"),
        ({"sample_count": "25"}, "sample_count"),
        ({"key_frame_count": 1.5}, "key_frame_count"),
        ({"get_urls": [{"url": "http://elsewhere.example/"}]}, "get_urls.0.label"),
        ({"get_urls": [{"label": "elsewhere"}]}, "get_urls.0.url"),
        ({"init_object_id": "none"}, "init_object_id"),
    ],
)
def test_a_segment_that_breaks_a_rule_is_refused_by_field(
    api: httpx.Client, empty: str, fields: dict[str, Any], at_fault: str
):
    body = {k: v for k, v in {**external(0, 1_000), **fields}.items() if v is not None}

    refused = _post(api, empty, body)

    assert (refused.status_code, refused.json()["field"]) == (400, at_fault), refused.text
    assert listed(api, empty) == []


def test_a_list_with_a_segment_that_cannot_be_meant_is_400_as_a_whole(
    api: httpx.Client, empty: str
):
    inverted = {**external(0, 1), "timerange": "[1:0_0:0)"}

    refused = _post(api, empty, external(0, 1_000), inverted)
    nothing = api.post(f"/flows/{empty}/segments", json=[])

    assert (refused.status_code, refused.json()["field"]) == (400, "1.timerange")
    assert nothing.status_code == 400
    assert listed(api, empty) == []


def test_a_flow_without_a_container_takes_no_segments(api: httpx.Client):
    flow = put_flow(api, container="video/mp2t")
    body = {n: v for n, v in api.get(f"/flows/{flow}").json().items() if n != "container"}
    api.put(f"/flows/{flow}", json=body).raise_for_status()

    refused = _post(api, flow, external(0, 1_000))

    assert (refused.status_code, refused.json()["field"]) == (400, "container")


def test_respond_async_gives_a_job_that_tells_the_outcome(api: httpx.Client):
    flow = put_flow(api)
    bodies = [external(0, 1_000), external(0, 2_000)]

    accepted = api.post(f"/flows/{flow}/segments", json=bodies, headers={"Prefer": "respond-async"})
    job = api.get(accepted.headers["location"]).json()
    while job["state"] not in {"done", "error"}:
        job = api.get(accepted.headers["location"]).json()

    assert accepted.status_code == 202
    assert accepted.headers["preference-applied"] == "respond-async"
    assert accepted.headers["location"].startswith(str(api.base_url))
    assert (job["state"], job["total"], job["failed"]) == ("done", 2, 1)
    assert job["failed_segments"][0]["object_id"] == bodies[1]["object_id"]


# --- timing ----------------------------------------------------------------------------


def test_what_is_said_of_a_segment_is_given_back(api: httpx.Client):
    flow = put_flow(api)
    said = {
        "ts_offset": "-5:500000000",
        "last_duration": "0:40000000",
        "sample_offset": 0,
        "sample_count": 25,
        "key_frame_count": 1,
    }

    _register(api, flow, external(0, 1_000, **said))

    assert _segments(api, flow)[0].items() >= said.items()


@pytest.mark.parametrize(
    ("fields", "object_timerange"),
    [
        ({}, "[10:0_11:0)"),
        ({"ts_offset": "10:0"}, "[0:0_1:0)"),
        ({"ts_offset": "-0:500000000"}, "[10:500000000_11:500000000)"),
        ({"ts_offset": "10:0", "object_timerange": "[0:0_5:0)"}, "[0:0_5:0)"),
    ],
)
def test_the_object_timerange_is_the_timerange_less_ts_offset_unless_given(
    api: httpx.Client, fields: dict[str, str], object_timerange: str
):
    flow, body = put_flow(api), external(10_000, 11_000, **fields)

    _register(api, flow, body)

    (plain,) = _segments(api, flow)
    (full,) = _segments(api, flow, "?include_object_timerange=true")
    assert "object_timerange" not in plain
    assert full["object_timerange"] == object_timerange
    assert api.get(f"/objects/{body['object_id']}").json()["timerange"] == object_timerange


@pytest.fixture(scope="module")
def two_seconds(api: httpx.Client) -> str:
    """An object from 0 to 2 s with two key frames."""
    flow = put_flow(api)
    (object_id,) = allocate(api, flow, 1)
    _register(api, flow, segment(object_id, 0, 2_000, key_frame_count=2))
    return object_id


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"timerange": "[20:0_21:0)", "ts_offset": "20:0"}, 201),
        ({"timerange": "[20:0_22:0)", "ts_offset": "20:0"}, 201),
        ({"timerange": "[21:0_22:0)", "ts_offset": "20:0"}, 201),
        ({"timerange": "[20:0_22:0]", "ts_offset": "20:0"}, 400),
        ({"timerange": "[21:0_23:0)", "ts_offset": "20:0"}, 400),
        ({"timerange": "[19:0_20:0)", "ts_offset": "20:0"}, 400),
        ({"timerange": "[20:0_21:0)"}, 400),
        ({"timerange": "[0:0_2:0)", "object_timerange": "[0:0_2:0)"}, 201),
        ({"timerange": "[0:0_2:0)", "object_timerange": "[0:0_3:0)"}, 400),
        ({"timerange": "[0:0_2:0)", "key_frame_count": 2}, 201),
        ({"timerange": "[0:0_2:0)", "key_frame_count": 3}, 400),
        ({"timerange": "[0:0_2:0)", "init_object_id": "another"}, 400),
    ],
)
def test_an_object_is_reused_within_its_timerange_and_as_it_was_registered(
    api: httpx.Client, two_seconds: str, fields: dict[str, Any], status: int
):
    reused = _post(api, put_flow(api), {"object_id": two_seconds, **fields})

    assert reused.status_code == status, reused.text


# --- objects ---------------------------------------------------------------------------


def test_an_object_is_registered_first_by_the_flow_it_was_allocated_for(api: httpx.Client):
    owner, other = put_flow(api), put_flow(api)
    (object_id,) = allocate(api, owner, 1)
    body = segment(object_id, 0, 1_000)

    early = _post(api, other, body)
    _register(api, owner, body)

    assert (early.status_code, early.json()["field"]) == (400, "object_id")
    assert _post(api, other, body).status_code == 201


def test_an_object_nobody_knows_needs_urls(api: httpx.Client):
    refused = _post(api, put_flow(api), segment(new_id(), 0, 1_000))

    assert (refused.status_code, refused.json()["field"]) == (400, "object_id")


def test_labels_of_urls_are_single_and_not_those_of_storage_backends(
    api: httpx.Client, backend: dict[str, Any]
):
    flow = put_flow(api)

    def labelled(*labels: str) -> int:
        urls = [{"label": label, "url": f"http://{label}.example/"} for label in labels]
        return _post(api, flow, {**external(0, 1_000), "get_urls": urls}).status_code

    assert labelled(backend["label"]) == 400
    assert labelled("a", "b", "a") == 400
    assert labelled("a", "b") == 201


def _with_init(api: httpx.Client) -> tuple[str, str, str]:
    """A flow whose media have an init segment: the flow, the media object, the init object."""
    flow = put_flow(api, container="video/iso.segment", essence_parameters=INIT)
    response = api.post(f"/flows/{flow}/storage", json={"limit": 1, "content_type": "video/mp4"})
    init = response.json()["media_objects"][0]["object_id"]
    (media,) = allocate(api, flow, 1)
    _register(api, flow, segment(media, 0, 1_000, init_object_id=init))
    return flow, media, init


def test_the_init_object_is_given_with_its_urls(api: httpx.Client, backend: dict[str, Any]):
    flow, media, init = _with_init(api)

    (found,) = _segments(api, flow, "?verbose_storage=true")
    (plain,) = _segments(api, flow)
    (bare,) = _segments(api, flow, "?accept_get_urls=")
    item = api.get(f"/objects/{media}").json()

    assert found["init_object"]["object_id"] == item["init_object"]["id"] == init
    assert found["init_object"]["get_urls"][0]["storage_id"] == backend["id"]
    assert set(plain["init_object"]["get_urls"][0]) == {"url", "label", "presigned"}
    assert bare["init_object"] == {"object_id": init, "get_urls": []}


def test_init_objects_and_media_never_change_roles(api: httpx.Client):
    flow, media, init = _with_init(api)
    (other,) = allocate(api, flow, 1)

    roles = {
        "an init object as media": (segment(init, 1_000, 2_000), "object_id"),
        "media as an init object": (
            segment(other, 1_000, 2_000, init_object_id=media),
            "init_object_id",
        ),
        "both at once": (segment(other, 1_000, 2_000, init_object_id=other), "init_object_id"),
    }

    for case, (body, field) in roles.items():
        refused = _post(api, flow, body)
        assert (refused.status_code, refused.json()["field"]) == (400, field), case


def test_init_segments_holds_for_all_media_of_a_flow_or_none(api: httpx.Client):
    flow, media, init = _with_init(api)
    plain = put_flow(api)
    (without,) = allocate(api, flow, 1)
    other = external(0, 1_000)
    _register(api, plain, other)

    answers = {
        "needed but not given": _post(api, flow, segment(without, 1_000, 2_000)),
        "given but not needed": _post(api, plain, external(1_000, 2_000, init_object_id=init)),
        "reused where not needed": _post(api, plain, segment(media, 1_000, 2_000, ts_offset="1:0")),
        "reused where needed": _post(
            api, flow, {**other, "timerange": "[1:0_2:0)", "ts_offset": "1:0"}
        ),
    }

    for case, answer in answers.items():
        assert (answer.status_code, answer.json()["field"]) == (400, "init_object_id"), case


def test_an_init_object_is_reused_by_media_of_the_same_flow_and_of_others(api: httpx.Client):
    flow, media, init = _with_init(api)
    other = put_flow(api, container="video/iso.segment", essence_parameters=INIT)
    (second,) = allocate(api, flow, 1)

    _register(api, flow, segment(second, 1_000, 2_000, init_object_id=init))
    _register(api, other, segment(media, 0, 1_000))

    assert {s["init_object"]["object_id"] for s in _segments(api, flow)} == {init}
    assert {s["init_object"]["object_id"] for s in _segments(api, other)} == {init}


# --- listing ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def timeline(api: httpx.Client) -> str:
    """A flow with an instant right after an exclusive end, and a gap."""
    flow = put_flow(api)
    ranges = ["[3:0_4:0)", "[1:0_2:0)", "[2:0]", "[0:0_1:0)", "[6:0_8:0]"]
    _register(api, flow, *({**external(0, 1), "timerange": each} for each in ranges))
    return flow


ALL = ["[0:0_1:0)", "[1:0_2:0)", "[2:0]", "[3:0_4:0)", "[6:0_8:0]"]


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("reverse", [False, True])
def test_segments_are_in_order_of_time_whatever_the_page_size(
    api: httpx.Client, timeline: str, limit: int, reverse: bool
):
    query = {"limit": limit, "reverse_order": str(reverse).lower()}

    assert timeranges(listed(api, timeline, **query)) == (ALL[::-1] if reverse else ALL)


@pytest.mark.parametrize(
    ("timerange", "expected"),
    [
        ("_", ALL),
        ("()", []),
        ("[1:0_2:0)", ALL[1:2]),
        ("[1:0_2:0]", ALL[1:3]),
        ("(1:0_2:0)", ALL[1:2]),
        ("[2:0]", ALL[2:3]),
        ("(2:0_3:0)", []),
        ("(2:0_3:0]", ALL[3:4]),
        ("[2:0_3:0)", ALL[2:3]),
        ("[4:0_6:0)", []),
        ("[4:0_6:0]", ALL[4:]),
        ("[8:0]", ALL[4:]),
        ("(8:0_", []),
        ("_0:0]", ALL[:1]),
        ("_0:0)", []),
        ("[3:999999999_", ALL[3:]),
        ("0:500_1:500", ALL[:2]),
    ],
)
def test_a_timerange_finds_what_it_overlaps_and_nothing_it_only_touches(
    api: httpx.Client, timeline: str, timerange: str, expected: list[str]
):
    assert timeranges(listed(api, timeline, timerange=timerange)) == expected
    assert timeranges(listed(api, timeline, timerange=timerange, limit=1)) == expected
    assert (
        timeranges(listed(api, timeline, timerange=timerange, limit=1, reverse_order="true"))
        == expected[::-1]
    )


def test_the_paging_headers_tell_the_timerange_of_the_page(api: httpx.Client, timeline: str):
    first = api.get(f"/flows/{timeline}/segments", params={"limit": 2})
    second = api.get(first.links["next"]["url"])
    back = api.get(
        f"/flows/{timeline}/segments", params={"limit": 2, "reverse_order": "true"}
    ).headers

    assert first.headers["x-paging-timerange"] == "[0:0_2:0)"
    assert second.headers["x-paging-timerange"] == "[2:0_4:0)"
    assert (back["x-paging-timerange"], back["x-paging-reverse-order"]) == ("[3:0_8:0]", "true")
    assert (first.headers["x-paging-count"], first.headers["x-paging-limit"]) == ("2", "2")


def test_segments_are_found_by_object(api: httpx.Client):
    flow, body = put_flow(api), external(0, 1_000)
    again = {**body, "timerange": "[5:0_6:0)", "ts_offset": "5:0"}
    _register(api, flow, body, external(1_000, 2_000), again)

    found = listed(api, flow, object_id=body["object_id"])

    assert timeranges(found) == ["[0:0_1:0)", "[5:0_6:0)"]
    assert listed(api, flow, object_id=new_id()) == []


@pytest.mark.parametrize("query", ["", "?limit=1", "?timerange=[0:0_1:0)", "?reverse_order=true"])
def test_a_flow_that_does_not_exist_has_no_segments(api: httpx.Client, query: str):
    response = api.get(f"/flows/{new_id()}/segments{query}")

    assert (response.status_code, response.json()) == (200, [])
    assert response.headers["x-paging-timerange"] == "()"
    assert response.headers["x-paging-count"] == "0"


# --- urls ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_places(api: httpx.Client) -> tuple[str, str]:
    """A flow, and its one object, which is in our storage and in another place."""
    flow = put_flow(api)
    (object_id,) = allocate(api, flow, 1)
    urls = [{"label": "else where", "url": "http://elsewhere.example/it"}]
    _register(api, flow, segment(object_id, 0, 1_000, get_urls=urls))
    return flow, object_id


OURS, OTHERS = "ours", "others"


@pytest.mark.parametrize("path", ["/flows/{flow}/segments", "/objects/{object}"])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [OURS, OTHERS]),
        ("accept_get_urls=", []),
        ("accept_get_urls=else where", [OTHERS]),
        ("accept_get_urls={label}", [OURS]),
        ("accept_get_urls={label},else where,third", [OURS, OTHERS]),
        ("accept_get_urls=third", []),
        ("accept_storage_ids=", [OURS, OTHERS]),
        ("accept_storage_ids={id}", [OURS]),
        ("accept_storage_ids=329b98d6-adeb-418c-8eaf-eca14edc1706", []),
        ("presigned=true", [OURS]),
        ("presigned=false", [OTHERS]),
        ("presigned=true&accept_get_urls=else where", []),
        ("presigned=false&accept_storage_ids={id}", []),
        ("storage_backend_tag_exists.nothing=false", [OURS]),
        ("storage_backend_tag_exists.nothing=true", []),
        ("storage_backend_tag.nothing=here", []),
    ],
)
def test_urls_are_those_that_match_all_filters(
    api: httpx.Client,
    backend: dict[str, Any],
    two_places: tuple[str, str],
    path: str,
    query: str,
    expected: list[str],
):
    flow, object_id = two_places
    names = {backend["label"]: OURS, "else where": OTHERS}

    found = api.get(
        path.format(flow=flow, object=object_id),
        params=dict(part.split("=") for part in query.format(**backend).split("&") if part),
    ).json()
    item = found[0] if isinstance(found, list) else found

    assert [names[url["label"]] for url in item["get_urls"]] == expected


@pytest.mark.parametrize("path", ["/flows/{flow}/segments", "/objects/{object}"])
def test_storage_is_described_only_when_asked_for(
    api: httpx.Client, backend: dict[str, Any], two_places: tuple[str, str], path: str
):
    flow, object_id = two_places

    def urls(query: str) -> list[dict[str, Any]]:
        found = api.get(path.format(flow=flow, object=object_id) + query).json()
        return list((found[0] if isinstance(found, list) else found)["get_urls"])

    ours, others = urls("?verbose_storage=true")

    assert all(set(url) == {"url", "label", "presigned"} for url in urls(""))
    assert all(set(url) == {"url", "label", "presigned"} for url in urls("?verbose_storage=false"))
    assert set(ours) == CONTROLLED
    assert (ours["storage_id"], ours["controlled"]) == (backend["id"], True)
    assert ours.items() >= {k: backend[k] for k in ("store_type", "provider", "region")}.items()
    assert others == {
        "url": "http://elsewhere.example/it",
        "label": "else where",
        "presigned": False,
        "controlled": False,
    }
