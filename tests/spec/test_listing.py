"""Rules of the lists: pages, order and filters (GET /flows, /sources, storage backends)."""

from base64 import urlsafe_b64encode
from typing import Any

import httpx
import pytest
from celery import Celery

from api import create_app
from infra.bootstrap import build_ports
from infra.settings import Settings
from tests.making import external, new_id, pages, put_flow, video
from tests.services.running import Running


def _ids(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [item["id"] for item in response.json()]


def _collected(api: httpx.Client, *members: str, role: str = "part", **more: Any) -> str:
    """A flow that collects `members`."""
    collection = [{"id": member, "role": role} for member in members]
    return put_flow(api, flow_collection=collection, **more)


@pytest.fixture(scope="module")
def three(api: httpx.Client) -> dict[str, Any]:
    """Three flows of one source, two with a label, and something to find them by."""
    source = new_id()
    labels = {"Bravo": {"label": "Bravo"}, "Alpha": {"label": "Alpha"}, "none": {}}
    flows = {name: put_flow(api, source_id=source, **more) for name, more in labels.items()}
    return {"source_id": source, **flows}


# --- pages -----------------------------------------------------------------------------


def test_pages_lead_from_one_to_the_next(api: httpx.Client, three: dict[str, Any]):
    query = {"source_id": three["source_id"], "limit": 2}

    first = api.get("/flows", params=query)
    second = api.get("/flows", params={**query, "page": first.headers["x-paging-nextkey"]})

    assert (first.headers["x-paging-limit"], first.headers["x-paging-count"]) == ("2", "2")
    assert (second.headers["x-paging-limit"], second.headers["x-paging-count"]) == ("2", "1")
    assert {"link", "x-paging-nextkey"} <= set(first.headers)
    assert not {"link", "x-paging-nextkey"} & set(second.headers)
    assert len({*_ids(first), *_ids(second)}) == 3


def test_the_link_to_the_next_page_is_absolute_and_keeps_the_query(
    api: httpx.Client, three: dict[str, Any], store_facts: dict[str, Any]
):
    query = {"source_id": three["source_id"], "limit": 2, "sort_by": "label"}

    first = api.get("/flows", params=query)
    link = first.links["next"]["url"]

    assert link.startswith(f"{store_facts['api']}/flows?")
    assert _ids(httpx.get(link)) == [three["none"]]
    assert httpx.URL(link).params["page"] == first.headers["x-paging-nextkey"]


def test_what_arrives_between_pages_is_neither_repeated_nor_makes_others_missing(
    api: httpx.Client,
):
    source = new_id()
    old = [put_flow(api, source_id=source) for _ in range(4)]

    first = api.get("/flows", params={"source_id": source, "limit": 2})
    put_flow(api, source_id=source)
    second = api.get(first.links["next"]["url"])

    assert [*_ids(first), *_ids(second)] == old[::-1]


def test_segments_that_arrive_between_pages_are_neither_repeated_nor_make_others_missing(
    api: httpx.Client,
):
    flow = put_flow(api)
    path, old = f"/flows/{flow}/segments", [external(s * 1_000, s * 1_000 + 500) for s in range(6)]
    api.post(path, json=old).raise_for_status()

    seen, query = [], {"limit": 2, "accept_get_urls": ""}
    page = api.get(path, params=query)
    while True:
        seen += [item["object_id"] for item in page.json()]
        if "next" not in page.links:
            break
        at = len(seen) * 1_000
        behind, ahead = external(at - 1_500, at - 1_000), external(at + 500, at + 1_000)
        api.post(path, json=[behind, ahead]).raise_for_status()
        page = api.get(page.links["next"]["url"])

    assert len(seen) == len(set(seen))
    assert [each for each in seen if each in {item["object_id"] for item in old}] == [
        item["object_id"] for item in old
    ]
    assert len(seen) > len(old)


@pytest.fixture(scope="module")
def lists(api: httpx.Client) -> dict[str, str]:
    """The path of every list, by a name; the first four have more than one page of one item."""
    one, other = external(0, 1_000), external(1_000, 2_000)
    flows = [put_flow(api) for _ in range(2)]
    for flow in flows:
        api.post(f"/flows/{flow}/segments", json=[one, other]).raise_for_status()
    return {
        "flows": "/flows",
        "sources": "/sources",
        "segments": f"/flows/{flows[0]}/segments",
        "flows of an object": f"/objects/{one['object_id']}",
        "backends": "/service/storage-backends",
        "problems": "/ingest-problems",
        "delete requests": "/flow-delete-requests",
        "profiles": "/service/profiles",
    }


LISTS = ["flows", "sources", "segments", "flows of an object", "backends", "problems"]
LISTS += ["delete requests", "profiles"]
UNORDERED = {"flows of an object", "profiles"}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("", 100),
        ("1", 1),
        ("1000", 1_000),
        ("1001", 1_000),
        ("9" * 30, 1_000),
        ("9" * 5_000, 1_000),
    ],
    ids=lambda value: str(value)[:20] or "none",
)
def test_every_page_tells_its_limit_count_and_order(
    api: httpx.Client, lists: dict[str, str], name: str, asked: str, given: int
):
    answer = api.get(lists[name], params={"limit": asked} if asked else {})
    items = answer.json()["referenced_by_flows"] if "object" in name else answer.json()

    assert answer.status_code == 200
    assert answer.headers["x-paging-limit"] == str(given)
    assert answer.headers["x-paging-count"] == str(len(items))
    assert ("x-paging-nextkey" in answer.headers) == ("link" in answer.headers)
    assert name in UNORDERED or answer.headers["x-paging-reverse-order"] == "false"


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    "limit", ["0", "-1", "-" + "9" * 30, "1.0", "", " 1", "all", "1_0", "\u0661"]
)
def test_a_limit_that_is_no_positive_number_is_400(
    api: httpx.Client, lists: dict[str, str], name: str, limit: str
):
    refused = api.get(lists[name], params={"limit": limit})

    assert (refused.status_code, refused.json()["field"]) == (400, "limit")


