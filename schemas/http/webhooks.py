"""JSON of webhooks (schemas `webhook-post`, `-put`, `-get`), and the headers of what they are sent.

* A field nobody knows is refused: it may be a filter, and a filter that is ignored lets more
  through than was asked for.
* Keys are taken and never given out.
* Events are signed as Standard Webhooks has it (https://www.standardwebhooks.com): receivers find
  libraries that verify it. The key is `signing_key`, an extension, or else `api_key_value`.
"""

import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from typing import Any, Final

from marshmallow import RAISE, Schema, ValidationError, fields, post_load, pre_load, validate

from schemas.domain.delivery import Delivery
from schemas.domain.event import EventType
from schemas.domain.webhook import Keys, Terms, Webhook, WebhookStatus
from schemas.http.errors import ErrorSchema, error_json
from schemas.http.fields import UUID, WEB_URL, MomentField, StrictBoolean, TagsField, time_text
from schemas.http.queries import says

ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"

# A key that begins with this goes on in base64 (Standard Webhooks, "Signature scheme").
_ENCODED: Final = "whsec_"
_LONGEST: Final = 4_096
_HEADER_NAME: Final = re.compile(r"[0-9A-Za-z!#$%&'*+.^_`|~-]{1,100}")
_HEADER_VALUE: Final = re.compile(r"([!-~]([\t -~]*[!-~])?)?")
_OURS: Final = frozenset(
    {
        *("host", "content-length", "content-type", "content-encoding", "transfer-encoding"),
        *("connection", "keep-alive", "te", "trailer", "upgrade", "expect", "user-agent"),
        *("proxy-authorization", "proxy-connection"),
        *(ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER),
    }
)
_SETTABLE: Final = (WebhookStatus.CREATED.value, WebhookStatus.DISABLED.value)
_SECRET: Final = ("api_key_value", "signing_key")


def _require_header_name(text: str) -> None:
    if _HEADER_NAME.fullmatch(text) is None:
        raise ValidationError("Not the name of an HTTP header.")
    if text.lower() in _OURS:
        raise ValidationError(f"{text} is a header that the store sets itself.")


def _require_header_value(text: str) -> None:
    if _HEADER_VALUE.fullmatch(text) is None:
        raise ValidationError("Not a value an HTTP header can have: printable ASCII.")


def _require_key(text: str) -> None:
    try:
        _key_bytes(text)
    except ValueError as error:
        raise ValidationError(f"What follows {_ENCODED} must be base64.") from error


def _ids(text: str) -> fields.List[str]:
    return fields.List(fields.String(validate=UUID), metadata=says(text))


class WebhookFieldsSchema(Schema):
    """What is told of a webhook in either direction."""

    url = fields.String(
        required=True,
        validate=[validate.Length(max=_LONGEST), WEB_URL],
        metadata=says(
            "Where events are sent to by POST: an `https` URL that leads to the public internet, "
            "unless the service is set to allow others."
        ),
    )
    api_key_name = fields.String(
        validate=_require_header_name,
        metadata=says("The header that `api_key_value` is sent in."),
    )
    events = fields.List(
        fields.String(validate=validate.OneOf([each.value for each in EventType])),
        required=True,
        metadata=says("The types of the events that are sent."),
    )
    flow_ids = _ids("Of events of flows and segments, only those of these flows.")
    source_ids = _ids("Only events of these sources, of their flows, and of the segments of these.")
    flow_collected_by_ids = _ids(
        "Of events of flows and segments, only those of flows that one of these flows collects; if "
        "empty, of flows that none collects."
    )
    source_collected_by_ids = _ids(
        "Only events of sources that one of these sources collects, of their flows and segments; "
        "if empty, of sources that none collects."
    )
    accept_get_urls = fields.List(
        fields.String(), metadata=says("Only URLs with one of these labels; if empty, none.")
    )
    accept_storage_ids = _ids("Only URLs in one of these storage backends.")
    presigned = StrictBoolean(metadata=says("Only presigned URLs, or only those that are not."))
    verbose_storage = StrictBoolean(metadata=says("Whether URLs tell of their storage."))
    include_object_timerange = StrictBoolean(
        metadata=says("Whether segments tell the timeranges of their objects, too.")
    )
    tags = TagsField()


