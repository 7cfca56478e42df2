"""What a process is told from outside: addresses, credentials, limits.

* This module alone reads the environment; everything else is handed a `Settings`.
* Every variable begins with `TAMS_`; all that are malformed are reported in one message.
* An address that is not set comes from `endpoints.json` in the data directory, which
  `tams up` writes, so that a second shell finds the running store without any setup.
* Secrets do not print.
"""

import json
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from infra.backends import (
    BackendFaults,
    BackendSettings,
    S3Settings,
    backend_of,
    left_out,
    parse_entries,
)
from infra.feeds.address import FeedAddress, parse_feeds

T = TypeVar("T")

ENDPOINTS_FILE = "endpoints.json"

MOST_SHARDS = 1_024
"""How many shards a store may have."""

_LEAST_CACHE_MB = 64
_CACHE_SHARE = 16
_MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")
_KEY_LENGTH = 32
_ORIGINS = "http://localhost:*,http://127.0.0.1:*"
_ORIGIN = re.compile(r"https?://(\*\.[^/?#@*\s]+|[^/?#@*\s]+(:\*)?)")
_PUBLIC_URL = re.compile(
    r"(?i:https?://([a-z0-9.-]+|\[[0-9a-f:.]+\]))(:[0-9]{1,5})?(/[\w.~-]+)*/?", re.ASCII
)


class SettingsError(Exception):
    """The environment does not describe a store this process can work with."""


@dataclass(frozen=True, slots=True)
class VastSettings:
    """The database: a VAST cluster, or the local server that speaks its protocol."""

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    bucket: str
    schema: str


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a process of the store needs to know, complete and checked.

    * `listener_token` is the token bucket notifications must carry; empty asks for none.
    * `s3` is the object store of those backends that do not say another.
    * `cors_origins` are those web pages may come from, with `*` for any subdomain or port;
      a single `*` is any origin.
    * `fetch_allow` are the networks URLs of clients may lead to besides the public internet.
    * `sns_confirm` are the topics of AWS SNS whose subscriptions are confirmed.
    * `secret_keys` are what secrets of clients are encrypted with: the first encrypts, all decrypt.
    * `webhook_allow` are the networks webhooks may lead to besides the public internet,
      `webhook_http` says whether they may do without TLS.
    """

    data_dir: Path
    api_host: str
    api_port: int
    api_workers: int
    api_threads: int
    api_cache_mb: int
    api_public_url: str | None
    api_proxies: int
    listener_host: str
    listener_port: int
    listener_token: str = field(repr=False)
    redis_url: str = field(repr=False)
    s3: S3Settings
    backends: tuple[BackendSettings, ...]
    cors_origins: tuple[str, ...]
    fetch_allow: tuple[IPv4Network | IPv6Network, ...]
    vast: VastSettings
    shards: int
    flushers: int
    flush_rows: int
    flush_linger_s: float
    delete_rows: int
    inbox_high_water: int
    reply_timeout_s: float
    async_after_s: float
    max_wait_s: int
    api_followers: int
    deletions_kept_s: int
    jobs_kept_s: int
    job_changes_kept: int
    answers_bytes: int
    events_pace_ms: int
    events_kept_s: int
    object_timeout_s: int
    presigned_url_timeout_s: int
    page_limit_default: int
    page_limit_max: int
    worker_concurrency: int
    ingest_rules: Path | None
    watchdog_s: int
    scan_interval_s: int
    stall_intervals: int
    stall_min_s: int
    ingest_sources: tuple[FeedAddress, ...]
    sns_confirm: frozenset[str]
    secret_keys: tuple[str, ...] = field(repr=False)
    webhook_allow: tuple[IPv4Network | IPv6Network, ...]
    webhook_http: bool
    webhook_timeout_s: int
    webhook_retry_s: int

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the environment (by default the process's own).

        Raises:
            SettingsError: naming every variable that is missing or malformed.
        """
        return _Reader(os.environ if environ is None else environ).settings()