def test_the_default_and_the_maximum_of_a_limit_are_settings(store: Running):
    limits = {"TAMS_PAGE_LIMIT_DEFAULT": "2", "TAMS_PAGE_LIMIT_MAX": "3"}
    settings = Settings.from_env({**store.environ, **limits})
    client = create_app(build_ports(settings, Celery(broker=settings.redis_url))).test_client()

    for query, limit in {"": 2, "?limit=1": 1, "?limit=3": 3, "?limit=4": 3}.items():
        assert client.get(f"/flows{query}").headers["X-Paging-Limit"] == str(limit)
    parameters = client.get("/openapi.json").json["paths"]["/flows"]["get"]["parameters"]
    (limit,) = (each for each in parameters if each["name"] == "limit")
    assert limit["schema"]["default"] == 2
    assert "3 at most" in limit["description"]


def test_a_page_key_goes_with_its_list_and_order(api: httpx.Client, lists: dict[str, str]):
    key = api.get("/flows?limit=1").headers["x-paging-nextkey"]
    orders = [{"sort_by": "label"}, {"sort_by": "metadata_updated"}, {"reverse_order": "true"}]
    elsewhere = [
        *(("/flows", order) for order in orders),
        *((path, {}) for path in lists.values() if path != "/flows"),
    ]

    for order in ({}, {"sort_by": "created"}, {"limit": "7"}, {"reverse_order": "false"}):
        assert api.get("/flows", params={"page": key, **order}).status_code == 200
    for path, order in elsewhere:
        refused = api.get(path, params={"page": key, **order})
        assert (refused.status_code, refused.json()["field"]) == (400, "page"), (path, order)


@pytest.mark.parametrize("name", LISTS[:4])
@pytest.mark.parametrize(
    "inside",
    [
        *("", "null", "1", "{}", "[]", "[null]", "[0.5]", "[[0]]", '[0, 0, "a", 0]', '["a"]'),
        *('[0, {}, "a"]', "[" * 3_000, "9" * 5_000, "[1e400]", '[0, NaN, "a"]', '"[0]"'),
    ],
    ids=lambda inside: inside[:20] or "nothing",
)
def test_a_page_key_that_was_never_given_out_is_400(
    api: httpx.Client, lists: dict[str, str], name: str, inside: str
):
    key, sealed = _page_key(inside), _page_key(inside, _seal_of(api, lists[name]))

    for page in (key, sealed, f".{key}", f"{sealed}é", f"{sealed}.{key}"):
        refused = api.get(lists[name], params={"page": page})
        assert (refused.status_code, refused.json()["field"]) == (400, "page"), page


