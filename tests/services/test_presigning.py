"""Our presigned URLs are those of the AWS SDK, byte for byte."""

from datetime import UTC, datetime
from functools import cache
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.backends import S3Settings
from infra.presigning import Presigner
from infra.s3 import connect

_GET: tuple[str, dict[str, str]] = ("get_object", {})
sdk = cache(connect)  # making a client takes longer than a thousand URLs
NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
ENDPOINTS = [
    "http://127.0.0.1:8333",
    "http://127.0.0.1:80",
    "http://[::1]:9000",
    "http://[2001:db8::1]",
    "https://s3.example.com",
    "https://s3.example.com/",
    "https://S3.Example.com:443",
    "https://s3.example.com:8443/base/",
    "https://s3.eu-west-1.amazonaws.com",
]
KEYS = [
    "objects/2026/11/20/4f79cfd1-c057-47f4-8e4d-1b126ca7bf34/first",
    "a b/ä~..//x?&=+%'()*!$@:,;\"<>.ts",
    "/../.a/./b/",
    "%41%2F",
    "\x01\x7f\u2028\U0001f3ac",
]


def of_the_sdk(
    store: S3Settings, key: str, moment: datetime = NOON, content_type: str | None = None
) -> str:
    call, more = ("put_object", {"ContentType": content_type}) if content_type else _GET
    with patch("botocore.auth.get_current_datetime", return_value=moment.replace(tzinfo=None)):
        return sdk(store, store.public_endpoint).generate_presigned_url(
            call, Params={"Bucket": "tams-media", "Key": key, **more}, ExpiresIn=3_660
        )


def ours(
    store: S3Settings, key: str, moment: datetime = NOON, content_type: str | None = None
) -> str:
    presigner = Presigner(store, "tams-media", 3_660, moment.timestamp)
    return presigner.urls("PUT" if content_type else "GET", content_type)(key)


def store_at(endpoint: str, region: str = "us-east-1") -> S3Settings:
    return S3Settings("http://inside", endpoint, region, "AK/é+", "sécret/+=")


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
def test_urls_are_those_of_the_sdk_at_any_endpoint(endpoint: str, region: str) -> None:
    store = store_at(endpoint, region)

    assert ours(store, KEYS[0]) == of_the_sdk(store, KEYS[0])


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("content_type", [None, "video/mp2t", 'a/b;  c="d e"', "text/plain;x=ä"])
def test_urls_are_those_of_the_sdk_for_any_key(key: str, content_type: str | None) -> None:
    store = store_at(ENDPOINTS[0])

    assert ours(store, key, content_type=content_type) == of_the_sdk(
        store, key, content_type=content_type
    )


@given(key=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50))
def test_urls_are_those_of_the_sdk_for_keys_of_any_characters(key: str) -> None:
    store = store_at(ENDPOINTS[0])

    assert ours(store, key) == of_the_sdk(store, key)


def test_the_signing_key_is_that_of_the_day() -> None:
    store, moments = store_at(ENDPOINTS[0]), [NOON, NOON.replace(hour=23), NOON.replace(day=21)]
    now = iter([moment.timestamp() for moment in moments])
    presigner = Presigner(store, "tams-media", 3_660, lambda: next(now))

    for moment in moments:
        assert presigner.urls("GET")("key") == of_the_sdk(store, "key", moment)
