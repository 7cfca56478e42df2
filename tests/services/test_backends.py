"""A store with several storage backends, from their declaration to bytes in and out."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from ipaddress import ip_network
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import boto3
import httpx
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from celery import Celery
from flask.testing import FlaskClient

from api import create_app
from infra.bootstrap import build_ports
from infra.buckets import prepare
from infra.s3 import S3MediaStore
from infra.settings import Settings
from schemas.domain.errors import Invalid, Unavailable
from schemas.domain.identifiers import StorageId
from schemas.domain.media_object import Controlled
from tests.making import listed, new_id, pages, put_flow, segment
from tests.services.answering import LARGE, serving
from tests.services.running import Running, running_store
from tests.waiting import eventually

MAIN = StorageId("11111111-1111-4111-8111-111111111111")
COLD = StorageId("22222222-2222-4222-8222-222222222222")
OPEN = StorageId("33333333-3333-4333-8333-333333333333")
BUCKETS = {MAIN: "media-main", COLD: "media-cold", OPEN: "media-open"}
DECLARED = [
    {
        "id": OPEN,  # in the same object store under keys of its own, and without a label
        "bucket": "media-open",
        "access_key": "open-key",
        "secret_key": "open-secret",
        "urls": {"plain": "open-plain"},
    },
    {"id": MAIN, "bucket": "media-main", "label": "main", "default": True, "tags": {"tier": "hot"}},
    {
        "id": COLD,
        "bucket": "media-cold",
        "label": "cold",
        "region": "eu-west-1",
        "availability_zone": "b",
        "provider": "ours",
        "store_product": "tape",
        "tags": {"tier": ["cold", "archive"]},
        "urls": {"presigned": "cold", "plain": "cold-plain"},
    },
]
LOOPBACK = (ip_network("127.0.0.0/8"),)
LABELS = "accept_get_urls=cold-plain,elsewhere"
PAGE = "http://localhost:3000"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    declared = json.dumps(DECLARED)
    directory = tmp_path_factory.mktemp("store")
    with running_store(directory, TAMS_STORAGE_BACKENDS=declared) as running:
        yield running


@pytest.fixture(scope="module")
def api(store: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=store.facts["api"], timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def s3(store: Running) -> Any:
    facts = store.facts["s3"]
    return boto3.client(
        "s3",
        endpoint_url=facts["endpoint"],
        region_name=facts["region"],
        aws_access_key_id=facts["access_key"],
        aws_secret_access_key=facts["secret_key"],
        config=Config(s3={"addressing_style": "path"}),
    )


@pytest.fixture(scope="module")
def media(store: Running) -> S3MediaStore:
    return S3MediaStore(store.settings.backends, url_timeout_s=60, fetch_allow=LOOPBACK)


def client_of(settings: Settings) -> FlaskClient:
    return create_app(build_ports(settings, Celery(broker=settings.redis_url))).test_client()


def allocated(api: httpx.Client, flow: str, **body: Any) -> dict[str, Any]:
    response = api.post(f"/flows/{flow}/storage", json={"limit": 1, **body})
    assert response.status_code == 201, response.text
    (item,) = response.json()["media_objects"]
    return dict(item)


@pytest.fixture(scope="module")
def kept(api: httpx.Client) -> tuple[str, str]:
    """A flow, and an object of it in the cold backend that is to be had elsewhere as well."""
    flow = put_flow(api)
    item = allocated(api, flow, storage_id=COLD)
    put = item["put_url"]
    uploaded = httpx.put(
        put["url"], content=b"0123456789", headers={"Content-Type": put["content-type"]}
    )
    assert uploaded.status_code == 200, uploaded.text
    elsewhere = [{"label": "elsewhere", "url": "http://elsewhere.example/"}]
    body = segment(item["object_id"], 0, 1_000, get_urls=elsewhere)
    assert api.post(f"/flows/{flow}/segments", json=body).status_code == 201
    return flow, item["object_id"]


def urls_of(api: httpx.Client, kept: tuple[str, str], **query: str) -> dict[str, dict[str, Any]]:
    """The URLs of an object by label."""
    (found,) = api.get(f"/flows/{kept[0]}/segments", params=query).json()
    return {url["label"]: url for url in found["get_urls"]}


# --- what clients are told -------------------------------------------------------------


def test_backends_are_listed_by_label_and_those_without_one_come_last(api: httpx.Client):
    path = "/service/storage-backends"

    found = api.get(path).json()

    assert [each["id"] for each in found] == [COLD, MAIN, OPEN]
    assert [each["id"] for each in pages(api, path, {"limit": 1})] == [COLD, MAIN, OPEN]
    reverse = {"reverse_order": "true", "limit": 2}
    assert [each["id"] for each in pages(api, path, reverse)] == [OPEN, MAIN, COLD]
    assert [each.get("label") for each in found] == ["cold", "main", None]
    assert [each["default_storage"] for each in found] == [False, True, False]


def test_a_backend_is_described_as_it_was_declared(api: httpx.Client):
    cold = api.get("/service/storage-backends", params={"tag.tier": "archive,none"}).json()

    assert cold == [
        {
            "id": COLD,
            "label": "cold",
            "default_storage": False,
            "store_type": "http_object_store",
            "provider": "ours",
            "region": "eu-west-1",
            "availability_zone": "b",
            "store_product": "tape",
            "tags": {"tier": ["cold", "archive"]},
        }
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"tag.tier": "hot,cold"}, [COLD, MAIN]),
        ({"tag.tier": "col"}, []),
        ({"tag_exists.tier": "true"}, [COLD, MAIN]),
        ({"tag_exists.tier": "false"}, [OPEN]),
    ],
)
def test_backends_are_filtered_by_tags(api: httpx.Client, query, expected):
    found = api.get("/service/storage-backends", params=query).json()

    assert [each["id"] for each in found] == expected


def test_a_second_shell_finds_the_backends_of_the_store(store: Running):
    found = Settings.from_env({"TAMS_DATA_DIR": str(store.directory)})

    assert found.backends == store.settings.backends
    assert [each.backend.id for each in found.backends] == [OPEN, MAIN, COLD]


def test_scripts_are_told_what_was_declared_and_where_media_go(store: Running):
    assert store.facts["storage_backends"] == DECLARED
    assert store.facts["s3"]["bucket"] == "media-main"


# --- places to upload to ---------------------------------------------------------------


def test_storage_is_allocated_in_the_default_backend_unless_another_is_named(api: httpx.Client):
    flow = put_flow(api)

    default = allocated(api, flow)
    named = allocated(api, flow, storage_id=COLD)

    assert urlsplit(default["put_url"]["url"]).path.startswith("/media-main/objects/")
    assert urlsplit(named["put_url"]["url"]).path.startswith("/media-cold/objects/")
    assert (default["presigned"], named["presigned"]) == (True, True)


def test_plain_urls_to_upload_with_are_given_where_they_are_advertised(api: httpx.Client):
    flow = put_flow(api)

    asked = allocated(api, flow, storage_id=COLD, presigned=False)
    only = allocated(api, flow, storage_id=OPEN)

    for item, bucket in ((asked, "media-cold"), (only, "media-open")):
        url = urlsplit(item["put_url"]["url"])
        assert url.path.startswith(f"/{bucket}/objects/")
        assert url.query == ""
        assert item["presigned"] is False
        assert item["put_url"]["content-type"] == "video/mp2t"


@pytest.mark.parametrize(("storage_id", "presigned"), [(MAIN, False), (OPEN, True)])
def test_a_kind_of_url_that_is_not_advertised_is_refused(api: httpx.Client, storage_id, presigned):
    body = {"storage_id": storage_id, "presigned": presigned}

    refused = api.post(f"/flows/{put_flow(api)}/storage", json=body)

    assert (refused.status_code, refused.json()["field"]) == (400, "presigned")


def test_without_a_default_backend_one_must_be_named(store: Running, api: httpx.Client):
    flow, settings = put_flow(api), store.settings
    none = [
        replace(each, backend=replace(each.backend, default=False)) for each in settings.backends
    ]
    client = client_of(replace(settings, backends=tuple(none)))

    refused = client.post(f"/flows/{flow}/storage", json={})
    named = client.post(f"/flows/{flow}/storage", json={"storage_id": MAIN})

    assert (refused.status_code, refused.json["field"]) == (400, "storage_id")
    assert named.status_code == 201


def test_a_plain_url_to_upload_with_takes_credentials_of_the_clients_own(
    store: Running, api: httpx.Client, s3: Any
):
    item = allocated(api, put_flow(api), storage_id=COLD, presigned=False)
    put, facts = item["put_url"], store.facts["s3"]
    wanted = AWSRequest("PUT", put["url"], {"Content-Type": put["content-type"]}, b"bytes")
    keys = Credentials(facts["access_key"], facts["secret_key"])
    S3SigV4Auth(keys, "s3", facts["region"]).add_auth(wanted)

    anonymous = httpx.put(put["url"], content=b"bytes")
    signed = httpx.put(put["url"], content=b"bytes", headers=dict(wanted.headers))

    assert (anonymous.status_code, signed.status_code) == (403, 200)
    key = urlsplit(put["url"]).path.removeprefix("/media-cold/")
    assert s3.head_object(Bucket="media-cold", Key=key)["ContentType"] == "video/mp2t"


# --- places to download from -----------------------------------------------------------


@pytest.mark.parametrize("path", ["/flows/{flow}/segments", "/objects/{object}"])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["cold", "cold-plain", "elsewhere"]),
        ("accept_get_urls=", []),
        ("accept_get_urls=cold-plain", ["cold-plain"]),
        ("accept_get_urls=elsewhere,cold", ["cold", "elsewhere"]),
        ("accept_get_urls=main", []),
        ("presigned=true", ["cold"]),
        ("presigned=false", ["cold-plain", "elsewhere"]),
        (f"accept_storage_ids={COLD}", ["cold", "cold-plain"]),
        (f"accept_storage_ids={MAIN}", []),
        (f"accept_storage_ids={MAIN},{COLD}&presigned=false", ["cold-plain"]),
        ("accept_get_urls=cold&presigned=false", []),
        ("storage_backend_tag.tier=archive", ["cold", "cold-plain"]),
        ("storage_backend_tag.tier=hot", []),
        ("storage_backend_tag_exists.tier=true&presigned=true", ["cold"]),
        ("storage_backend_tag_exists.tier=false", []),
        (
            f"storage_backend_tag.tier=cold&accept_storage_ids={COLD}&presigned=false&{LABELS}",
            ["cold-plain"],
        ),
    ],
)
def test_every_url_passes_all_filters_by_itself(
    api: httpx.Client, kept: tuple[str, str], path: str, query: str, expected: list[str]
):
    flow, object_id = kept

    found = api.get(path.format(flow=flow, object=object_id) + f"?{query}").json()
    item = found[0] if isinstance(found, list) else found

    assert [url["label"] for url in item["get_urls"]] == expected


def test_urls_say_whether_they_are_presigned_and_where_they_lead(
    api: httpx.Client, kept: tuple[str, str]
):
    found = urls_of(api, kept, verbose_storage="true")

    described = {
        "storage_id": COLD,
        "controlled": True,
        "store_type": "http_object_store",
        "provider": "ours",
        "region": "eu-west-1",
        "availability_zone": "b",
        "store_product": "tape",
        "tags": {"tier": ["cold", "archive"]},
    }
    for label, presigned in (("cold", True), ("cold-plain", False)):
        assert found[label].items() >= described.items()
        assert found[label]["presigned"] is presigned
        assert bool(urlsplit(found[label]["url"]).query) is presigned
    assert found["elsewhere"]["controlled"] is False
    assert set(urls_of(api, kept)["cold-plain"]) == {"label", "presigned", "url"}


def test_bytes_come_back_by_presigned_urls_in_ranges_too(api: httpx.Client, kept: tuple[str, str]):
    url = urls_of(api, kept)["cold"]["url"]

    whole, part = httpx.get(url), httpx.get(url, headers={"Range": "bytes=2-4"})

    assert (whole.status_code, whole.content) == (200, b"0123456789")
    assert (part.status_code, part.content) == (206, b"234")
    assert whole.headers["Content-Type"] == "video/mp2t"


def test_bytes_come_back_by_plain_urls_where_the_bucket_is_public(
    api: httpx.Client, kept: tuple[str, str], s3: Any
):
    url = urls_of(api, kept)["cold-plain"]["url"]
    closed = httpx.get(url).status_code
    public = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::media-cold/*",
    }
    policy = {"Version": "2012-10-17", "Statement": [public]}

    s3.put_bucket_policy(Bucket="media-cold", Policy=json.dumps(policy))

    found = eventually(lambda: r if (r := httpx.get(url)).status_code == 200 else None)
    assert (closed, found.content) == (403, b"0123456789")


def test_plain_urls_are_encoded(media: S3MediaStore):
    url = media.get_url(COLD, "drop/ä b+c%41?#.ts", presigned=False)

    assert url.endswith("/media-cold/drop/%C3%A4%20b%2Bc%2541%3F%23.ts")


def test_an_object_in_a_backend_that_is_not_configured_any_more_has_no_urls_there(
    store: Running, kept: tuple[str, str]
):
    flow, object_id = kept
    settings = store.settings
    left = tuple(each for each in settings.backends if each.backend.id != COLD)
    client = client_of(replace(settings, backends=left))

    for path in (f"/flows/{flow}/segments", f"/objects/{object_id}"):
        for query in ("", "?verbose_storage=true"):
            answer = client.get(path + query)
            item = answer.json[0] if isinstance(answer.json, list) else answer.json
            assert answer.status_code == 200
            assert [url["label"] for url in item["get_urls"]] == ["elsewhere"]
    assert client.get("/health").status_code == 200


@pytest.mark.parametrize("label", ["cold", "cold-plain", "open-plain", "main"])
def test_no_client_may_give_a_url_a_label_of_a_backend(api: httpx.Client, label: str):
    urls = [{"label": label, "url": "http://elsewhere.example/"}]

    refused = api.post(
        f"/flows/{put_flow(api)}/segments", json=segment(new_id(), 0, 1_000, get_urls=urls)
    )

    assert (refused.status_code, refused.json()["field"]) == (400, "get_urls")


# --- web pages -------------------------------------------------------------------------


@pytest.mark.parametrize("storage_id", [MAIN, COLD, OPEN])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_a_web_page_of_this_machine_may_use_every_bucket(
    api: httpx.Client, storage_id: StorageId, method: str
):
    url = allocated(api, put_flow(api), storage_id=storage_id)["put_url"]["url"]

    answer = httpx.options(
        url,
        headers={
            "Origin": PAGE,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "content-type",
        },
    )

    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] in {"*", PAGE}
    assert method in answer.headers["Access-Control-Allow-Methods"]
    assert "content-type" in answer.headers["Access-Control-Allow-Headers"].lower()


def test_a_web_page_may_read_what_players_need(api: httpx.Client, kept: tuple[str, str]):
    url = urls_of(api, kept)["cold"]["url"]

    answer = httpx.get(url, headers={"Origin": PAGE, "Range": "bytes=0-1"})

    exposed = answer.headers["Access-Control-Expose-Headers"]
    for name in ("ETag", "Content-Length", "Content-Range", "Accept-Ranges"):
        assert name in exposed
        assert name in answer.headers


def test_only_the_origins_of_the_setting_may_and_other_rules_stay(
    store: Running, s3: Any, request: pytest.FixtureRequest
):
    settings = store.settings
    request.addfinalizer(lambda: prepare(settings.backends, settings.cors_origins))
    others = {"ID": "others", "AllowedMethods": ["GET"], "AllowedOrigins": ["https://o.example"]}
    s3.put_bucket_cors(Bucket="media-main", CORSConfiguration={"CORSRules": [others]})

    def allowed(origin: str) -> bool:
        headers = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
        answer = httpx.options(f"{store.facts['s3']['endpoint']}/media-main/key", headers=headers)
        return answer.headers.get("Access-Control-Allow-Origin") == origin

    for _ in range(2):
        made = prepare(settings.backends, ["https://app.example", "https://*.b.example"])

    assert made == []
    eventually(lambda: allowed("https://app.example"))
    assert allowed("https://any.b.example")
    assert not allowed(PAGE)
    rules = s3.get_bucket_cors(Bucket="media-main")["CORSRules"]
    assert [rule["ID"] for rule in rules] == ["others", "tams-server"]


# --- files dropped into any of the buckets ---------------------------------------------


def test_a_file_dropped_into_any_bucket_becomes_a_segment(api: httpx.Client, s3: Any):
    for bucket, label in (("media-main", "main"), ("media-cold", "cold")):
        flow = put_flow(api)
        metadata = {"tams-flow-id": flow, "tams-timerange": "[0:0_1:0)"}

        s3.put_object(Bucket=bucket, Key=f"drop/{flow}.ts", Body=bucket, Metadata=metadata)

        eventually(lambda flow=flow: listed(api, flow))
        url = urls_of(api, (flow, ""))[label]["url"]
        assert httpx.get(url).text == bucket


def test_a_file_in_a_bucket_of_no_backend_holds_up_nobody(api: httpx.Client, s3: Any):
    flow = put_flow(api)
    metadata = {"tams-flow-id": flow, "tams-timerange": "[0:0_1:0)"}
    s3.create_bucket(Bucket="media-foreign")

    for bucket in ("media-foreign", "media-main"):
        s3.put_object(Bucket=bucket, Key=f"drop/{flow}-{bucket}", Body=b"x", Metadata=metadata)

    (found,) = eventually(lambda: listed(api, flow))
    assert found["object_id"] == f"drop/{flow}-media-main"


def test_a_key_dropped_into_a_second_bucket_is_not_taken_for_the_first(api: httpx.Client, s3: Any):
    key = f"drop/{new_id()}"
    flows = put_flow(api), put_flow(api)

    def drop(bucket: str, flow: str) -> None:
        metadata = {"tams-flow-id": flow, "tams-timerange": "[0:0_1:0)"}
        s3.put_object(Bucket=bucket, Key=key, Body=b"x", Metadata=metadata)

    drop("media-main", flows[0])
    eventually(lambda: listed(api, flows[0]))
    drop("media-cold", flows[1])

    def problem() -> Any:
        found = api.get("/ingest-problems", params={"limit": 1000}).json()
        return next((p for p in found if (p["bucket"], p["key"]) == ("media-cold", key)), None)

    assert "another file" in eventually(problem)["reason"]
    assert listed(api, flows[1]) == []


# --- deleting and copying --------------------------------------------------------------


def put(s3: Any, storage_id: StorageId, body: bytes = b"bytes") -> Controlled:
    """An object that brings metadata which would make a segment of a copy."""
    key = f"test/{new_id()}"
    metadata = {"tams-flow-id": "metadata-that-must-not-travel"}
    s3.put_object(
        Bucket=BUCKETS[storage_id], Key=key, Body=body, ContentType="video/x", Metadata=metadata
    )
    return Controlled(storage_id, key)


def free(storage_id: StorageId) -> Controlled:
    return Controlled(storage_id, f"objects/{new_id()}")


def bytes_at(media: S3MediaStore, place: Controlled) -> tuple[bytes, str | None, Mapping[str, str]]:
    """What stands at `place`, its content type and metadata."""
    found = media.head(BUCKETS[place.storage_id], place.key)
    assert found is not None
    file = BytesIO()
    media.fetch(BUCKETS[place.storage_id], place.key, file)
    return file.getvalue(), found.content_type, found.metadata


def assert_absent(media: S3MediaStore, s3: Any, place: Controlled) -> None:
    bucket = BUCKETS[place.storage_id]
    assert media.head(bucket, place.key) is None
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_any_number_of_objects_is_deleted_and_those_that_are_not_there_are_fine(
    media: S3MediaStore, s3: Any
):
    first, last, other = (put(s3, COLD) for _ in range(3))
    absent = [f"test/{new_id()}" for _ in range(1_000)]

    media.delete(COLD, [first.key, *absent, last.key])
    media.delete(COLD, [first.key])
    media.delete(COLD, [])

    assert [media.head("media-cold", each.key) for each in (first, last)] == [None, None]
    assert media.head("media-cold", other.key) is not None


@pytest.mark.parametrize("target", [COLD, OPEN])
@pytest.mark.parametrize("size", [0, 5, LARGE])
def test_a_copy_has_bytes_and_content_type_but_no_metadata(
    media: S3MediaStore, s3: Any, target: StorageId, size: int
):
    source, copied = put(s3, MAIN, bytes(size)), free(target)

    media.copy(source, copied)
    media.copy(source, copied)

    assert bytes_at(media, copied) == (bytes(size), "video/x", {})


@pytest.mark.parametrize("target", [COLD, OPEN])
def test_a_copy_of_what_is_gone_is_refused_and_leaves_nothing(
    media: S3MediaStore, s3: Any, target: StorageId
):
    source, copied = free(MAIN), free(target)

    with pytest.raises(Invalid, match=f"{source.key} is gone"):
        media.copy(source, copied)

    assert_absent(media, s3, copied)


@pytest.mark.parametrize(("path", "size"), [("content", 350_000), ("large", LARGE)])
def test_the_content_of_a_url_is_stored(media: S3MediaStore, path: str, size: int):
    target = free(COLD)

    with serving() as (port, _):
        media.store_from_url(f"http://127.0.0.1:{port}/{path}", target, "video/mp4")

    content, content_type, _ = bytes_at(media, target)
    assert (len(content), content_type) == (size, "video/mp4")


@pytest.mark.parametrize(("path", "error"), [("cut", Unavailable), ("redirect", Invalid)])
def test_of_a_url_that_fails_nothing_is_stored(
    media: S3MediaStore, s3: Any, path: str, error: type[Exception]
):
    target = free(COLD)

    with serving() as (port, _), pytest.raises(error, match=f"/{path}"):
        media.store_from_url(f"http://127.0.0.1:{port}/{path}", target, "video/mp4")

    assert_absent(media, s3, target)


def test_a_url_into_our_own_network_is_not_asked(store: Running, s3: Any):
    media, target = S3MediaStore(store.settings.backends, url_timeout_s=60), free(COLD)

    with serving() as (port, hosts), pytest.raises(Invalid, match="public internet"):
        media.store_from_url(f"http://localhost:{port}/content", target, "video/mp4")

    assert hosts == []
    assert_absent(media, s3, target)


def test_a_backend_that_is_not_configured_is_unavailable(media: S3MediaStore):
    nowhere = Controlled(StorageId(new_id()), "key")

    for attempt in (
        lambda: media.delete(nowhere.storage_id, ["key"]),
        lambda: media.copy(nowhere, free(MAIN)),
        lambda: media.copy(free(MAIN), nowhere),
        lambda: media.store_from_url("http://127.0.0.1/", nowhere, "video/mp4"),
    ):
        with pytest.raises(Unavailable, match=nowhere.storage_id):
            attempt()


# --- object stores that refuse ---------------------------------------------------------


class Refusing(BaseHTTPRequestHandler):
    """An object store that has every bucket, knows no CORS, and deletes nothing it is told to."""

    def do_HEAD(self) -> None:
        self._answer(200)

    def do_GET(self) -> None:
        self._answer(501, b"<Error><Code>NotImplemented</Code></Error>")

    def do_PUT(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        absent = b"<Error><Key>gone</Key><Code>NoSuchKey</Code></Error>"
        locked = b"<Error><Key>kept</Key><Code>AccessDenied</Code><Message>Locked</Message></Error>"
        self._answer(200, b"<DeleteResult>" + absent + locked + b"</DeleteResult>")

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def refusing(tmp_path: Path) -> Iterator[Settings]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    kinds = ("REDIS_URL", "VAST_ENDPOINT", "VAST_ACCESS_KEY", "VAST_SECRET_KEY")
    keys = {"TAMS_S3_ACCESS_KEY": "key", "TAMS_S3_SECRET_KEY": "secret"}
    try:
        yield Settings.from_env(
            {
                **{f"TAMS_{kind}": "unused" for kind in kinds},
                **keys,
                "TAMS_S3_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
                "TAMS_DATA_DIR": str(tmp_path),
            }
        )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_object_store_without_cors_is_warned_of_and_used(
    refusing: Settings, caplog: pytest.LogCaptureFixture
):
    assert prepare(refusing.backends, refusing.cors_origins) == []

    (record,) = [each for each in caplog.records if each.name == "infra.buckets"]
    assert record.levelname == "WARNING"
    assert "tams-media" in record.getMessage()


def test_an_object_that_is_not_deleted_is_named(refusing: Settings):
    media = S3MediaStore(refusing.backends, url_timeout_s=60)
    (storage_id,) = media.backends

    with pytest.raises(Unavailable, match=r"tams-media/kept is not deleted: AccessDenied, Locked"):
        media.delete(storage_id, ["gone", "kept"])


# --- instances -------------------------------------------------------------------------


def test_an_instance_is_copied_to_another_backend_by_a_worker(api: httpx.Client):
    flow = put_flow(api)
    item = _uploaded(api, flow)
    path = f"/objects/{item}/instances"

    created = api.post(path, json={"storage_id": COLD})
    urls = eventually(lambda: _urls(api, item, COLD))
    again = api.post(path, json={"storage_id": COLD})
    removed = api.delete(path, params={"label": "main"})

    assert (created.status_code, again.status_code, removed.status_code) == (201, 400, 204)
    assert {httpx.get(url["url"]).text for url in urls if url["presigned"]} == {"media"}
    assert _urls(api, item, MAIN) == []
    problems = api.get("/ingest-problems", params={"limit": 1000}).json()
    assert [each for each in problems if each["key"].startswith("objects/")] == []


def _uploaded(api: httpx.Client, flow: str) -> str:
    (item,) = api.post(f"/flows/{flow}/storage", json={"limit": 1}).json()["media_objects"]
    headers = {"content-type": item["put_url"]["content-type"]}
    assert httpx.put(item["put_url"]["url"], content=b"media", headers=headers).is_success
    body = segment(item["object_id"], 0, 1_000)
    assert api.post(f"/flows/{flow}/segments", json=body).status_code == 201
    return str(item["object_id"])


def _urls(api: httpx.Client, object_id: str, storage_id: str) -> list[Any]:
    query = {"accept_storage_ids": storage_id}
    return list(api.get(f"/objects/{object_id}", params=query).json()["get_urls"])