@pytest.mark.parametrize("number", [1 << 63, -(1 << 63) - 1, 10**30, -(10**30)])
@pytest.mark.parametrize("name", LISTS[:3])
def test_a_page_key_beyond_all_there_is_does_no_harm(
    api: httpx.Client, lists: dict[str, str], name: str, number: int
):
    inside = f"[{number}]" if name == "segments" else f'[0, {number}, "a"]'

    page = _page_key(inside, _seal_of(api, lists[name]))

    assert api.get(lists[name], params={"page": page}).status_code == 200


def _page_key(inside: str, seal: str = "") -> str:
    key = urlsafe_b64encode(inside.encode()).decode().rstrip("=")
    return f"{seal}.{key}" if seal else key


def _seal_of(api: httpx.Client, path: str) -> str:
    """What the page keys of a list begin with."""
    return api.get(path, params={"limit": 1}).headers["x-paging-nextkey"].partition(".")[0]


@pytest.mark.parametrize("path", ["/flows", "/sources", "/service/storage-backends"])
@pytest.mark.parametrize("asked", ["true", "false", None])
def test_the_order_is_told(api: httpx.Client, path: str, asked: str | None):
    response = api.get(path, params={} if asked is None else {"reverse_order": asked})

    assert response.headers["x-paging-reverse-order"] == (asked or "false")


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/service", "/service/storage-backends", "/sources", "/sources?limit=1"),
        *("/flows", "/flows?limit=1", "/flows/{flow}?include_timerange=true", "/health"),
        *("/flows/{flow}/segments?limit=1", "/sources/{source}", "/flows/nobody"),
        *("/flows?sort_by=size", "/ingest-problems", "/objects/nobody", "/jobs/nobody", "/nowhere"),
        *("/openapi.json", "/docs", "/static/swagger-ui/swagger-ui.css", "/service/profiles"),
        *("/sources/{source}/tags", "/flows/{flow}/tags", "/flows/{flow}/label"),
        *("/flows/{flow}/read_only", "/flow-delete-requests"),
    ],
)
def test_head_answers_with_the_headers_of_get(api: httpx.Client, three: dict[str, Any], path: str):
    path = path.format(flow=three["none"], source=three["source_id"])
    aside = {"date"} | ({"content-length"} if path == "/health" else set())

    get, head = api.get(path), api.head(path)

    assert head.status_code == get.status_code
    assert {k: v for k, v in head.headers.items() if k not in aside} == {
        k: v for k, v in get.headers.items() if k not in aside
    }


# --- order -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["none", "Alpha", "Bravo"]),
        ({"sort_by": "created"}, ["none", "Alpha", "Bravo"]),
        ({"sort_by": "created", "reverse_order": "true"}, ["Bravo", "Alpha", "none"]),
        ({"sort_by": "label"}, ["Alpha", "Bravo", "none"]),
        ({"sort_by": "label", "reverse_order": "true"}, ["none", "Bravo", "Alpha"]),
    ],
    ids=lambda value: "-".join(value) or "default",
)
def test_flows_are_sorted_with_those_that_lack_the_value_last_or_first_when_reversed(
    api: httpx.Client, three: dict[str, Any], query: dict[str, str], expected: list[str]
):
    found = pages(api, "/flows", {"source_id": three["source_id"], "limit": 1, **query})

    assert [flow["id"] for flow in found] == [three[name] for name in expected]


def test_flows_sorted_by_metadata_updated_begin_with_the_latest(api: httpx.Client):
    source = new_id()
    first, second = put_flow(api, source_id=source), put_flow(api, source_id=source)
    api.put(f"/flows/{first}", json=video(first, source_id=source))

    query = {"source_id": source, "sort_by": "metadata_updated"}

    assert _ids(api.get("/flows", params=query)) == [first, second]
    assert _ids(api.get("/flows", params={**query, "reverse_order": "true"})) == [second, first]


