"""What the environment may say, and how it is told what it may not."""

import json
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from infra import settings
from infra.settings import ENDPOINTS_FILE, Settings, SettingsError
from schemas.domain.storage import Advertised

ID = "a2f1b5f0-64d4-4d5a-9f5e-3c1b6b1e9c55"
STORE = {
    "TAMS_S3_ENDPOINT": "http://s3.example",
    "TAMS_S3_ACCESS_KEY": "key",
    "TAMS_S3_SECRET_KEY": "hidden-1",
}
REST = {
    "TAMS_REDIS_URL": "redis://redis.example",
    "TAMS_VAST_ENDPOINT": "http://vast.example",
    "TAMS_VAST_ACCESS_KEY": "key",
    "TAMS_VAST_SECRET_KEY": "hidden-2",
}
ELSEWHERE = {
    "bucket": "far-away",
    "endpoint": "https://s3.far.example",
    "access_key": "other",
    "secret_key": "hidden-3",
}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {**STORE, **REST, "TAMS_DATA_DIR": str(tmp_path)}


def declared(environ: dict[str, str], *entries: Any) -> Settings:
    return Settings.from_env({**environ, "TAMS_STORAGE_BACKENDS": json.dumps(entries)})


def complaints(environ: dict[str, str], *entries: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        declared(environ, *entries)
    return str(caught.value).split("; ")


def test_without_a_declaration_there_is_the_one_backend_of_the_object_store(environ):
    (only,) = Settings.from_env(
        {**environ, "TAMS_S3_PUBLIC_ENDPOINT": "https://m.example"}
    ).backends

    assert only.backend.id == "ed61890d-872d-5bf1-b8e3-8ee1f6191ac4"
    assert (only.backend.bucket, only.backend.label) == ("tams-media", "default")
    assert only.backend.default
    assert only.backend.urls == (Advertised(True, "default"),)
    assert only.store.public_endpoint == "https://m.example"


def test_an_entry_leaves_to_the_object_store_what_it_does_not_say(environ):
    near, far = declared(environ, {"bucket": "near"}, {**ELSEWHERE, "region": "eu-west-2"}).backends

    assert near.store == declared(environ, {"bucket": "near"}).s3
    assert near.backend.provider == "self-hosted"
    assert not near.backend.default
    assert far.store.endpoint == far.store.public_endpoint == "https://s3.far.example"
    assert (far.store.access_key, far.store.secret_key) == ("other", "hidden-3")
    assert far.store.region == far.backend.region == "eu-west-2"


def test_everything_an_entry_says_is_known_of_the_backend(environ):
    (each,) = declared(
        environ,
        {
            "id": ID,
            "label": "fast",
            "bucket": "fast-media",
            "public_endpoint": "https://media.example",
            "region": "eu-west-1",
            "availability_zone": "b",
            "provider": "ours",
            "store_product": "flash",
            "tags": {"tier": "hot", "use": ["live", "edit"]},
            "default": True,
            "urls": {"plain": "open", "presigned": "fast"},
        },
    ).backends

    backend = each.backend
    assert backend.id == ID
    assert (backend.region, backend.availability_zone) == ("eu-west-1", "b")
    assert (backend.provider, backend.product) == ("ours", "flash")
    assert backend.tags == {"tier": "hot", "use": ["live", "edit"]}
    assert backend.default
    assert backend.urls == (Advertised(False, "open"), Advertised(True, "fast"))
    assert each.store.public_endpoint == "https://media.example"


def test_the_object_store_need_not_be_said_when_no_entry_asks_for_it(environ):
    without = {name: value for name, value in environ.items() if name not in STORE}

    assert declared(without, ELSEWHERE).s3.endpoint == ""
    (complaint,) = complaints(
        without | {"TAMS_S3_ENDPOINT": "http://s3.example"},
        {"bucket": "near", "endpoint": "http://other.example", "access_key": "k"},
    )
    assert complaint.startswith("TAMS_STORAGE_BACKENDS[0].secret_key: Missing")


def test_what_a_running_store_was_declared_with_is_known_in_a_second_shell(environ, tmp_path):
    facts = {"storage_backends": [{"bucket": "near", "label": "near"}]}
    (tmp_path / ENDPOINTS_FILE).write_text(json.dumps(facts))

    (known,) = Settings.from_env(environ).backends
    (given,) = declared(environ, {"bucket": "other"}).backends

    assert (known.backend.label, given.backend.bucket) == ("near", "other")


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        ({}, ".bucket"),
        ({"bucket": "No"}, ".bucket"),
        ({"bucket": 1}, ".bucket"),
        ({"lable": "a"}, ".lable"),
        ({"id": ID.upper()}, ".id"),
        ({"label": ""}, ".label"),
        ({"label": "a,b"}, ".label"),
        ({"endpoint": "s3.example"}, ".endpoint"),
        ({"endpoint": "ftp://s3.example"}, ".endpoint"),
        ({"endpoint": "http://user:hidden-4@s3.example"}, ".endpoint"),
        ({"public_endpoint": "http://s3.example:99999"}, ".public_endpoint"),
        ({"public_endpoint": "http://s3.example/?a=b"}, ".public_endpoint"),
        ({"region": ""}, ".region"),
        ({"provider": None}, ".provider"),
        ({"availability_zone": 3}, ".availability_zone"),
        ({"tags": {"a": 1}}, ".tags"),
        ({"default": "true"}, ".default"),
        ({"access_key": "key"}, ".secret_key"),
        ({"secret_key": "hidden-4"}, ".access_key"),
        ({"secret_key": ["hidden-4"], "access_key": "key"}, ".secret_key"),
        ({"urls": {}}, ".urls"),
        ({"urls": {"signed": "a"}}, ".urls.signed"),
        ({"urls": {"plain": "a,b"}}, ".urls.plain"),
        ("media", ""),
    ],
)
def test_a_fault_is_told_by_entry_and_field_without_secrets(environ, entry, path):
    bad = {"bucket": "bad-one", **entry} if entry and isinstance(entry, dict) else entry

    (complaint,) = complaints(environ, {"bucket": "good"}, bad)

    assert complaint.startswith(f"TAMS_STORAGE_BACKENDS[1]{path}")
    assert "hidden" not in complaint


