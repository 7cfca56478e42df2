"""What the environment says, and what is said when it makes no sense."""

from typing import Any

import pytest

from infra.settings import Settings, SettingsError

NEEDED = {
    f"TAMS_{name}": "http://127.0.0.1:1"
    for name in (
        *("REDIS_URL", "S3_ENDPOINT", "S3_ACCESS_KEY", "S3_SECRET_KEY"),
        *("VAST_ENDPOINT", "VAST_ACCESS_KEY", "VAST_SECRET_KEY"),
    )
}


def settings(**variables: str) -> Settings:
    return Settings.from_env({**NEEDED, "TAMS_DATA_DIR": "/nowhere", **variables})


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("TAMS_API_PUBLIC_URL", "", "api_public_url", None),
        ("TAMS_API_PUBLIC_URL", "https://a.example", "api_public_url", "https://a.example"),
        ("TAMS_API_PUBLIC_URL", "http://[::1]:8080/a/b_c/", None, None),
        ("TAMS_API_PROXIES", "", "api_proxies", 1),
        ("TAMS_API_PROXIES", "0", "api_proxies", 0),
        (
            *("TAMS_CORS_ORIGINS", "", "cors_origins"),
            ("http://localhost:*", "http://127.0.0.1:*"),
        ),
        ("TAMS_CORS_ORIGINS", "*", "cors_origins", ("*",)),
        (
            *("TAMS_CORS_ORIGINS", "https://a.example, HTTP://[::1]:*", "cors_origins"),
            ("https://a.example", "http://[::1]:*"),
        ),
        ("TAMS_PAGE_LIMIT_MAX", "100", "page_limit_max", 100),
        ("TAMS_PAGE_LIMIT_DEFAULT", "1000", "page_limit_default", 1_000),
    ],
)
def test_a_setting_is_what_the_variable_says(
    variable: str, text: str, field: str | None, value: Any
):
    read = settings(**{variable: text})

    assert field is None or getattr(read, field) == value


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        *(
            ("TAMS_API_PUBLIC_URL", text)
            for text in (
                *(
                    "tams.example",
                    "ftp://a.example",
                    "https://",
                    "https://a.example?x",
                    "//a.example",
                ),
                *(
                    "https://u:p@a.example",
                    "https://a.example/#x",
                    "https://a.example/a b",
                    "http://a>b",
                ),
                *("https://a.example:port", "https://a.example\n", "https://a.example//b"),
            )
        ),
        *(("TAMS_API_PROXIES", text) for text in ("-1", "one", "1.5")),
        *(
            ("TAMS_CORS_ORIGINS", text)
            for text in (
                *("localhost", "http://a.example/", "http://a.example,", "*,http://a.example"),
                *("http://*.example", "http://a.example:x", "null", "http://a.example:*1"),
            )
        ),
        *(("TAMS_PAGE_LIMIT_DEFAULT", text) for text in ("0", "-1", "many", "1001")),
        ("TAMS_PAGE_LIMIT_MAX", "99"),
    ],
)
def test_a_variable_that_cannot_be_meant_is_named(variable: str, text: str):
    with pytest.raises(SettingsError, match=variable):
        settings(**{variable: text})


def test_all_complaints_come_at_once():
    with pytest.raises(SettingsError) as complaint:
        settings(TAMS_API_PUBLIC_URL="x", TAMS_CORS_ORIGINS="x", TAMS_API_PROXIES="x")

    for name in ("TAMS_API_PUBLIC_URL", "TAMS_CORS_ORIGINS", "TAMS_API_PROXIES"):
        assert name in str(complaint.value)