@pytest.mark.parametrize("sort_by", ["created", "updated", "label"])
def test_sources_are_sorted_with_those_that_lack_the_value_last_or_first_when_reversed(
    api: httpx.Client, sort_by: str
):
    flows = [put_flow(api, label="B"), put_flow(api, label="A"), put_flow(api)]
    b, a, none = (api.get(f"/flows/{flow}").json()["source_id"] for flow in flows)
    collector = api.get(f"/flows/{_collected(api, *flows)}").json()["source_id"]
    query = {"collected_by_ids": collector, "sort_by": sort_by}

    expected = [a, b, none] if sort_by == "label" else [none, a, b]

    assert _ids(api.get("/sources", params=query)) == expected
    assert _ids(api.get("/sources", params={**query, "reverse_order": "true"})) == expected[::-1]


# --- filters ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def varied(api: httpx.Client) -> dict[str, Any]:
    """Flows of one source that differ in everything one can filter by."""
    source = new_id()
    plain = {"frame_width": 640, "frame_height": 360, "frame_rate": {"numerator": 25}}
    flows = {
        "wide": put_flow(
            api,
            source_id=source,
            label="wide, open",
            status="ingesting",
            codec="video/h265",
            essence_parameters={**plain, "frame_width": 1920, "frame_height": 1080},
            tags={"kind": ["news", "live"], "a.b": "c d"},
        ),
        "init": put_flow(
            api,
            source_id=source,
            essence_parameters={**plain, "init_segments": True},
            tags={"kind": "news"},
        ),
        "none": put_flow(api, source_id=source),
    }
    for name, (start, end) in {"wide": (0, 10_000), "init": (10_000, 20_000)}.items():
        if name == "wide":
            body = external(start, end)
            api.post(f"/flows/{flows[name]}/segments", json=body).raise_for_status()
    return {"source_id": source, **flows}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"wide", "init", "none"}),
        ("format=urn:x-nmos:format:video", {"wide", "init", "none"}),
        ("format=urn:x-nmos:format:audio", set()),
        ("codec=video/h265", {"wide"}),
        ("label=wide, open", {"wide"}),
        ("label=wide", set()),
        ("status=ingesting", {"wide"}),
        ("status=closed_complete", set()),
        ("frame_width=1920", {"wide"}),
        ("frame_height=360", {"init", "none"}),
        ("frame_width=1920&frame_height=360", set()),
        ("init_segments=true", {"init"}),
        ("init_segments=false", {"wide", "none"}),
        ("profile_id=329b98d6-adeb-418c-8eaf-eca14edc1706", set()),
        ("tag.kind=live", {"wide"}),
        ("tag.kind=news", {"wide", "init"}),
        ("tag.kind=sport,live", {"wide"}),
        ("tag.kind=new", set()),
        ("tag.a.b=c d", {"wide"}),
        ("tag_exists.kind=true", {"wide", "init"}),
        ("tag_exists.kind=false", {"none"}),
        ("tag.kind=news&tag_exists.a.b=false", {"init"}),
        ("timerange=_", {"wide", "init", "none"}),
        ("timerange=()", {"init", "none"}),
        ("timerange=[9:999999999_20:0)", {"wide"}),
        ("timerange=[10:0_20:0)", set()),
        ("timerange=(0:0_1:0)", {"wide"}),
        ("timerange=[0:0]", {"wide"}),
        ("timerange=_0:0]", {"wide"}),
        ("timerange=_0:0)", set()),
        ("timerange=[10:0]", set()),
    ],
)
def test_flows_are_filtered(
    api: httpx.Client, varied: dict[str, Any], query: str, expected: set[str]
):
    pairs = [part.split("=", 1) for part in query.split("&") if part]

    found = api.get("/flows", params={"source_id": varied["source_id"], **dict(pairs)})

    assert set(_ids(found)) == {varied[name] for name in expected}


def test_tag_names_and_values_may_be_url_encoded(api: httpx.Client):
    source = new_id()
    flow = put_flow(api, source_id=source, tags={"wo/rt & zahl": "1+1=2"})

    found = api.get(f"/flows?source_id={source}&tag.wo%2Frt%20%26%20zahl=1%2B1%3D2")

    assert _ids(found) == [flow]