@pytest.mark.parametrize(
    ("field", "one", "other"),
    [
        ("id", {"id": ID}, {"id": ID}),
        ("label", {"label": "same"}, {"label": "same"}),
        ("urls", {"label": "same"}, {"urls": {"plain": "same"}}),
        ("urls", {"urls": {"presigned": "same"}}, {"urls": {"plain": "same"}}),
        ("default", {"default": True}, {"default": True}),
    ],
)
def test_what_tells_backends_apart_belongs_to_one_of_them(environ, field, one, other):
    (complaint,) = complaints(environ, {"bucket": "one-1", **one}, {"bucket": "two-2", **other})

    assert complaint.startswith(f"TAMS_STORAGE_BACKENDS[1].{field}: Entry 0 has ")


def test_two_backends_cannot_share_a_bucket_at_whatever_endpoint(environ):
    said = complaints(environ, {"bucket": "far-away"}, ELSEWHERE)

    assert "TAMS_STORAGE_BACKENDS[1].bucket: Entry 0 has bucket 'far-away' already." in said


def test_plain_and_presigned_urls_of_one_backend_may_have_its_label(environ):
    entry = {"bucket": "one-1", "label": "one", "urls": {"presigned": "one", "plain": "one"}}

    (each,) = declared(environ, entry).backends

    assert each.backend.urls == (Advertised(True, "one"), Advertised(False, "one"))


@pytest.mark.parametrize("text", ['[{"secret_key": "hidden-4"', "{}", "[]", "hidden-4"])
def test_a_declaration_that_is_no_list_is_told_without_its_text(environ, text):
    with pytest.raises(SettingsError, match=r"^TAMS_STORAGE_BACKENDS") as caught:
        Settings.from_env({**environ, "TAMS_STORAGE_BACKENDS": text})

    assert "hidden" not in str(caught.value)


def test_faults_of_all_entries_and_variables_are_one_message(environ):
    said = complaints(
        environ | {"TAMS_SHARDS": "many", "TAMS_FETCH_ALLOW": "10.0.0.1/8"},
        {"bucket": "one-1", "region": "", "label": "same"},
        {"bucket": "two-2", "colour": "red", "label": "same"},
    )

    for part in ("[0].region", "[1].colour", "[1].label", "TAMS_SHARDS", "TAMS_FETCH_ALLOW"):
        assert any(part in complaint for complaint in said), part


def test_secrets_do_not_print(environ):
    assert "hidden" not in repr(declared(environ, {"bucket": "near"}, ELSEWHERE))


def test_origins_are_those_of_this_machine_unless_said(environ):
    def origins(text: str) -> tuple[str, ...]:
        return Settings.from_env({**environ, "TAMS_CORS_ORIGINS": text}).cors_origins

    assert origins("") == ("http://localhost:*", "http://127.0.0.1:*")
    assert origins("*") == ("*",)
    assert origins("https://a.example, https://*.b.example:8443") == (
        "https://a.example",
        "https://*.b.example:8443",
    )


@pytest.mark.parametrize(
    "text", ["a.example", "https://a.example/", "*,https://a.example", "https://*.a.example:*"]
)
def test_what_is_no_origin_is_refused(environ, text):
    with pytest.raises(SettingsError, match=r"TAMS_CORS_ORIGINS.* is not an origin"):
        Settings.from_env({**environ, "TAMS_CORS_ORIGINS": text})


