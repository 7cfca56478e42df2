"""The `MediaStore` on S3: a bucket for each storage backend, at one endpoint or several.

* URLs are made on read, with the endpoint clients can reach; they are never stored.
* What an object store does not do is `Unavailable`; an object that is not there is None.
* Newer checksum headers are only sent where S3 demands them: other object stores refuse them.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any, BinaryIO, Final
from urllib.parse import quote

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.backends import BackendSettings, S3Settings
from infra.outbound import Network, content_of, outbound_client
from infra.presigning import Presigner
from schemas.domain.errors import Invalid, Unavailable
from schemas.domain.identifiers import StorageId
from schemas.domain.ingest import Appeared
from schemas.domain.media_object import Controlled
from schemas.domain.scan import Keys, Listed
from schemas.domain.storage import StorageBackend

if TYPE_CHECKING:
    from httpx import Client
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CopySourceTypeDef

# Presigned URLs stay valid a little longer than is advertised (TAMS 8.2, schema `service`).
_GRACE_S: Final = 60
_FETCH_TIMEOUT_S: Final = 30.0
_DELETED_AT_ONCE: Final = 1_000  # as many as S3 takes
_ABSENT: Final = {"404", "NoSuchKey"}


class S3MediaStore:
    """Objects in the buckets of `backends`; each endpoint is connected to when it is needed."""

    def __init__(
        self,
        backends: Sequence[BackendSettings],
        *,
        url_timeout_s: int,
        fetch_allow: Collection[Network] = (),
    ) -> None:
        """`fetch_allow` are the networks besides the public internet that URLs may lead to."""
        self._places = {each.backend.id: each for each in backends}
        self._backends = {each.backend.id: each.backend for each in backends}
        self._url_s = url_timeout_s + _GRACE_S
        self._fetch_allow = fetch_allow
        self._connect = cache(connect)
        self._presigners = cache(Presigner)

    @property
    def backends(self) -> Mapping[StorageId, StorageBackend]:
        """The storage backends, by id."""
        return self._backends

    def put_url(
        self, storage_id: StorageId, key: str, content_type: str, *, presigned: bool = True
    ) -> str:
        """A URL to upload to; the upload must carry `content_type`."""
        if presigned:
            return self._presigner(storage_id).urls("PUT", content_type)(key)
        return self._plain_url(storage_id, key)

    def get_url(self, storage_id: StorageId, key: str, *, presigned: bool = True) -> str:
        """A URL to download from."""
        return self.get_urls(storage_id, presigned=presigned)(key)

    def get_urls(self, storage_id: StorageId, *, presigned: bool = True) -> Callable[[str], str]:
        """Makes URLs to download from, of keys; see `MediaStore.get_urls`."""
        if presigned:
            return self._presigner(storage_id).urls("GET")
        return partial(self._plain_url, storage_id)

    def head(self, bucket: str, key: str) -> Appeared | None:
        """What stands under `key`; None if nothing does.

        Raises:
            Invalid: when `bucket` is not that of a storage backend.
            Unavailable: when the object store does not answer.
        """
        place = self._place_of(bucket)
        try:
            with translated(place.store):
                found = self._client(place).head_object(Bucket=bucket, Key=key)
        except Absent:
            return None
        return Appeared(
            place.backend.id,
            bucket,
            key,
            etag=found["ETag"].strip('"'),
            size=found["ContentLength"],
            content_type=found.get("ContentType"),
            metadata={name.lower(): value for name, value in found["Metadata"].items()},
            modified=found["LastModified"],
        )

    def keys(self, bucket: str, prefix: str, after: str, limit: int) -> Keys:
        """Some of the keys below `prefix`; see `MediaStore.keys`.

        Continued after a key and not with a token, which may not live as long as a scan.

        Raises:
            Invalid: when `bucket` is not that of a storage backend.
            Unavailable: when the object store does not answer, or has no such bucket.
        """
        place = self._place_of(bucket)
        try:
            with translated(place.store):
                page = self._client(place).list_objects_v2(
                    Bucket=bucket, Prefix=prefix, StartAfter=after, MaxKeys=limit
                )
        except Absent as error:
            raise Unavailable(
                f"object store at {place.store.endpoint} has no {bucket!r}"
            ) from error
        items = [
            Listed(each["Key"], each["ETag"].strip('"'), each["Size"], each["LastModified"])
            for each in page.get("Contents", ())
        ]
        return Keys(items, more=page["IsTruncated"] and bool(items))

    def fetch(self, bucket: str, key: str, into: BinaryIO) -> None:
        """Write the bytes under `key` to `into`.

        Raises:
            Invalid: when the object is gone.
            Unavailable: when the object store does not answer.
        """
        place = self._place_of(bucket)
        try:
            with translated(place.store):
                self._client(place).download_fileobj(bucket, key, into)
        except Absent as error:
            raise Invalid(f"{bucket}/{key} is gone from the bucket") from error

    def delete(self, storage_id: StorageId, keys: Collection[str]) -> None:
        """Do away with what stands under `keys`; see `MediaStore.delete`."""
        place, ordered = self._place(storage_id), list(keys)
        for first in range(0, len(ordered), _DELETED_AT_ONCE):
            batch = ordered[first : first + _DELETED_AT_ONCE]
            with translated(place.store):
                answer = self._client(place).delete_objects(
                    Bucket=place.backend.bucket,
                    Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True},
                )
            for error in answer.get("Errors", ()):
                if error.get("Code") not in _ABSENT:
                    raise Unavailable(
                        f"object store at {place.store.endpoint}: "
                        f"{place.backend.bucket}/{error.get('Key')} is not deleted: "
                        f"{error.get('Code')}, {error.get('Message')}"
                    )

    def copy(self, source: Controlled, target: Controlled) -> None:
        """Copy bytes and content type; see `MediaStore.copy`.

        The bytes travel through here only when they go from one object store to another.
        """
        origin, goal = self._place(source.storage_id), self._place(target.storage_id)
        bucket, into = origin.backend.bucket, goal.backend.bucket
        reader, writer = self._client(origin), self._client(goal)
        try:
            with translated(origin.store, goal.store):
                if _same(origin.store, goal.store):
                    found = reader.head_object(Bucket=bucket, Key=source.key)
                    # Told in full: what is copied untold depends on the size of the object.
                    told = {**_typed(found), "MetadataDirective": "REPLACE", "Metadata": {}}
                    place: CopySourceTypeDef = {"Bucket": bucket, "Key": source.key}
                    writer.copy(place, into, target.key, ExtraArgs=told)
                else:
                    got = reader.get_object(Bucket=bucket, Key=source.key)
                    with closing(got["Body"]) as body:
                        writer.upload_fileobj(body, into, target.key, ExtraArgs=_typed(got))
        except Absent as error:
            raise Invalid(f"{bucket}/{source.key} is gone from the bucket") from error

    def store_from_url(self, url: str, target: Controlled, content_type: str) -> None:
        """Copy what `url` answers to `target`; see `MediaStore.store_from_url`."""
        place = self._place(target.storage_id)
        with content_of(self._outbound, url) as body, translated(place.store):
            self._client(place).upload_fileobj(
                body, place.backend.bucket, target.key, ExtraArgs={"ContentType": content_type}
            )

    def ping(self) -> None:
        """Raises Unavailable when an object store does not answer, or lacks a bucket."""
        for place in self._places.values():
            try:
                with translated(place.store):
                    self._client(place).head_bucket(Bucket=place.backend.bucket)
            except Absent as error:
                raise Unavailable(
                    f"object store at {place.store.endpoint} has no bucket "
                    f"{place.backend.bucket!r}; run `tams init`"
                ) from error

    def _presigner(self, storage_id: StorageId) -> Presigner:
        place = self._place(storage_id)
        return self._presigners(place.store, place.backend.bucket, self._url_s)

    def _plain_url(self, storage_id: StorageId, key: str) -> str:
        place = self._place(storage_id)
        return f"{place.store.public_endpoint.rstrip('/')}/{place.backend.bucket}/{quote(key)}"

    def _place(self, storage_id: StorageId) -> BackendSettings:
        if storage_id not in self._places:
            raise Unavailable(f"storage backend {storage_id} is not configured")
        return self._places[storage_id]

    def _place_of(self, bucket: str) -> BackendSettings:
        for place in self._places.values():
            if place.backend.bucket == bucket:
                return place
        raise Invalid(f"bucket {bucket!r} is not that of a storage backend")

    def _client(self, place: BackendSettings) -> "S3Client":
        return self._connect(place.store, place.store.endpoint)

    @cached_property
    def _outbound(self) -> "Client":
        return outbound_client(self._fetch_allow, _FETCH_TIMEOUT_S)


class Absent(Exception):
    """There is no such object or bucket."""


@contextmanager
def translated(*stores: S3Settings) -> Iterator[None]:
    """Foreign errors in our words: `Absent`, or `Unavailable` naming the object stores."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        if isinstance(error, ClientError) and error.response["Error"]["Code"] in _ABSENT:
            raise Absent from error
        where = ", ".join(dict.fromkeys(store.endpoint for store in stores))
        raise Unavailable(f"object store at {where}: {error}") from error


def connect(store: S3Settings, endpoint: str) -> "S3Client":
    """A client of `store`, by its internal or its public `endpoint`; connects when it is used."""
    return boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint,
        region_name=store.region,
        aws_access_key_id=store.access_key,
        aws_secret_access_key=store.secret_key,
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


def _same(one: S3Settings, other: S3Settings) -> bool:
    """Whether an object store can copy from `one` to `other` by itself."""
    return (one.endpoint, one.access_key) == (other.endpoint, other.access_key)


def _typed(found: Mapping[str, Any]) -> dict[str, Any]:
    """How to upload with the content type of an object `found`."""
    return {"ContentType": found["ContentType"]} if "ContentType" in found else {}