def test_flows_and_sources_are_found_by_who_collects_them(api: httpx.Client):
    member, other = put_flow(api), put_flow(api)
    collector, second = _collected(api, member), _collected(api, other)
    source_of = {
        flow: api.get(f"/flows/{flow}").json()["source_id"]
        for flow in (member, other, collector, second)
    }

    both = {"collected_by_ids": f"{collector},{second}", "sort_by": "created"}
    top = {"collected_by_ids": "", "source_id": source_of[collector]}

    assert _ids(api.get("/flows", params={"collected_by_ids": collector})) == [member]
    assert _ids(api.get("/flows", params=both)) == [other, member]
    assert _ids(api.get("/flows", params=top)) == [collector]
    assert _ids(api.get("/flows", params={**top, "source_id": source_of[member]})) == []
    assert _ids(api.get("/sources", params={"collected_by_ids": source_of[collector]})) == [
        source_of[member]
    ]


def test_sources_are_filtered_by_label_and_format(api: httpx.Client):
    label = new_id()
    source = api.get(f"/flows/{put_flow(api, label=label)}").json()["source_id"]

    def found(kind: str) -> list[str]:
        query = {"label": label, "format": f"urn:x-nmos:format:{kind}"}
        return _ids(api.get("/sources", params=query))

    assert found("video") == [source]
    assert found("audio") == []


def test_storage_backends_are_filtered_by_tags(api: httpx.Client, backend: dict[str, Any]):
    path = "/service/storage-backends"

    assert _ids(api.get(f"{path}?tag_exists.nothing=false")) == [backend["id"]]
    assert _ids(api.get(f"{path}?tag_exists.nothing=true")) == []
    assert _ids(api.get(f"{path}?tag.nothing=here")) == []


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/flows?limit=0", "limit"),
        ("/flows?limit=1.5", "limit"),
        ("/flows?limit=1&limit=2", "limit"),
        ("/flows?page=made-up", "page"),
        ("/flows?page=WzFd", "page"),
        ("/flows?timerange=[2:0_1:0)", "timerange"),
        ("/flows?timerange=(1:0)", "timerange"),
        ("/flows?format=video", "format"),
        ("/flows?codec=h264", "codec"),
        ("/flows?codec=unheard/of", "codec"),
        ("/flows?status=lost", "status"),
        ("/flows?source_id=none", "source_id"),
        ("/flows?collected_by_ids=a,b", "collected_by_ids"),
        ("/flows?sort_by=updated", "sort_by"),
        ("/flows?reverse_order=yes", "reverse_order"),
        ("/flows?frame_width=wide", "frame_width"),
        ("/flows?tag.kind=a,,b", "tag.kind"),
        ("/flows?tag_exists.kind=maybe", "tag_exists.kind"),
        ("/flows?flow_tag.kind=a", "flow_tag.kind"),
        ("/flows?colour=red", "colour"),
        ("/sources?sort_by=metadata_updated", "sort_by"),
        ("/service/profiles?limit=0", "limit"),
        ("/service/profiles?page=made-up", "page"),
        ("/service/profiles?format=video", "format"),
        ("/service/profiles?codec=h264", "codec"),
        ("/service/profiles?sort_by=label", "sort_by"),
        ("/service/profiles?tag.kind=a", "tag.kind"),
        ("/service/storage-backends?sort_by=label", "sort_by"),
        ("/flows/{flow}?timerange=1", "timerange"),
        ("/flows/{flow}?include_timerange=1", "include_timerange"),
        ("/flows/{flow}/segments?accept_storage_ids=mine", "accept_storage_ids"),
        ("/flows/{flow}/segments?accept_get_urls=a,", "accept_get_urls"),
        ("/flows/{flow}/segments?verbose_storage=very", "verbose_storage"),
        ("/flows/{flow}/segments?sort_by=label", "sort_by"),
    ],
)
def test_a_query_that_cannot_be_meant_is_400_naming_the_parameter(
    api: httpx.Client, three: dict[str, Any], path: str, field: str
):
    refused = api.get(path.format(flow=three["none"]))

    assert refused.status_code == 400
    assert refused.json()["field"] == field