class WebhookPostSchema(WebhookFieldsSchema):
    """A webhook as a client registers it."""

    class Meta:
        """Other fields are refused."""

        unknown = RAISE

    api_key_value = fields.String(
        load_only=True,
        validate=[validate.Length(max=_LONGEST), _require_header_value],
        metadata=says("What is sent in the header `api_key_name`; it is never given out."),
    )
    signing_key = fields.String(
        load_only=True,
        validate=[validate.Length(max=_LONGEST), _require_key],
        metadata=says(
            "What events are signed with, `api_key_value` if not given; it is never given out. "
            f"After `{_ENCODED}`, it is base64 (an extension)."
        ),
    )
    status = fields.String(
        load_default=WebhookStatus.CREATED.value,
        validate=validate.OneOf(_SETTABLE),
        metadata=says("`disabled` if nothing is to be sent yet."),
    )

    @pre_load
    def without_what_the_store_says(self, data: Any, **_: Any) -> Any:
        """What was read of a webhook may be given back."""
        if isinstance(data, Mapping):
            return {name: data[name] for name in data if name not in self.store_says}
        return data

    store_says = frozenset({"id", "error"})

    @post_load
    def as_terms(self, data: dict[str, Any], **_: Any) -> Terms:
        """What is asked."""
        api_key, signing_key = (data.pop(name, None) for name in _SECRET)
        enabled = data.pop("status") == WebhookStatus.CREATED
        webhook_id = data.pop("id", None)
        return Terms(data, enabled, Keys(api_key, signing_key), webhook_id)


class WebhookPutSchema(WebhookPostSchema):
    """A webhook as a client changes it."""

    store_says = frozenset({"error"})

    id = fields.String(required=True, validate=UUID)
    status = fields.String(
        required=True,
        validate=validate.OneOf(_SETTABLE),
        metadata=says(
            "`disabled` if nothing is to be sent; `created` if events are, also after an error."
        ),
    )


class WebhookSchema(WebhookFieldsSchema):
    """A webhook as the store gives it; documents what `webhook_json` writes."""

    id = fields.String(required=True)
    status = fields.String(
        required=True, metadata={"enum": [status.value for status in WebhookStatus]}
    )
    error = fields.Nested(ErrorSchema)


class ReplaySchema(Schema):
    """From when on events are to be sent again."""

    class Meta:
        """Other fields are refused."""

        unknown = RAISE

    since = MomentField(
        required=True, metadata=says("Everything that occurred then or later is sent again.")
    )


class DeliverySchema(Schema):
    """One try to deliver an event; documents what `delivery_json` writes."""

    event_id = fields.String(required=True)
    event_type = fields.String(required=True)
    time = fields.DateTime(required=True)
    attempt = fields.Integer(
        required=True, metadata=says("The how-manieth try it was since the last success.")
    )
    took_ms = fields.Integer(required=True, metadata=says("How long the receiver took."))
    delivered = fields.Boolean(required=True)
    status_code = fields.Integer(metadata=says("What the receiver answered, if it did."))
    reason = fields.String(metadata=says("Why it is not delivered."))


def webhook_json(webhook: Webhook) -> dict[str, Any]:
    """The JSON of a webhook, without its keys."""
    payload = {"id": webhook.id, **webhook.document, "status": webhook.status.value}
    if webhook.fault is not None:
        fault = webhook.fault
        payload["error"] = error_json(fault.type, fault.summary, fault.time)
    return payload


def delivery_json(tried: Delivery) -> dict[str, Any]:
    """The JSON of a try to deliver."""
    reply = tried.reply
    payload: dict[str, Any] = {
        "event_id": tried.event_id,
        "event_type": tried.type,
        "time": time_text(tried.time),
        "attempt": tried.attempt,
        "took_ms": tried.took_ms,
        "delivered": reply.is_success,
    }
    if reply.status is not None:
        payload["status_code"] = reply.status
    if not reply.is_success:
        payload["reason"] = f"the receiver {reply}"
    return payload


def headers_of(
    webhook: Webhook, keys: Keys, event_id: str, body: bytes, now: datetime
) -> dict[str, str]:
    """The headers an event goes with; `keys` are those of the webhook in the clear."""
    timestamp = str(int(now.timestamp()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"tams-server/{version('tams-server')}",
        ID_HEADER: event_id,
        TIMESTAMP_HEADER: timestamp,
    }
    if keys.api_key and "api_key_name" in webhook.document:
        headers[webhook.document["api_key_name"]] = keys.api_key
    if key := keys.signing_key or keys.api_key:
        signed = f"{event_id}.{timestamp}.".encode() + body
        digest = hmac.digest(_key_bytes(key), signed, "sha256")
        headers[SIGNATURE_HEADER] = f"v1,{b64encode(digest).decode()}"
    return headers


def _key_bytes(key: str) -> bytes:
    if not key.startswith(_ENCODED):
        return key.encode()
    return b64decode(key.removeprefix(_ENCODED), validate=True)