def test_networks_that_may_be_fetched_from_are_none_unless_said(environ):
    said = Settings.from_env({**environ, "TAMS_FETCH_ALLOW": "10.0.0.0/8,fd00::/8"})

    assert Settings.from_env(environ).fetch_allow == ()
    assert said.fetch_allow == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("TAMS_API_PUBLIC_URL", "", "api_public_url", None),
        ("TAMS_API_PUBLIC_URL", "https://a.example", "api_public_url", "https://a.example"),
        (
            "TAMS_API_PUBLIC_URL",
            "http://[::1]:80/a/b_c/",
            "api_public_url",
            "http://[::1]:80/a/b_c/",
        ),
        ("TAMS_API_PROXIES", "", "api_proxies", 1),
        ("TAMS_API_PROXIES", "0", "api_proxies", 0),
        ("TAMS_PAGE_LIMIT_MAX", "100", "page_limit_max", 100),
        ("TAMS_PAGE_LIMIT_DEFAULT", "1000", "page_limit_default", 1_000),
    ],
)
def test_how_the_api_is_reached_and_answers_is_as_said(environ, variable, text, field, value):
    assert getattr(Settings.from_env({**environ, variable: text}), field) == value


NO_URLS = ["tams.example", "ftp://a.example", "https://", "https://a.example?x", "//a.example"]
NO_URLS += ["https://u:p@a.example", "https://a.example/#x", "https://a.example/a b", "http://a>b"]
NO_URLS += ["https://a.example:port", "https://a.example\n", "https://a.example//b"]


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        *(("TAMS_API_PUBLIC_URL", text) for text in NO_URLS),
        *(("TAMS_API_PROXIES", text) for text in ("-1", "one", "1.5")),
        *(("TAMS_PAGE_LIMIT_DEFAULT", text) for text in ("0", "-1", "many", "1001")),
        ("TAMS_PAGE_LIMIT_MAX", "99"),
    ],
)
def test_what_cannot_be_meant_of_the_api_is_refused_by_name(environ, variable, text):
    with pytest.raises(SettingsError, match=variable):
        Settings.from_env({**environ, variable: text})


def test_webhooks_lead_to_the_public_internet_over_tls_unless_said(environ):
    usual = Settings.from_env(environ)
    said = {"TAMS_WEBHOOK_ALLOW": "10.0.0.0/8, fd00::/8", "TAMS_WEBHOOK_HTTP": "allow"}
    opened = Settings.from_env(environ | said)

    assert (usual.webhook_allow, usual.webhook_http) == ((), False)
    assert opened.webhook_allow == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    assert opened.webhook_http


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("TAMS_WEBHOOK_ALLOW", "10.0.0.1/8"),
        ("TAMS_WEBHOOK_HTTP", "yes"),
        ("TAMS_WEBHOOK_TIMEOUT_S", "0"),
        ("TAMS_WEBHOOK_RETRY_S", "-1"),
        ("TAMS_SECRET_KEYS", "hidden"),
        ("TAMS_SECRET_KEYS", f"{'k' * 32},hidden"),
    ],
)
def test_what_cannot_be_meant_of_webhooks_is_refused_by_name_without_secrets(
    environ, variable, text
):
    with pytest.raises(SettingsError, match=variable) as caught:
        Settings.from_env({**environ, variable: text})

    assert "hidden" not in str(caught.value)


def test_several_keys_may_be_said_of_which_none_prints(environ):
    several = Settings.from_env({**environ, "TAMS_SECRET_KEYS": f"{'n' * 32}, {'o' * 32}"})

    assert several.secret_keys == ("n" * 32, "o" * 32)
    assert "n" * 32 not in repr(several)


@pytest.mark.parametrize(
    ("limit", "cache_mb"), [("8589934592\n", 256), ("17179869184\n", 512), ("1048576\n", 64)]
)
def test_processes_of_the_api_remember_as_much_as_the_memory_allows(
    environ, tmp_path, monkeypatch, limit, cache_mb
):
    said = tmp_path / "memory.max"
    monkeypatch.setattr(settings, "_MEMORY_LIMIT", said)
    monkeypatch.setattr(
        settings.os, "sysconf", lambda name: {"SC_PAGE_SIZE": 4096}.get(name, 2**23)
    )
    unlimited = Settings.from_env(environ).api_cache_mb
    said.write_text("max\n")
    assert Settings.from_env(environ).api_cache_mb == unlimited == 32_768 // 16 // 2

    said.write_text(limit)

    assert Settings.from_env(environ).api_cache_mb == cache_mb
    assert Settings.from_env({**environ, "TAMS_API_CACHE_MB": "5"}).api_cache_mb == 5