def data_dir(environ: Mapping[str, str] | None = None) -> Path:
    """The directory that holds all local data (`TAMS_DATA_DIR`, by default `./data`)."""
    env = os.environ if environ is None else environ
    return Path(env.get("TAMS_DATA_DIR") or "data").resolve()


def process_environment() -> dict[str, str]:
    """A copy of this process's environment, for starting children with."""
    return dict(os.environ)


def read_endpoints(directory: Path) -> dict[str, Any]:
    """The facts `tams up` wrote about the store in `directory`; empty if none ever ran there."""
    try:
        facts = json.loads((directory / ENDPOINTS_FILE).read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise SettingsError(f"{directory / ENDPOINTS_FILE} is not JSON: {error}") from error
    if not isinstance(facts, dict):
        raise SettingsError(f"{directory / ENDPOINTS_FILE} is not a JSON object")
    return facts


def _cache_mb(processes: int) -> int:
    """What each of some processes may remember: together a sixteenth of the memory there is."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):  # no limit, or none that is a number
        memory = min(memory, int(_MEMORY_LIMIT.read_text()))
    return max(_LEAST_CACHE_MB, (memory >> 20) // _CACHE_SHARE // processes)


def is_loopback(host: str) -> bool:
    """Whether `host` can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class _Reader:
    """Reads variables one by one and remembers every complaint."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._complaints: list[str] = []
        self._data_dir = data_dir(environ)
        self._endpoints = read_endpoints(self._data_dir)

    def settings(self) -> Settings:
        s3, backends = self._storage()
        api_workers = self._number("TAMS_API_WORKERS", 2, 1, 64)
        settings = Settings(
            data_dir=self._data_dir,
            api_host=self._environ.get("TAMS_API_HOST") or "127.0.0.1",
            api_port=self._number("TAMS_API_PORT", self._port_of("api", 4010), 0, 65535),
            api_workers=api_workers,
            api_threads=self._number("TAMS_API_THREADS", 32, 1, 1024),
            api_cache_mb=self._number("TAMS_API_CACHE_MB", _cache_mb(api_workers), 0, 1 << 20),
            api_public_url=self._parsed("TAMS_API_PUBLIC_URL", None, _public_url),
            api_proxies=self._number("TAMS_API_PROXIES", 1, 0, 16),
            listener_host=self._environ.get("TAMS_LISTENER_HOST") or "127.0.0.1",
            listener_port=self._number("TAMS_LISTENER_PORT", 4011, 0, 65535),
            listener_token=self._text("TAMS_LISTENER_TOKEN", "", "listener", "token"),
            redis_url=self._address("TAMS_REDIS_URL", "redis"),
            s3=s3,
            backends=backends,
            cors_origins=self._parsed("TAMS_CORS_ORIGINS", tuple(_ORIGINS.split(",")), _origins),
            fetch_allow=self._parsed("TAMS_FETCH_ALLOW", (), _networks),
            vast=VastSettings(
                endpoint=self._address("TAMS_VAST_ENDPOINT", "vast", "endpoint"),
                access_key=self._address("TAMS_VAST_ACCESS_KEY", "vast", "access_key"),
                secret_key=self._address("TAMS_VAST_SECRET_KEY", "vast", "secret_key"),
                bucket=self._text("TAMS_VAST_BUCKET", "tams-db", "vast", "bucket"),
                schema=self._text("TAMS_VAST_SCHEMA", "tams", "vast", "schema"),
            ),
            shards=self._number("TAMS_SHARDS", 16, 1, MOST_SHARDS),
            flushers=self._number("TAMS_FLUSHERS", 1, 1, 256),
            flush_linger_s=self._number("TAMS_FLUSH_LINGER_MS", 500, 0, 4_000) / 1_000,
            flush_rows=self._number("TAMS_FLUSH_ROWS", 5_000, 1, 100_000),
            delete_rows=self._number("TAMS_DELETE_ROWS", 1_000, 1, 100_000),
            inbox_high_water=self._number("TAMS_INBOX_HIGH_WATER", 100_000, 1, 100_000_000),
            reply_timeout_s=self._number("TAMS_REPLY_TIMEOUT_S", 20, 1, 600),
            async_after_s=self._number("TAMS_ASYNC_AFTER_S", 2, 1, 60),
            max_wait_s=self._number("TAMS_MAX_WAIT_S", 30, 0, 50),
            api_followers=self._number("TAMS_API_FOLLOWERS", 8, 0, 1_024),
            jobs_kept_s=self._number("TAMS_JOBS_KEPT_S", 2_592_000, 60, 315_360_000),
            job_changes_kept=self._number("TAMS_JOB_CHANGES_KEPT", 10_000, 100, 10_000_000),
            answers_bytes=self._number("TAMS_ANSWERS_BYTES", 1 << 28, 1 << 20, 1 << 40),
            events_pace_ms=self._number("TAMS_EVENTS_PACE_MS", 200, 0, 60_000),
            events_kept_s=self._number("TAMS_EVENTS_KEPT_S", 604_800, 60, 31_536_000),
            deletions_kept_s=self._number("TAMS_DELETIONS_KEPT_S", 604_800, 60, 31_536_000),
            object_timeout_s=self._number("TAMS_OBJECT_TIMEOUT_S", 3_600, 300, 604_800),
            presigned_url_timeout_s=self._number(
                "TAMS_PRESIGNED_URL_TIMEOUT_S", 3_600, 30, 604_800
            ),
            page_limit_default=self._number("TAMS_PAGE_LIMIT_DEFAULT", 100, 1, 100_000),
            page_limit_max=self._number("TAMS_PAGE_LIMIT_MAX", 1_000, 1, 100_000),
            worker_concurrency=self._number("TAMS_WORKER_CONCURRENCY", 2, 1, 64),
            ingest_rules=self._parsed("TAMS_INGEST_RULES", None, Path),
            watchdog_s=self._number("TAMS_WATCHDOG_S", 30, 4, 3_600),
            scan_interval_s=self._number("TAMS_SCAN_INTERVAL_S", 3_600, 0, 31_536_000),
            stall_intervals=self._number("TAMS_STALL_INTERVALS", 3, 1, 1_000),
            stall_min_s=self._number("TAMS_STALL_MIN_S", 5, 1, 86_400),
            ingest_sources=self._feeds("TAMS_INGEST_SOURCES"),
            sns_confirm=frozenset(
                self._environ.get("TAMS_SNS_CONFIRM", "").replace(",", " ").split()
            ),
            secret_keys=self._keys("TAMS_SECRET_KEYS", "secret_keys"),
            webhook_allow=self._parsed("TAMS_WEBHOOK_ALLOW", (), _networks),
            webhook_http=self._parsed("TAMS_WEBHOOK_HTTP", False, _is_allowed),
            webhook_timeout_s=self._number("TAMS_WEBHOOK_TIMEOUT_S", 10, 1, 300),
            webhook_retry_s=self._number("TAMS_WEBHOOK_RETRY_S", 86_400, 0, 2_592_000),
        )
        if settings.presigned_url_timeout_s > settings.object_timeout_s:
            self._complaints.append(
                "TAMS_PRESIGNED_URL_TIMEOUT_S must not be longer than TAMS_OBJECT_TIMEOUT_S"
            )
        if settings.page_limit_default > settings.page_limit_max:
            self._complaints.append(
                "TAMS_PAGE_LIMIT_DEFAULT must not be greater than TAMS_PAGE_LIMIT_MAX"
            )
        if self._complaints:
            raise SettingsError("; ".join(self._complaints))
        return settings

    def _storage(self) -> tuple[S3Settings, tuple[BackendSettings, ...]]:
        """The object store of `TAMS_S3_*`; the backends declared, or else the one it has."""
        entries = self._entries("TAMS_STORAGE_BACKENDS")
        store = self._object_store(left_out(entries))
        provider = self._text("TAMS_S3_PROVIDER", "self-hosted")
        product = self._text("TAMS_S3_PRODUCT", "s3")
        return store, tuple(
            backend_of(entry, store, provider=provider, product=product) for entry in entries
        )

    def _entries(self, name: str) -> Sequence[Mapping[str, Any]]:
        text, known = self._environ.get(name), self._endpoints.get("storage_backends")
        try:
            if text or known is not None:
                return parse_entries(json.loads(text) if text else known)
        except BackendFaults as error:
            self._complaints += [f"{name}{fault}" for fault in error.faults]
            return []
        except ValueError as error:
            self._complaints.append(f"{name} is not JSON: {error}")  # it may hold secrets
            return []
        bucket = self._text("TAMS_S3_BUCKET", "tams-media", "s3", "bucket")
        label = self._text("TAMS_S3_LABEL", "default")
        return [{"bucket": bucket, "label": label, "default": True}]

    def _object_store(self, needed: Collection[str]) -> S3Settings:
        """The object store of `TAMS_S3_*`, of which what is `needed` must be said."""

        def said(name: str, fact: str) -> str:
            if fact in needed:
                return self._address(name, "s3", fact)
            return self._text(name, "", "s3", fact)

        endpoint = said("TAMS_S3_ENDPOINT", "endpoint")
        return S3Settings(
            endpoint=endpoint,
            public_endpoint=self._environ.get("TAMS_S3_PUBLIC_ENDPOINT") or endpoint,
            region=self._text("TAMS_S3_REGION", "us-east-1", "s3", "region"),
            access_key=said("TAMS_S3_ACCESS_KEY", "access_key"),
            secret_key=said("TAMS_S3_SECRET_KEY", "secret_key"),
        )

    def _known(self, *path: str) -> str | None:
        """A fact from `endpoints.json`."""
        value: Any = self._endpoints
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value if isinstance(value, str) else None

    def _address(self, name: str, *path: str) -> str:
        value = self._environ.get(name) or self._known(*path)
        if value is None:
            self._complaints.append(
                f"{name} is not set and {self._data_dir / ENDPOINTS_FILE} does not say it: "
                "set it, or start a store with `tams up`"
            )
        return value or ""

    def _text(self, name: str, default: str, *path: str) -> str:
        return self._environ.get(name) or (self._known(*path) if path else None) or default

    def _port_of(self, name: str, default: int) -> int:
        url = self._known(name)
        return (urlsplit(url).port or default) if url else default

    def _number(self, name: str, default: int, low: int, high: int) -> int:
        return self._parsed(name, default, lambda text: _between(int(text), low, high))

    def _feeds(self, name: str) -> tuple[FeedAddress, ...]:
        try:
            return parse_feeds(self._environ.get(name, ""))
        except ValueError as error:
            self._complaints.append(f"{name}: {error}")  # not what it says: passwords are in it
            return ()

    def _keys(self, name: str, *path: str) -> tuple[str, ...]:
        keys = tuple(_items(self._text(name, "", *path)))
        if any(len(key) < _KEY_LENGTH for key in keys):  # the complaint must not hold them
            self._complaints.append(f"{name}: a key has at least {_KEY_LENGTH} characters")
        return keys

    def _parsed(self, name: str, default: T, parse: Callable[[str], T]) -> T:
        text = self._environ.get(name)
        if not text:
            return default
        try:
            return parse(text)
        except (ValueError, TypeError) as error:
            self._complaints.append(f"{name}={text!r}: {error}")
            return default


def _public_url(text: str) -> str:
    if _PUBLIC_URL.fullmatch(text) is None:
        raise ValueError("must be an http or https URL without query, such as https://host/tams")
    return text


def _items(text: str) -> list[str]:
    return [item for part in text.split(",") if (item := part.strip())]


def _networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(map(ip_network, _items(text)))


def _is_allowed(text: str) -> bool:
    if text not in {"allow", "refuse"}:
        raise ValueError("must be allow or refuse")
    return text == "allow"


def _origins(text: str) -> tuple[str, ...]:
    origins = _items(text)
    for origin in origins:
        if origins != ["*"] and _ORIGIN.fullmatch(origin) is None:
            raise ValueError(f"{origin!r} is not an origin such as https://app.example.com")
    return tuple(origins)


def _between(value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        raise ValueError(f"must be from {low} to {high}")
    return value
