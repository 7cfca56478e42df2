"""The `MediaStore` on S3: one bucket of one endpoint.

* URLs are presigned on read, with the endpoint clients can reach; they are never stored.
* What the object store does not do is `Unavailable`; an object that is not there is None.
* Newer checksum headers are only sent where S3 demands them: other object stores refuse them.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO, Final
from uuid import NAMESPACE_URL, uuid5

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.settings import S3Settings
from schemas.domain.errors import Invalid, Unavailable
from schemas.domain.identifiers import StorageId
from schemas.domain.ingest import Appeared, Notification
from schemas.domain.media_object import Controlled
from schemas.domain.storage import StorageBackend

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Presigned URLs stay valid a little longer than is advertised (TAMS 8.2, schema `service`).
_GRACE_S: Final = 60


class S3MediaStore:
    """Objects in the bucket that `settings` name."""

    def __init__(self, settings: S3Settings, url_timeout_s: int) -> None:
        self._settings = settings
        self._url_s = url_timeout_s + _GRACE_S
        backend = StorageBackend(
            id=StorageId(str(uuid5(NAMESPACE_URL, f"s3://{settings.bucket}"))),
            label=settings.label,
            bucket=settings.bucket,
            region=settings.region,
            provider=settings.provider,
            product=settings.product,
        )
        self._backends = {backend.id: backend}

    @property
    def backends(self) -> Mapping[StorageId, StorageBackend]:
        """The one storage backend, by id."""
        return self._backends

    def put_url(self, storage_id: StorageId, key: str, content_type: str) -> str:
        """A presigned URL to upload with; the upload must carry `content_type`."""
        return self._public.generate_presigned_url(
            "put_object",
            Params={
                "Bucket": self._backends[storage_id].bucket,
                "Key": key,
                "ContentType": content_type,
            },
            ExpiresIn=self._url_s,
        )

    def get_url(self, storage_id: StorageId, key: str) -> str:
        """A presigned URL to download from."""
        return self._public.generate_presigned_url(
            "get_object",
            Params={"Bucket": self._backends[storage_id].bucket, "Key": key},
            ExpiresIn=self._url_s,
        )

    def head(self, bucket: str, key: str) -> Appeared | None:
        """What stands under `key`; None if nothing does.

        Raises:
            Invalid: when `bucket` is not that of a storage backend.
            Unavailable: when the object store does not answer.
        """
        storage_id = self._storage_of(bucket)
        try:
            with self._translated():
                found = self._client.head_object(Bucket=bucket, Key=key)
        except _Absent:
            return None
        return Appeared(
            storage_id,
            bucket,
            key,
            etag=found["ETag"].strip('"'),
            size=found["ContentLength"],
            content_type=found.get("ContentType"),
            metadata={name.lower(): value for name, value in found["Metadata"].items()},
            modified=found["LastModified"],
        )

    def changed_since(self, moment: datetime) -> Iterator[Notification]:
        """Every object in the bucket written since `moment`.

        Raises:
            Unavailable: when the object store does not answer.
        """
        bucket = self._settings.bucket
        with self._translated():
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                for item in page.get("Contents", ()):
                    if item["LastModified"] >= moment:
                        yield Notification(bucket, item["Key"], "listing")

    def fetch(self, bucket: str, key: str, into: BinaryIO) -> None:
        """Write the bytes under `key` to `into`.

        Raises:
            Invalid: when the object is gone.
            Unavailable: when the object store does not answer.
        """
        try:
            with self._translated():
                self._client.download_fileobj(bucket, key, into)
        except _Absent as error:
            raise Invalid(f"{bucket}/{key} is gone from the bucket") from error

    def delete(self, storage_id: StorageId, keys: Collection[str]) -> None:
        """Delete what stands under `keys`."""
        bucket = self._backends[storage_id].bucket
        with self._translated():
            for key in keys:
                self._client.delete_object(Bucket=bucket, Key=key)

    def copy(self, source: Controlled, target: Controlled) -> None:
        """Copy."""
        with self._translated():
            self._client.copy(
                {"Bucket": self._backends[source.storage_id].bucket, "Key": source.key},
                self._backends[target.storage_id].bucket,
                target.key,
            )

    def store_from_url(self, url: str, target: Controlled, content_type: str | None) -> None:
        """Fetch."""
        raise Invalid(f"{url} {target} {content_type}")

    def create_bucket(self) -> bool:
        """Make the bucket, if it is not there; whether it was made."""
        bucket = self._settings.bucket
        try:
            with self._translated():
                self._client.head_bucket(Bucket=bucket)
        except _Absent:
            with self._translated():
                self._client.create_bucket(Bucket=bucket)
            return True
        return False

    def ping(self) -> None:
        """Raises Unavailable when the object store does not answer, or has no such bucket."""
        try:
            with self._translated():
                self._client.head_bucket(Bucket=self._settings.bucket)
        except _Absent as error:
            raise Unavailable(
                f"the object store has no bucket {self._settings.bucket!r}; run `tams init`"
            ) from error

    def _storage_of(self, bucket: str) -> StorageId:
        for backend in self._backends.values():
            if backend.bucket == bucket:
                return backend.id
        raise Invalid(f"bucket {bucket!r} is not that of a storage backend")

    @cached_property
    def _client(self) -> "S3Client":
        return self._connect(self._settings.endpoint)

    @cached_property
    def _public(self) -> "S3Client":
        return self._connect(self._settings.public_endpoint)

    def _connect(self, endpoint: str) -> "S3Client":
        return boto3.session.Session().client(
            "s3",
            endpoint_url=endpoint,
            region_name=self._settings.region,
            aws_access_key_id=self._settings.access_key,
            aws_secret_access_key=self._settings.secret_key,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                connect_timeout=5,
                read_timeout=60,
                retries={"max_attempts": 3, "mode": "standard"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                max_pool_connections=32,
            ),
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:  # noqa: PLR2004 - Not Found
                raise _Absent from error
            raise Unavailable(f"object store at {self._settings.endpoint}: {error}") from error
        except BotoCoreError as error:
            raise Unavailable(f"object store at {self._settings.endpoint}: {error}") from error


class _Absent(Exception):
    """There is no such object or bucket."""
