"""What a data directory needs to become a running store.

* `plan` chooses addresses and credentials, writes them down for the next start, and says
  which local services to run; it starts nothing.
* The addresses are handed on as the `TAMS_*` variables that `infra.settings` reads, so a
  process of the store cannot tell a local service from the real thing.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from infra.local_services.directory import Memory
from infra.local_services.ports import Address, PortChooser
from infra.local_services.seaweedfs import Webhook, seaweedfs
from infra.local_services.service import Service
from infra.local_services.valkey import valkey
from infra.local_services.vast import vast
from infra.settings import Settings

NOTIFICATIONS_PATH = "/notifications"

_API_PORT, _LISTENER_PORT = 4010, 4011


@dataclass(frozen=True, slots=True)
class Plan:
    """The settings of a store, the environment that carries them, and its local services."""

    settings: Settings
    environ: Mapping[str, str] = field(repr=False)
    services: tuple[Service, ...]


def plan(directory: Path, environ: Mapping[str, str], elsewhere: Collection[str] = ()) -> Plan:
    """Plan the store in `directory`, which the caller has locked.

    What runs `elsewhere` is expected at its configured address and not among the services.

    Raises:
        StartError: when a service cannot be started as configured.
        SettingsError: when the environment is malformed.
    """
    return _Planner(directory, environ, elsewhere).plan()


def facts(planned: Plan, processes: Mapping[str, int]) -> dict[str, Any]:
    """What scripts may want to know about a running store; secrets included.

    `s3` is the object store of those backends that do not say another, and a bucket there.
    `storage_backends` is what was declared, null if nothing was.
    """
    settings = planned.settings
    s3, vast_db = settings.s3, settings.vast
    return {
        "api": Address(settings.api_host, settings.api_port).url,
        "s3": {
            "endpoint": s3.endpoint,
            "region": s3.region,
            "access_key": s3.access_key,
            "secret_key": s3.secret_key,
            "bucket": _bucket(settings),
        },
        "storage_backends": json.loads(planned.environ.get("TAMS_STORAGE_BACKENDS") or "null"),
        "vast": {
            "endpoint": vast_db.endpoint,
            "access_key": vast_db.access_key,
            "secret_key": vast_db.secret_key,
            "bucket": vast_db.bucket,
            "schema": vast_db.schema,
        },
        "redis": settings.redis_url,
        "secret_keys": ",".join(settings.secret_keys),
        "listener": {
            "endpoint": _listener(settings).url,
            "token": settings.listener_token,
        },
        "processes": dict(processes),
    }


def _bucket(settings: Settings) -> str | None:
    """The bucket in the object store of `TAMS_S3_*` that media go to, if any is there."""
    here = [e.backend for e in settings.backends if e.store.endpoint == settings.s3.endpoint]
    return max(here, key=lambda backend: backend.default).bucket if here else None


def _listener(settings: Settings) -> Address:
    return Address(settings.listener_host, settings.listener_port)


class _Planner:
    """Collects the environment of the store step by step."""

    def __init__(
        self, directory: Path, environ: Mapping[str, str], elsewhere: Collection[str]
    ) -> None:
        self._directory = directory
        self._given = environ
        self._elsewhere = elsewhere
        self._memory = Memory.of(directory)
        self._ports = PortChooser(environ, self._memory.ports, elsewhere)
        self._environ = {**environ, "TAMS_DATA_DIR": str(directory)}

    def plan(self) -> Plan:
        self._serve("api", "API", _API_PORT)
        listener = self._serve("listener", "LISTENER", _LISTENER_PORT)
        self._credential("TAMS_LISTENER_TOKEN")
        self._credential("TAMS_SECRET_KEYS")
        redis = self._redis()
        s3 = self._local("seaweedfs", "S3")
        vast_db = self._local("vast", "VAST")
        settings = Settings.from_env(self._environ)
        services: list[Service] = []
        if redis and "valkey" not in self._elsewhere:
            password = self._credential("TAMS_REDIS_PASSWORD")
            services.append(valkey(self._directory, redis, password, self._given))
        if s3 and "seaweedfs" not in self._elsewhere:
            services.append(self._seaweedfs(s3, listener, settings))
        if vast_db and "vast" not in self._elsewhere:
            services.append(vast(self._directory, vast_db, settings.vast, self._environ))
        self._memory.save()
        return Plan(settings, self._environ, tuple(services))

    def _serve(self, name: str, variable: str, usual: int) -> Address:
        """The address of one of our own processes."""
        address = self._ports.address(name, variable, usual)
        self._environ[f"TAMS_{variable}_HOST"] = address.host
        self._environ[f"TAMS_{variable}_PORT"] = str(address.port)
        return address

    def _redis(self) -> Address | None:
        if self._given.get("TAMS_REDIS_URL"):
            return None
        address = self._ports.address("valkey", "REDIS")
        password = quote(self._credential("TAMS_REDIS_PASSWORD"), safe="")
        self._environ["TAMS_REDIS_URL"] = f"redis://:{password}@{address.netloc}/0"
        return address

    def _local(self, name: str, variable: str) -> Address | None:
        """The address of a local service with keys, unless there is a real one."""
        if self._given.get(f"TAMS_{variable}_ENDPOINT"):
            return None
        address = self._ports.address(name, variable)
        self._environ[f"TAMS_{variable}_ENDPOINT"] = address.url
        self._credential(f"TAMS_{variable}_ACCESS_KEY")
        self._credential(f"TAMS_{variable}_SECRET_KEY")
        return address

    def _credential(self, variable: str) -> str:
        """A credential: as given, as it was at the last start, or a new one."""
        value = self._given.get(variable) or self._memory.credential(variable)
        self._environ[variable] = value
        return value

    def _seaweedfs(self, address: Address, listener: Address, settings: Settings) -> Service:
        webhook = Webhook(f"{listener.url}{NOTIFICATIONS_PATH}", settings.listener_token)
        return seaweedfs(
            self._directory,
            address,
            settings.s3,
            settings.backends,
            webhook,
            ports=self._ports,
            memory=self._memory,
        )
