"""Storage backends as the operator declares them (`TAMS_STORAGE_BACKENDS`).

* A declaration is a list of entries, one for each bucket. What an entry does not say of its
  object store is as `TAMS_S3_*` say.
* Notifications name a bucket and URL filters a label, so no two backends share a bucket or any
  label. Those of one backend's plain and presigned URLs may be the same.
* Every fault of every entry is found at once; none is told with the value of a secret.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from schemas.domain.identifiers import StorageId
from schemas.domain.storage import Advertised, StorageBackend
from schemas.http.fields import UUID, StrictBoolean, TagsField

_LABEL: Final = validate.Regexp(
    r"[^,]+\Z", error="Must be a text without commas, which separate labels in a query."
)
_BUCKET: Final = validate.Regexp(
    r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z", error="Not the name of a bucket."
)
_SOME: Final = validate.Length(min=1)
_STORE_FIELDS: Final = ("endpoint", "access_key", "secret_key")


@dataclass(frozen=True, slots=True)
class S3Settings:
    """An object store; `public_endpoint` is its address in the URLs clients are given."""

    endpoint: str
    public_endpoint: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class BackendSettings:
    """A storage backend, and the object store its bucket is in."""

    backend: StorageBackend
    store: S3Settings


class BackendFaults(Exception):
    """A declaration cannot be used."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def parse_entries(declared: object) -> list[dict[str, Any]]:
    """The entries of a declaration, checked.

    Raises:
        BackendFaults: with every fault, as `[index].field: what is wrong`.
    """
    if not isinstance(declared, list) or not declared:
        raise BackendFaults([": Not a list of storage backends."])
    try:
        return list(_EntrySchema(many=True).load(declared))
    except ValidationError as error:
        raise BackendFaults(list(_flat(error.messages))) from error


def left_out(entries: Iterable[Mapping[str, Any]]) -> set[str]:
    """What some entry leaves it to `TAMS_S3_*` to say of its object store."""
    return {name for entry in entries for name in _STORE_FIELDS if name not in entry}


def backend_of(
    entry: Mapping[str, Any], store: S3Settings, *, provider: str, product: str
) -> BackendSettings:
    """The storage backend that a checked `entry` declares; `store` has what it leaves out."""
    endpoint = entry.get("endpoint")
    region = entry.get("region", store.region)
    label = entry.get("label", "")
    urls = entry.get("urls", {"presigned": label})
    return BackendSettings(
        StorageBackend(
            id=StorageId(_id_of(entry)),
            label=label,
            bucket=entry["bucket"],
            region=region,
            provider=entry.get("provider", provider),
            product=entry.get("store_product", product),
            availability_zone=entry.get("availability_zone"),
            default=entry.get("default", False),
            tags=entry.get("tags", {}),
            urls=tuple(Advertised(kind == "presigned", text) for kind, text in urls.items()),
        ),
        S3Settings(
            endpoint=endpoint or store.endpoint,
            public_endpoint=entry.get("public_endpoint", endpoint or store.public_endpoint),
            region=region,
            access_key=entry.get("access_key", store.access_key),
            secret_key=entry.get("secret_key", store.secret_key),
        ),
    )


def _endpoint(text: str) -> None:
    """Raises ValidationError when `text` is not the address of an object store."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username is not None or parts.query or parts.fragment:
        raise ValidationError("Not the address of an object store, as https://s3.example.com is.")


class _EntrySchema(Schema):
    """One entry; unknown fields are faults."""

    id = fields.String(validate=UUID)
    label = fields.String(validate=_LABEL)
    bucket = fields.String(required=True, validate=_BUCKET)
    endpoint = fields.String(validate=_endpoint)
    public_endpoint = fields.String(validate=_endpoint)
    region = fields.String(validate=_SOME)
    availability_zone = fields.String(validate=_SOME)
    provider = fields.String(validate=_SOME)
    store_product = fields.String(validate=_SOME)
    tags = TagsField()
    default = StrictBoolean()
    access_key = fields.String(validate=_SOME)
    secret_key = fields.String(validate=_SOME)
    urls = fields.Dict(
        keys=fields.String(validate=validate.OneOf(["presigned", "plain"])),
        values=fields.String(validate=_LABEL),
        validate=validate.Length(min=1, error="Must advertise some kind of URL."),
    )

    @validates_schema(skip_on_field_errors=False)
    def keys_come_in_pairs(self, entry: dict[str, Any], **_: object) -> None:
        """An access key goes with its secret key."""
        pair = {"access_key", "secret_key"}
        given = pair & entry.keys()
        if len(given) == 1:
            (missing,) = pair - given
            raise ValidationError(f"Missing beside {given.pop()}.", missing)

    @validates_schema(pass_collection=True, skip_on_field_errors=False)
    def names_are_single(self, entries: list[dict[str, Any]], **_: object) -> None:
        """What tells backends apart belongs to one of them; so does being the default."""
        owners: dict[str, int] = {}
        faults: dict[int, dict[str, list[str]]] = {}
        for index, entry in enumerate(entries):
            for name, what in _names(entry):
                owner = owners.setdefault(what, index)
                if owner != index:
                    said = f"Entry {owner} has {what} already."
                    faults.setdefault(index, {}).setdefault(name, []).append(said)
        if faults:
            raise ValidationError(faults)


def _names(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What no other entry may have, and the field it is in."""
    if "bucket" in entry:
        yield "bucket", f"bucket {entry['bucket']!r}"
    if "bucket" in entry or "id" in entry:
        yield "id", f"id {_id_of(entry)!r}"
    if "label" in entry:
        yield "label", f"label {entry['label']!r}"
    for label in entry.get("urls", {}).values():
        yield "urls", f"label {label!r}"
    if entry.get("default"):
        yield "default", "default true"


def _id_of(entry: Mapping[str, Any]) -> str:
    return str(entry.get("id") or uuid5(NAMESPACE_URL, f"s3://{entry['bucket']}"))


def _flat(messages: Mapping[Any, Any] | Sequence[str], path: str = "") -> Iterator[str]:
    """Messages nested by entry and field, each after its path."""
    if isinstance(messages, Mapping):
        for name, inside in messages.items():
            yield from _flat(
                inside, f"{path}[{name}]" if isinstance(name, int) else f"{path}.{name}"
            )
    else:
        yield f"{path.removesuffix('._schema')}: {' '.join(messages)}"
